import pytest

from stillhouse.tracking.redact import redact, redact_set, redact_setting, redact_settings


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann:hunter2@db:5432/mlflow",
        "https://hunter2@github.com/a/b.git",
        "mysql+pymysql://root:hun%40hunter2@h/x failed",
        "GET /api?token=hunter2&page=1",
        "password: hunter2",
        "{'api_key': 'hunter2'}",
        "AWS_SECRET_ACCESS_KEY=hunter2",
        "Authorization: Bearer hunter2hunter2",
        "could not reach s3://key:hunter2@bucket/x, retry",
    ],
)
def test_a_secret_does_not_pass(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/a/b.git",
        "sqlite:////tmp/a b/mlflow.db",
        "val/accuracy = 0.93",
        "100 tokens a second",
        "mail me at a@b.org",
    ],
)
def test_what_is_no_secret_passes_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_setting_that_is_named_like_a_secret_is_hidden_and_another_is_not() -> None:
    assert redact_setting("prepare.source.password", "hunter2") == "***"
    assert redact_setting("prepare.source.tokens", 512) == "512"


def test_nested_settings_lose_their_secrets_and_nothing_else() -> None:
    settings = {
        "prepare": {"source": {"name": "sql", "url": "postgresql://ann:hunter2@db/x"}},
        "gate": {"rules": [{"metric": "test/accuracy", "at_least": 0.9}]},
        "teacher": {"api_key": "hunter2", "epochs": 3, "path": None},
    }
    shown = redact_settings(settings)
    assert "hunter2" not in str(shown)
    assert shown["gate"] == settings["gate"]
    assert shown["teacher"] == {"api_key": "***", "epochs": 3, "path": None}


def test_a_set_text_loses_its_secret_and_keeps_its_path() -> None:
    assert redact_set("teacher.api_key=hunter2") == "teacher.api_key=***"
    assert redact_set("distill.epochs=3") == "distill.epochs=3"
