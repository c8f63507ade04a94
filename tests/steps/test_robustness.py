from dataclasses import replace

import pytest
import torch
from steps.walked import SCHEMAS, fitted_teacher, job, listed_teacher, rows, settle, workspace

from stillhouse.data.schema import Feature, Schema
from stillhouse.edge.session import Session
from stillhouse.errors import PluginNotFound, SettingsError, UsageError
from stillhouse.robustness.kept import FOLDER
from stillhouse.steps import export, robustness
from stillhouse.steps.step import Job
from stillhouse.workspace import dump_tensors, load_tensors

ATTACKS = [
    {"name": "pgd", "norm": "linf", "epsilon": 0.05, "steps": 5},
    {"name": "fgsm", "norm": "l2", "epsilon": 0.3},
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A workspace with an exported student on each kind of rows."""
    made = {}
    for kind in SCHEMAS:
        made[kind] = workspace(tmp_path_factory.mktemp(kind), kind)
        export.step.run(job(made[kind], "export", {"int8": False}))
        settle(made[kind], "export")
        fitted_teacher(made[kind], kind)
    return made


def run(made, **section):
    asked = job(made, "robustness", section)
    metrics = robustness.step.run(asked)
    return (
        asked.files.read_json("robustness/robustness.json"),
        asked.files.read_tensors("robustness/outcomes.safetensors"),
        metrics,
    )


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_what_a_student_withstands_is_written_row_by_row(exported, kind):
    about, outcomes, metrics = run(exported[kind], attacks=ATTACKS)
    test = rows(kind, 150, 2)
    deployed = Session((exported[kind].artifacts / "export" / "student.onnx").read_bytes())
    assert torch.equal(
        outcomes["clean"].bool(), deployed.logits(test.inputs).argmax(dim=1) == test.targets
    )
    assert all(kept.shape == (150,) for kept in outcomes.values())
    assert {a["label"] for a in about["attacks"]} == {
        "pgd_linf_0.05",
        "fgsm_l2_0.3",
        "transfer_linf_0.05",
        "transfer_l2_0.3",
    }
    assert metrics["robust/linf/accuracy"] == float(
        torch.minimum(outcomes["attack/pgd_linf_0.05"], outcomes["attack/transfer_linf_0.05"])
        .double()
        .mean()
    )
    assert metrics["robust/linf/accuracy"] < metrics["robust/clean/accuracy"]
    assert [c["norm"] for c in about["curves"]] == ["l2", "linf"]
    assert about["positions"] is None


def test_a_few_corruptions_of_each_kind_are_the_default(exported):
    about, _, metrics = run(exported["image"], attacks=[])
    assert [c["name"] for c in about["corruptions"]] == ["blur", "contrast", "noise"]
    assert metrics["corruption/mean_accuracy"] == pytest.approx(
        sum(metrics[f"corruption/{n}/accuracy"] for n in ("blur", "contrast", "noise")) / 3
    )
    assert about["not_measured"] == []
    series = Schema("series", (9, 1), ("a", "b"), (Feature("x"),))
    for schema, expected in (
        (series, {"drift", "dropout", "noise"}),
        (SCHEMAS["table"], {"missing_cells", "noise"}),
    ):
        assert (
            set(robustness.suite(robustness.Settings(attacks=[]), schema, None, "").corruptions)
            == expected
        )


def test_cells_are_emptied_only_where_they_may_be_missing():
    full = Schema("table", (1,), ("a", "b"), (Feature("x"),))
    found = robustness.suite(robustness.Settings(attacks=[]), full, None, "")
    assert set(found.corruptions) == {"noise"}
    assert found.not_measured == [
        {"name": "missing_cells", "reason": "the schema lets no cell be missing."}
    ]
    with pytest.raises(UsageError, match="'missing_cells' empties cells"):
        robustness.suite(
            robustness.Settings(corruptions=[{"name": "missing_cells"}]), full, None, ""
        )


def test_a_corruption_that_is_asked_for_and_does_not_take_the_kind_is_refused_by_name(exported):
    run(exported["image"], attacks=[], corruptions=[{"name": "blur"}])
    with pytest.raises(UsageError, match="'blur' takes image"):
        run(exported["table"], attacks=[], corruptions=[{"name": "blur"}])


def test_an_attack_that_does_not_take_the_kind_is_refused_where_it_is_asked_for_and_listed_where_it_is_a_default():
    tokens = Schema("tokens", (4,), ("a", "b"), ())
    with pytest.raises(UsageError, match="'pgd' takes image"):
        robustness.suite(robustness.Settings(attacks=ATTACKS[:1]), tokens, None, "")
    found = robustness.suite(robustness.Settings(), tokens, None, "")
    assert [n["name"] for n in found.not_measured] == ["pgd_linf_0.1", "corruptions"]
    assert not found.cases


def test_a_teacher_without_gradients_leaves_transfer_unmeasured_and_is_named_where_it_is_asked_for(
    exported,
):
    made = exported["image"]
    listed_teacher(made)
    try:
        about, _, _ = run(made, attacks=ATTACKS[:1], corruptions=[])
        assert about["not_measured"] == [
            {"name": "transfer", "reason": "the teacher 'predictions' gives no gradients."}
        ]
        with pytest.raises(UsageError, match="Transfer"):
            run(made, attacks=[{"name": "transfer", "norm": "linf", "epsilon": 0.1}])
    finally:
        fitted_teacher(made)


def test_a_cap_draws_rows_by_seed_and_says_which(exported):
    about, outcomes, _ = run(exported["image"], attacks=ATTACKS[:1], corruptions=[], rows=40)
    assert about["positions"] == sorted(set(about["positions"]))
    assert len(about["positions"]) == len(outcomes["clean"]) == 40
    other, _, _ = run(exported["image"], attacks=ATTACKS[:1], corruptions=[], rows=40, seed=1)
    assert other["positions"] != about["positions"]


def test_a_second_run_gives_the_same_bytes(exported):
    asked = job(exported["table"], "robustness", {"attacks": ATTACKS})
    robustness.step.run(asked)
    before = [asked.files.read_bytes(f"robustness/{name}") for name in robustness.step.writes]
    robustness.step.run(asked)
    assert [
        asked.files.read_bytes(f"robustness/{name}") for name in robustness.step.writes
    ] == before


@pytest.mark.parametrize(
    ("section", "error", "place"),
    [
        (
            {"attacks": [{"name": "pdg", "norm": "linf", "epsilon": 0.1}]},
            PluginNotFound,
            "robustness.attacks.0.name",
        ),
        (
            {"attacks": [{"name": "pgd", "norm": "linf", "epsilon": 0}]},
            SettingsError,
            "robustness.attacks.0.epsilon",
        ),
        (
            {"attacks": [{"name": "pgd", "norm": "l0", "epsilon": 1}]},
            SettingsError,
            "robustness.attacks.0.norm",
        ),
        (
            {"attacks": [{"name": "pgd", "norm": "linf", "epsilon": {"float": [0.1, 1]}}]},
            SettingsError,
            "robustness.attacks.0.epsilon",
        ),
        ({"attacks": {"name": "pgd"}}, SettingsError, "robustness.attacks"),
        ({"attacks": ["pgd"]}, SettingsError, "robustness.attacks.0"),
        ({"corruptions": [{"name": "nose"}]}, PluginNotFound, "robustness.corruptions.0.name"),
        (
            {"corruptions": [{"name": "noise", "level": 3}]},
            SettingsError,
            "robustness.corruptions.0",
        ),
        (
            {"corruptions": [{"name": "noise"}, {"name": "noise"}]},
            SettingsError,
            "robustness.corruptions.1",
        ),
        ({"rows": 0}, SettingsError, "robustness.rows"),
        ({"attaks": []}, SettingsError, "robustness"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_with_their_place(section, error, place):
    robustness.step.check(
        {
            "robustness": {
                "attacks": ATTACKS,
                "corruptions": [{"name": "noise"}],
                "rows": 5,
                "seed": 3,
            }
        }
    )
    with pytest.raises(error) as caught:
        robustness.step.check({"robustness": section})
    assert caught.value.where == place


def test_an_empty_section_is_the_defaults():
    robustness.step.check({"robustness": {}})
    robustness.step.check({})


def under(made, gates=True, at_least=0.9, **section):
    """Run with a gate that asks for more under attack than any plain student has."""
    rule = {"metric": "robust/linf/accuracy", "at_least": at_least, "gates": gates}
    asked = job(made, "robustness", {"attacks": ATTACKS, **section})
    rules = [{"metric": "test/accuracy", "at_least": 0.5}, rule]
    asked = Job(asked.files, {**asked.params, "gate": {"rules": rules}}, asked.place)
    robustness.step.run(asked)
    return (
        asked.files.read_json("robustness/robustness.json"),
        asked.files.read_tensors("robustness/outcomes.safetensors"),
    )


def test_a_suite_whose_rule_will_fail_is_not_started_and_says_what_it_saw(exported):
    made = exported["image"]
    about, outcomes = under(made, attacks=[{"name": "pgd", "norm": "linf", "epsilon": 0.4}])
    (probe,) = about["probes"]
    assert (probe["fails"], probe["rows"]) == (True, 150)
    assert probe["seen"] < 150
    assert outcomes["probe/linf"].shape == (probe["seen"],)
    assert int(outcomes["probe/linf"].sum()) == probe["right"]
    assert about["attacks"] == about["curves"] == about["corruptions"] == []
    assert any("not started" in one["reason"] for one in about["not_measured"])
    again, same = under(made, attacks=[{"name": "pgd", "norm": "linf", "epsilon": 0.4}])
    assert (again, same["probe/linf"].tolist()) == (about, outcomes["probe/linf"].tolist())


def test_a_suite_goes_on_where_nothing_is_settled_where_none_decides_and_where_told(exported):
    made = exported["image"]
    about, outcomes = under(made, at_least=0.05)
    assert about["probes"][0]["fails"] is False
    assert "probe_linf_0.05" in {one["label"] for one in about["attacks"]}
    assert outcomes["attack/probe_linf_0.05"].shape == (150,)
    for section in ({"gates": False}, {"stop": False}):
        about, _ = under(made, attacks=ATTACKS[:1], corruptions=[], **section)
        assert "probes" not in about
        assert [one["label"] for one in about["attacks"]] == ["pgd_linf_0.05", "transfer_linf_0.05"]


def test_only_the_rules_that_can_stop_it_make_the_suite_stale(tmp_path):
    bound = {"metric": "robust/linf/accuracy", "at_least": 0.3}
    clean = {"metric": "test/accuracy", "at_least": 0.9}

    def marks(*rules, **section):
        params = {"gate": {"rules": list(rules)}, "robustness": section}
        return robustness.step.watermarks(params, tmp_path)

    assert marks(clean) == marks(clean, {**bound, "gates": False}) == {}
    assert marks(clean, bound) == marks({**clean, "at_least": 0.5}, bound) != {}
    assert marks(clean, bound) != marks(clean, {**bound, "at_least": 0.4})
    assert marks(clean, bound, stop=False) == {}


def test_the_plain_student_is_attacked_on_the_same_rows_beside_a_robust_one(exported):
    made, shipped = exported["image"], exported["image"].artifacts / "distill"
    assert "beside" not in run(made, attacks=ATTACKS, corruptions=[])[0]
    (shipped / "plain.safetensors").write_bytes((shipped / "student.safetensors").read_bytes())
    about, _, metrics = run(made, attacks=ATTACKS, corruptions=[])
    (shipped / "plain.safetensors").write_bytes(dump_tensors({}))
    plain = about["beside"]["plain"]
    direct = [one for one in about["attacks"] if not one["label"].startswith("transfer")]
    assert [one["label"] for one in plain["attacks"]] == [one["label"] for one in direct]
    # the same weights, so the same rows stay right; the one that ships is judged by its ONNX
    for one, other in zip(plain["attacks"], direct, strict=True):
        assert one["accuracy"][1] == pytest.approx(other["accuracy"][1], abs=0.02)
    assert metrics["plain/clean/accuracy"] == plain["clean"][1]
    assert set(plain["worst"]) == {"l2", "linf"}


def test_a_suite_that_was_killed_keeps_what_it_finished_and_comes_to_the_same(exported):
    made = exported["image"]
    whole = run(made, attacks=ATTACKS, corruptions=[])

    def killed(done, total, note):
        if note == "fgsm_l2_0.3":
            raise KeyboardInterrupt

    asked = job(made, "robustness", {"attacks": ATTACKS, "corruptions": []})
    with pytest.raises(KeyboardInterrupt):
        robustness.step.run(replace(asked, progress=killed))
    (kept,) = (made.root / FOLDER).iterdir()
    again = run(made, attacks=ATTACKS, corruptions=[])
    assert again[0] == whole[0]
    assert all(torch.equal(again[1][name], tensor) for name, tensor in whole[1].items())
    assert not (made.root / FOLDER).exists()
    # It was read, not made again: were another outcome kept, it would be told.
    with pytest.raises(KeyboardInterrupt):
        robustness.step.run(replace(asked, progress=killed))
    found = load_tensors(kept)
    made.write_bytes(
        str(kept.relative_to(made.root)), dump_tensors({**found, "still": 0 * found["still"]})
    )
    assert run(made, attacks=ATTACKS, corruptions=[])[2]["robust/pgd_linf_0.05/accuracy"] == 0
    with pytest.raises(KeyboardInterrupt):
        robustness.step.run(replace(asked, progress=killed))
    other = run(made, attacks=ATTACKS, corruptions=[], seed=1)
    assert other[2] == run(made, attacks=ATTACKS, corruptions=[], seed=1)[2]


def test_categories_are_flipped_where_there_are_some_and_rules_may_speak_of_it(exported):
    flip = {"name": "flip", "norm": "category", "epsilon": 1}
    about, outcomes, metrics = run(exported["table"], attacks=[flip], corruptions=[])
    (told,) = about["attacks"]
    assert told["label"] == "flip_category_1"
    assert metrics["robust/category/accuracy"] == told["accuracy"][1]
    assert outcomes["attack/flip_category_1"].shape == (150,)
    assert about["curves"] == []
    with pytest.raises(UsageError, match="'flip' takes"):
        run(exported["image"], attacks=[flip], corruptions=[])
