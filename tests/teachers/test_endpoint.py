import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from teachers.served import WEIGHT, Server, certificate, serving

from stillhouse.clock import ManualClock
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Quantity, Schema
from stillhouse.errors import (
    OverBudget,
    ServerUnreachable,
    SettingsError,
    SourceError,
    StillhouseError,
)
from stillhouse.teachers import speech
from stillhouse.teachers.ask import ask
from stillhouse.teachers.endpoint import Asked, Endpoint
from stillhouse.teachers.teacher import Lesson


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def rows(digits: Dataset) -> Dataset:
    return digits.take(torch.arange(40, 60))


def oracle(server: Server, rows: Dataset, folder: Path | None = None, **settings: Any) -> Asked:
    made = Endpoint(
        url=server.url,
        **{"allow": ("127.0.0.1",), "batch": 8, "rate": 1000.0, "tries": 2, **settings},
    )
    found = Asked(made, rows.schema, ManualClock())
    if folder is not None:
        found.keep_in(folder)
    return found


def wanted(rows: Dataset) -> torch.Tensor:
    return (rows.inputs.flatten(1) @ WEIGHT).log_softmax(dim=1)


def test_its_probabilities_become_logits_in_the_order_of_the_rows(
    server: Server, rows: Dataset
) -> None:
    torch.testing.assert_close(ask(oracle(server, rows), rows), wanted(rows), rtol=1e-4, atol=1e-4)
    assert [len(request["rows"]) for request in server.requests] == [8, 8, 4]
    assert server.asked == rows.rows.tolist()


def test_learn_asks_nothing_and_recall_gives_the_same_endpoint(
    server: Server, lesson: Callable[[], Lesson]
) -> None:
    given = lesson()
    teacher = Endpoint(url=server.url, allow=("127.0.0.1",))
    made = teacher.learn(given)
    assert server.requests == []
    torch.testing.assert_close(
        ask(teacher.recall(made, given.train.schema), given.val.take(torch.arange(9))),
        wanted(given.val.take(torch.arange(9))),
        rtol=1e-4,
        atol=1e-4,
    )
    with pytest.raises(SettingsError, match="another endpoint"):
        Endpoint(url="https://elsewhere.example/").recall(made, given.train.schema)


def test_no_row_is_asked_twice_not_even_by_another_process(
    server: Server, rows: Dataset, tmp_path: Path
) -> None:
    first = ask(oracle(server, rows, tmp_path), rows.take(torch.arange(12)))
    again = ask(oracle(server, rows, tmp_path), rows)
    assert server.asked == rows.rows.tolist()
    assert torch.equal(again[:12], first)
    ask(oracle(server, rows, tmp_path, version="two"), rows.take(torch.arange(3)))
    assert server.asked == [*rows.rows.tolist(), *rows.rows[:3].tolist()]


def test_equal_rows_are_asked_once(server: Server, rows: Dataset) -> None:
    twice = rows.take(torch.tensor([0, 1, 0]))
    found = ask(oracle(server, rows), twice)
    assert len(server.asked) == 2
    assert torch.equal(found[0], found[2])


NO_ANSWER: list[tuple[str, str]] = [
    ("half", r"leaves 4 rows: 44, 45, 46, 47 unanswered, of 8 asked"),
    ("doubled", "answers 16 rows to 8"),
    ("strangers", r"leaves 8 rows: 40, .* unanswered"),
    ("garbage", "no JSON of the right form"),
    ("unsummed", r"does not sum to 1 within 0.001 for 8 rows: 40"),
    ("negative", r"is not in \[0, 1\]"),
    ("nan", "NaN is no number"),
    ("narrow", "2 probabilities a row, the data have 10 classes"),
    ("ragged", "equally long lists"),
    ("deep", "nested deeper than 4"),
    ("huge", "answers more than 589,824 bytes to 8 rows"),
    ("redirect", "sends us on to 'http://169.254.169.254/.*not followed"),
    ("forbidden", "HTTP 403: 'no token'"),
]


@pytest.mark.parametrize(("behave", "said"), NO_ANSWER)
def test_an_answer_that_is_none_is_refused_by_what_is_wrong_with_it(
    server: Server, rows: Dataset, behave: str, said: str
) -> None:
    server.behave = behave
    asked = oracle(server, rows)
    with pytest.raises(SourceError, match=said) as caught:
        ask(asked, rows)
    assert caught.value.exit_code == 2
    assert len(server.requests) == 1  # what is wrong by itself is not asked again
    server.behave = "well"
    ask(asked, rows)


MAY_PASS: list[tuple[str, str]] = [
    ("too_many", "HTTP 429"),
    ("broken", "HTTP 500"),
    ("hangs_up", "Disconnected|reset"),
    ("cut", "cut short"),
    ("no_http", "BadStatusLine"),
    ("packed", "packed as gzip"),
    ("drips", "no whole answer came within 0.4 s"),
]


@pytest.mark.parametrize(("behave", "said"), MAY_PASS)
def test_what_may_pass_is_tried_again_and_then_told(
    server: Server, rows: Dataset, behave: str, said: str
) -> None:
    server.behave, server.times = behave, 1
    ask(oracle(server, rows, seconds=0.4), rows)
    server.behave, server.times = behave, 99
    with pytest.raises(ServerUnreachable, match=said) as caught:
        ask(oracle(server, rows, seconds=0.4), rows)
    assert (caught.value.exit_code, caught.value.may_pass) == (1, True)


def test_it_waits_as_long_as_the_server_asks(server: Server, rows: Dataset) -> None:
    server.behave, server.times = "too_many", 1
    asked = oracle(server, rows)
    ask(asked, rows.take(torch.arange(2)))
    assert asked._clock.seconds() == pytest.approx(7, abs=0.1)


def test_it_waits_until_the_time_that_the_server_names(server: Server, rows: Dataset) -> None:
    server.behave, server.times = "too_many_until", 1
    asked = oracle(server, rows)
    ask(asked, rows.take(torch.arange(2)))
    assert asked._clock.seconds() == pytest.approx(20, abs=2)


def test_a_server_that_wants_to_be_left_alone_for_long_is(server: Server, rows: Dataset) -> None:
    server.behave, server.times = "too_many_today", 1
    asked = oracle(server, rows)
    with pytest.raises(ServerUnreachable, match="left alone for 3,600 s: HTTP 429"):
        ask(asked, rows.take(torch.arange(2)))
    assert (asked._clock.seconds(), len(server.requests)) == (0, 1)


def test_no_more_requests_a_second_than_allowed(server: Server, rows: Dataset) -> None:
    asked = oracle(server, rows, rate=0.5)
    ask(asked, rows)
    assert asked._clock.seconds() == pytest.approx(4, abs=0.1)  # three requests, two waits


def test_a_killed_job_goes_on_where_it_was(server: Server, rows: Dataset, tmp_path: Path) -> None:
    asked = oracle(server, rows, tmp_path)
    ask(asked, rows.take(torch.arange(8)))
    server.behave = "half"
    with pytest.raises(SourceError):
        ask(asked, rows)
    server.behave = "well"
    ask(oracle(server, rows, tmp_path), rows)
    assert server.asked.count(40) == 1


# --- money ----------------------------------------------------------------------------------------


def test_the_cap_stops_with_exit_3_and_keeps_what_was_paid_for(
    server: Server, rows: Dataset, tmp_path: Path
) -> None:
    money = {"usd_per_row": 0.01, "cap_usd": 0.17}
    with pytest.raises(
        OverBudget, match=r"4 more rows cost \$0.04; \$0.16 of the cap of \$0.17"
    ) as caught:
        ask(oracle(server, rows, tmp_path, **money), rows)
    assert caught.value.exit_code == 3
    assert len(server.asked) == 16
    with pytest.raises(OverBudget):
        ask(oracle(server, rows, tmp_path, **money), rows)
    assert len(server.asked) == 16
    ask(oracle(server, rows, tmp_path, **{**money, "cap_usd": 0.2}), rows)
    assert len(server.asked) == 20


def test_a_job_that_costs_more_than_the_cap_is_not_begun(
    server: Server, rows: Dataset, tmp_path: Path
) -> None:
    asked = oracle(server, rows, tmp_path, usd_per_row=0.01, cap_usd=0.1)
    assert asked.unpaid(rows.inputs) == 20
    with pytest.raises(OverBudget, match=r"20 more rows cost \$0.20"):
        asked.require_money(asked.unpaid(rows.inputs))
    asked.require_money(10)
    ask(asked, rows.take(torch.arange(10)))
    assert asked.unpaid(rows.inputs) == 10


def test_a_lost_answer_counts_as_paid_and_a_refused_question_does_not(
    server: Server, rows: Dataset, tmp_path: Path
) -> None:
    few = rows.take(torch.arange(2))
    for behave, sent in (("hangs_up", 4), ("too_many", 6)):
        server.behave, server.times = behave, 1
        asked = oracle(server, few, tmp_path, usd_per_row=1.0, cap_usd=100.0, version="")
        ask(
            asked,
            few.take(torch.arange(2)) if behave == "hangs_up" else rows.take(torch.arange(2, 4)),
        )
        assert asked._purse.sent == sent


def test_a_price_without_a_cap_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing says how much may be spent"):
        Endpoint(url="https://a.example/", usd_per_row=0.1)
    Endpoint(url="https://a.example/", usd_per_row=0.1, cap_usd=1.0)


# --- what it says ---------------------------------------------------------------------------------


def test_classes_are_matched_by_the_names_that_the_answer_or_the_setting_gives(
    server: Server, rows: Dataset
) -> None:
    backwards = tuple(str(k) for k in range(9, -1, -1))
    flipped = wanted(rows).flip(1)
    torch.testing.assert_close(
        ask(oracle(server, rows, classes=backwards), rows), flipped, rtol=1e-4, atol=1e-4
    )
    server.classes = list(backwards)
    torch.testing.assert_close(ask(oracle(server, rows), rows), flipped, rtol=1e-4, atol=1e-4)
    server.classes = [*"abcdefghij"]
    with pytest.raises(SourceError, match="the data have no class 'a'"):
        ask(oracle(server, rows), rows)


def test_an_endpoint_whose_model_changed_is_not_mixed_with_its_former_answers(
    server: Server, rows: Dataset, tmp_path: Path
) -> None:
    asked = oracle(server, rows, tmp_path)
    ask(asked, rows)
    asked.require_same(rows.inputs[:4], rows.rows[:4])
    server.weight_shift = 1.0
    with pytest.raises(SourceError, match="otherwise than when its answers were bought"):
        asked.require_same(rows.inputs[:4], rows.rows[:4])


def test_a_token_comes_from_the_environment_and_is_never_shown(
    server: Server, rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="'MY_TOKEN' is not set"):
        ask(oracle(server, rows, variable="MY_TOKEN"), rows)
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    ask(oracle(server, rows, variable="MY_TOKEN"), rows)
    assert server.headers[-1]["Authorization"] == "Bearer s3cret"
    for behaves, said in (("forbidden", "no token"), ("echoes", "nobody knows Bearer ***")):
        server.behave = behaves
        with pytest.raises(StillhouseError, match=re.escape(said)) as caught:
            ask(oracle(server, rows, variable="MY_TOKEN"), rows)
        assert "s3cret" not in str(caught.value)


def test_proxies_of_the_environment_are_not_asked(
    server: Server, rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert len(ask(oracle(server, rows), rows)) == len(rows)


def test_a_table_s_row_is_sent_by_column_name() -> None:
    features = (
        Feature("age"),
        Feature("sex", kind="category", categories=("f", "m")),
        Feature("lab", missing=True),
    )
    schema = Schema("table", (3,), ("no", "yes"), features)
    said = speech.question(torch.tensor([[40.0, 1.0, torch.nan]]), torch.tensor([5]), schema)
    assert said == b'{"rows": [5], "inputs": [{"age": 40.0, "sex": "m", "lab": null}]}'


def test_a_certificate_that_nobody_signed_is_not_waved_through(
    rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path)
    with serving(path) as secure:
        with pytest.raises(SourceError, match="certificate is not trusted"):
            ask(oracle(secure, rows), rows)
        assert secure.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        ask(oracle(secure, rows), rows)


def flats(*quantiles: float) -> Dataset:
    quantity = Quantity("price", "eur", quantiles)
    schema = Schema("table", (1,), (), (Feature("x"),), "regression", quantity)
    inputs = torch.arange(12.0)[:, None]
    return Dataset(inputs, 100 * inputs[:, 0], schema, torch.arange(12))


def test_a_quantitys_values_come_in_its_own_unit(server: Server, tmp_path: Path) -> None:
    server.behave, rows = "tells", flats()
    found = ask(oracle(server, rows, tmp_path), rows)
    assert torch.equal(found[:, 0], rows.targets)
    again = oracle(server, rows, tmp_path)
    assert torch.equal(ask(again, rows), found)
    assert server.asked == rows.rows.tolist()
    again.require_same(rows.inputs[:4], rows.rows[:4])


def test_quantiles_are_matched_by_their_names(server: Server) -> None:
    server.behave, rows = "spreads", flats(0.1, 0.5, 0.9)
    found = ask(oracle(server, rows), rows)
    assert torch.equal(found, rows.inputs + torch.tensor([-1.0, 0.0, 1.0]))


def test_a_quantity_that_is_answered_otherwise_now_is_told(server: Server, tmp_path: Path) -> None:
    server.behave, rows = "tells", flats()
    asked = oracle(server, rows, tmp_path)
    ask(asked, rows)
    asked._purse.keep([next(iter(asked._purse._kept))], torch.tensor([[5000.0]]))
    with pytest.raises(SourceError, match=r"now answers .*0 otherwise"):
        asked.require_same(rows.inputs[:4], rows.rows[:4])


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        ("overflows", "not a finite number for 8 rows"),
        ("garbage", "no JSON of the right form"),
        ("spreads", "3 numbers a row, 'price' is told by 1"),
    ],
)
def test_what_is_no_quantity_is_refused(server: Server, behave: str, said: str) -> None:
    server.behave = behave
    with pytest.raises(SourceError, match=said):
        ask(oracle(server, flats()), flats())
