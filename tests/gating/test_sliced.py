import pytest
import torch
from torch import nn

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.settings import parse
from stillhouse.gating.sliced import Student, find_slices
from stillhouse.gating.verdict import judge

SCHEMA = Schema(
    "table",
    (3,),
    ("ill", "well"),
    (
        Feature("age"),
        Feature("ward", "category", categories=("east", "north", "west")),
        Feature("pulse", missing=True),
    ),
)


def people(n, seed):
    generator = torch.Generator().manual_seed(seed)
    age = 20 + 70 * torch.rand(n, generator=generator)
    ward = torch.multinomial(torch.tensor([0.5, 0.4, 0.1]), n, True, generator=generator)
    pulse = torch.randn(n, generator=generator)
    pulse[::40] = torch.nan
    inputs = torch.stack([age, ward.float(), pulse], dim=1)
    targets = torch.randint(0, 2, (n,), generator=generator)
    return Dataset(inputs, targets, SCHEMA, torch.arange(n))


def answers(data, seed, collapse=True):
    """Right on 97 % of rows, and wrong on nearly all of the west ward above 75: about 2 %."""
    luck = torch.rand(len(data), generator=torch.Generator().manual_seed(seed))
    inside = (data.inputs[:, 1] == 2) & (data.inputs[:, 0] > 75)
    wrong = torch.where(inside & torch.tensor(collapse), luck < 0.85, luck < 0.03)
    said = torch.where(wrong, 1 - data.targets, data.targets)
    return 3 * torch.nn.functional.one_hot(said, 2).float(), inside


@pytest.fixture(scope="module")
def split():
    return people(1500, 0), people(3000, 1)


def judged(split, collapse):
    val, test = split
    logits, _ = answers(test, 3, collapse)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    found = find_slices(Student(net, answers(val, 2, collapse)[0]), val, test)
    outcomes = Outcomes(
        test.targets, {"student": logits}, slices={one.name: one.rows for one in found}
    )
    rules = parse([{"metric": "test/accuracy", "at_least": 0.9}, {"name": "collapse"}])
    return found, judge(rules, collect(outcomes))


def test_two_per_cent_that_collapse_while_the_mean_stays_are_found_named_and_held(split):
    found, told = judged(split, collapse=True)
    inside = answers(split[1], 3)[1]
    assert 0.01 < float(inside.double().mean()) < 0.03
    assert told.findings[0].observed > 0.94
    assert told.findings[0].verdict == "pass"
    assert told.verdict == "hold"
    assert "ward = west" in told.findings[1].about
    worst = next(one for one in found if one.name == told.findings[1].about)
    assert float((worst.rows & inside).sum() / inside.sum()) > 0.5


def test_a_student_that_errs_alike_everywhere_is_not_held(split):
    found, told = judged(split, collapse=False)
    assert len(found) == 8
    assert told.verdict == "promote"


def test_of_a_net_of_one_layer_clusters_are_made_of_its_logits_and_few_rows_have_no_slices(split):
    val, test = split
    logits = answers(val, 2)[0]
    assert find_slices(Student(nn.Linear(3, 2), logits), val, test)
    few = val.take(torch.arange(30))
    assert find_slices(Student(nn.Linear(3, 2), logits[:30]), few, test) == []


def test_the_same_rows_give_the_same_slices(split):
    first, again = (judged(split, collapse=True)[0] for _ in range(2))
    assert [one.name for one in first] == [one.name for one in again]
