"""What changes a champion and what does not: other settings for one run, a gate that says no, a
promotion by hand, a rollback. In this order.
"""

import json

import pytest
from integration.house import STEPS, House, states

OTHER = ("--set", "distill.student.width=40")


@pytest.fixture(autouse=True)
def _open(prefect: str) -> None:
    """A server that is open already spares each run the start of its own."""


def test_another_method_for_one_run_repeats_only_what_depends_on_it_and_a_gate_that_says_no_registers_nothing(
    house: House,
):
    settings, before, ledger = (
        (house.root / "params.yaml").read_bytes(),
        house.hashes(),
        house.ledger(),
    )
    strict = "gate.rules=[{metric: test/accuracy, at_least: 0.9999}]"
    told = house.json(
        "run", "--set", "distill.method.name=dkd", "--set", "tune.trials=1", "--set", strict, code=3
    )
    assert (told["outcome"], told["version"]) == ("rejected", None)
    assert states(told) == {name: "unchanged" if name in STEPS[:4] else "ran" for name in STEPS}
    receipt = house.json("receipt")
    assert (receipt["verdict"], receipt["settings"]["distill"]["method"]) == (
        "reject",
        {"name": "dkd"},
    )
    assert (house.root / "params.yaml").read_bytes() == settings
    assert house.ledger() == ledger
    assert len(house.registry().versions()) == 1
    back = house.json("run")
    assert (back["outcome"], back["version"]) == ("unchanged", 1)
    assert "ran" not in states(back).values()
    assert house.hashes() == before


def test_a_gate_that_cannot_decide_holds(house: House):
    """The margin is what was observed: there, no number of rows decides."""
    receipt = house.artifact("report/receipt.json")
    margin = receipt["teacher"]["test_accuracy"][1] - receipt["student"]["test_accuracy"][1]
    told = house.json(
        "run",
        "--set",
        f"gate.rules=[{{metric: test/accuracy, against: teacher, margin: {margin}}}]",
        code=3,
    )
    rules = house.artifact("report/receipt.json")["rules"]
    verdicts = [rule["verdict"] for rule in rules if rule["gates"] and not rule["guards"]]
    assert (told["outcome"], told["version"], verdicts) == ("held", None, ["undecided"])
    assert (house.ledger().head, house.ledger().champion) == (1, 1)


def test_with_approval_a_student_that_passes_waits_until_it_is_promoted_by_hand(house: House):
    told = house.json("run", *OTHER, "--set", "release.approval=true", code=3)
    assert (told["outcome"], told["version"]) == ("held", 2)
    assert (house.ledger().champion, house.registry().aliases()["challenger"]) == (1, 2)
    promoted = house.json("promote", 2)
    assert promoted == {"outcome": "promoted", "model": "digits", "version": 2}
    status = house.json("status")
    assert (
        status["champion"]["version"],
        status["previous"],
        status["challenger"],
        status["aliases_agree"],
    ) == (2, 1, None, True)


def test_a_rollback_from_a_head_that_moved_is_refused_and_the_right_one_brings_the_first_back(
    house: House,
):
    stale = house.stillhouse("rollback", "--from", 1, code=3)
    assert "2" in stale.err
    assert "Traceback" not in stale.said
    assert house.ledger().champion == 2
    told = house.json("rollback", "--from", 2)
    assert (told["champion"]["version"], told["champion"]["head"], told["aliases_agree"]) == (
        1,
        3,
        True,
    )
    assert (house.ledger().effective[-1].entry.number, sorted(house.ledger().quarantined)) == (
        3,
        [2],
    )


def test_a_student_that_was_rolled_back_is_held_until_somebody_insists(house: House):
    done = house.stillhouse("run", *OTHER, "--json", code=3)
    told = json.loads(done.out)
    assert (told["outcome"], told["version"]) == ("held", None)
    assert house.ledger().champion == 1
    assert house.json("promote", 2)["outcome"] == "promoted"
    assert (house.ledger().champion, house.ledger().quarantined) == (2, frozenset())


def test_the_first_student_is_judged_again_over_the_new_champion(house: House):
    told = house.json("run")
    assert (told["outcome"], told["version"]) == ("promoted", 1)
    assert states(told) == {
        **dict.fromkeys(STEPS, "restored"),
        **dict.fromkeys(STEPS[:4], "unchanged"),
        "gate": "ran",
        "report": "ran",
    }
    receipt = house.artifact("report/receipt.json")
    assert receipt["flips"]["against"] is not None
    assert {rule["name"]: rule["verdict"] for rule in receipt["rules"]}.get(
        "test/accuracy vs champion"
    ) == "pass", receipt["rules"]
    assert len(house.registry().versions()) == 2


def test_a_version_that_does_not_exist_cannot_be_promoted(house: House):
    done = house.stillhouse("promote", 99, code=2)
    assert "99" in done.err
    assert "Traceback" not in done.said
