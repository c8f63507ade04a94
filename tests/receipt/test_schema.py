import copy

import pytest

from stillhouse.errors import Corrupt
from stillhouse.receipt.schema import check


def broken(receipt, path, value):
    changed = copy.deepcopy(receipt)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 2),
        (("verdict",), "promoted"),
        (("student", "test_accuracy"), ...),
        (("student", "bytes"), "many"),
        (("student", "parameters"), True),
        (("student", "test_accuracy"), [0.9, 0.8, 1.0]),
        (("rules", 0, "verdict"), "passed"),
        (("rules", 1, "name"), "test/accuracy ≥ 0.8"),
        (("arms", 0, "seeds"), [None]),
        (("flips", "negative"), 0.5),
        (("robustness", "pgd_linf_0.1"), [0.1, 0.2]),
    ],
)
def test_a_receipt_with_a_wrong_value_is_refused_by_its_path(made, path, value):
    check(made("promoted").receipt)
    with pytest.raises(Corrupt, match=r"receipt\."):
        check(broken(made("promoted").receipt, path, value))


def test_a_key_beside_the_schema_is_allowed(made):
    check({**made("promoted").receipt, "note": "mine"})
