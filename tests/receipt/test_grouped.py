import pytest
import torch
from scipy import stats

from stillhouse.receipt.grouped import by_group
from stillhouse.receipt.words import held_out


def test_groups_are_counted_once_each_however_many_rows_they_have() -> None:
    groups = torch.tensor([7] * 10 + [3] * 2 + [5] * 4)
    right = torch.tensor([1] * 9 + [0] + [1, 0] + [1, 1, 1, 0]).bool()  # 0.9, 0.5 and 0.75
    told = by_group(right, groups)
    assert told is not None
    assert (told["groups"], told["lowest"], told["highest"]) == (3, 0.5, 0.9)
    low, high = stats.t.interval(0.95, 2, loc=2.15 / 3, scale=stats.sem([0.9, 0.5, 0.75]))
    assert told["over"][0] == pytest.approx(max(0, low), abs=1e-9)
    assert told["over"][1] == pytest.approx(2.15 / 3)
    assert told["over"][2] == pytest.approx(min(1, high), abs=1e-9)
    assert told["over"][2] == 1.0, "a share cannot be above 1"


def test_one_group_tells_nothing_of_others() -> None:
    assert by_group(torch.ones(5).bool(), torch.zeros(5)) is None


def test_the_page_says_what_intervals_of_rows_do_not_know() -> None:
    told = {"groups": 5, "lowest": 0.812, "highest": 0.97, "over": [0.8, 0.9, 1.0]}
    said = held_out({"evidence": {"groups": told}})
    assert "five held-out groups" in said
    assert "81.2 to 97.0" in said
    assert "[80.0, 100.0]" in said
    assert held_out({"evidence": {"groups": None}}) == ""
    assert held_out({"evidence": {}}) == "", "a receipt of before has none"
