import copy

from stillhouse.receipt.same import ABSENT, Difference, compare, leaves, telling_first

RECEIPT = {
    "student": {"test_accuracy": [0.93, 0.95, 0.97], "bytes": 17000},
    "rules": [{"name": "test/accuracy", "observed": 0.95}],
    "edge": {"onnx_bytes": 17000, "latency_ms_p50": 0.01},
    "evidence": {"written_at": "2026-11-25", "latency": {"fp32": {"p50_ms": 0.01}}, "classes": []},
    "cost": {"seconds": 30.0},
    "lineage": {"git": "a" * 40, "code": "1", "dvc_lock": "2", "versions": {"torch": "2.13"}},
}


def test_receipts_that_differ_only_in_clocks_and_commit_are_the_same():
    again = copy.deepcopy(RECEIPT)
    again["edge"]["latency_ms_p50"] = 0.02
    again["evidence"] |= {"written_at": "2027-01-01", "latency": {}}
    again["cost"]["seconds"], again["lineage"]["git"] = 99.0, "b" * 40
    found = compare(RECEIPT, again)
    assert (found.differences, found.causes) == ((), ())
    assert found.values == 8  # 3 + 1 of the student, 2 of the rule, size, the empty list


def test_a_number_that_differs_in_its_last_bit_is_named_with_both_values():
    again = copy.deepcopy(RECEIPT)
    again["student"]["test_accuracy"][1] = 0.95 + 2**-53
    assert compare(RECEIPT, again).differences == (
        Difference("student.test_accuracy[1]", 0.95, 0.95 + 2**-53),
    )


def test_code_and_versions_are_told_as_causes_and_not_as_differences():
    again = copy.deepcopy(RECEIPT)
    again["lineage"] |= {"code": "9", "versions": {"torch": "2.14"}}
    found = compare(RECEIPT, again)
    assert found.differences == ()
    assert [d.name for d in found.causes] == ["lineage.code", "lineage.versions.torch"]


def test_what_only_one_of_them_has_is_a_difference():
    again = copy.deepcopy(RECEIPT)
    again["rules"].append({"name": "test/ece", "observed": 0.1})
    found = compare(RECEIPT, again).differences
    assert found == (
        Difference("rules[1].name", ABSENT, "test/ece"),
        Difference("rules[1].observed", ABSENT, 0.1),
    )
    assert [d.then for d in compare(again, RECEIPT).differences] == ["test/ece", 0.1]


def test_an_empty_list_is_a_value_of_its_own():
    assert dict(leaves({"a": [], "b": {}, "c": None})) == {"a": [], "b": {}, "c": None}


def test_of_hundreds_of_differences_the_verdict_and_the_student_come_first():
    names = [
        *(f"arms[0].seeds[{at}]" for at in range(300)),
        "student.test_accuracy[0]",
        "edge.bytes",
    ]
    names += ["student.parameters", "verdict"]
    order = [d.name for d in telling_first(Difference(name, 1, 2) for name in names)]
    assert order[:4] == ["verdict", "student.parameters", "student.test_accuracy[0]", "edge.bytes"]
    assert sorted(order) == sorted(names)
