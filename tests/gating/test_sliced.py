import pytest
import torch
from torch import nn

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.evaluation.tasks import MULTI_LABEL
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


def chart(n, seed):
    """The same people, with what each complains of; some of it nobody wrote down."""
    one = people(n, seed)
    generator = torch.Generator().manual_seed(seed + 10)
    targets = (torch.rand(n, 3, generator=generator) < torch.tensor([0.6, 0.3, 0.2])).float()
    targets[::20] = torch.nan
    targets[3::7, 1] = torch.nan
    schema = Schema(
        "table", (3,), (), SCHEMA.features, "multi_label", labels=("cough", "fever", "rash")
    )
    return Dataset(one.inputs, targets, schema, one.rows)


def log_odds(data, seed, collapse):
    """Every label right but in 3 % of rows, and one of them wrong in nearly all of the west ward
    above 75.
    """
    luck = torch.rand(len(data), generator=torch.Generator().manual_seed(seed))
    inside = (data.inputs[:, 1] == 2) & (data.inputs[:, 0] > 75)
    wrong = torch.where(inside & torch.tensor(collapse), luck < 0.85, luck < 0.03)
    said = data.targets.nan_to_num(0.0)
    said[:, 0] = torch.where(wrong, 1 - said[:, 0], said[:, 0])
    return 6 * (2 * said - 1), inside


def judged_labels(collapse):
    val, test = chart(1500, 0), chart(3000, 1)
    odds, inside = log_odds(test, 3, collapse)
    found = find_slices(Student(nn.Linear(3, 3), log_odds(val, 2, collapse)[0]), val, test)
    outcomes = Outcomes(
        test.targets,
        {"student": odds},
        task=MULTI_LABEL,
        classes=test.schema.labels,
        slices={one.name: one.rows for one in found},
    )
    rules = parse([{"metric": "test/exact_match", "at_least": 0.9}, {"name": "collapse"}])
    return found, inside, judge(rules, collect(outcomes))


def test_a_slice_in_which_one_of_several_labels_collapses_is_found_named_and_held():
    found, inside, told = judged_labels(collapse=True)
    assert 0.01 < float(inside.double().mean()) < 0.03
    assert told.findings[0].verdict == "pass"
    assert told.verdict == "hold"
    assert "ward = west" in told.findings[1].about
    worst = next(one for one in found if one.name == told.findings[1].about)
    assert float((worst.rows & inside).sum() / inside.sum()) > 0.5


def test_a_student_whose_labels_err_alike_everywhere_is_not_held():
    found, _, told = judged_labels(collapse=False)
    assert len(found) == 8
    assert told.findings[1].verdict == "pass"
    assert told.verdict == "promote"


@pytest.mark.parametrize(("rate", "named"), [(0.9, True), (0.1, False)])
def test_a_cluster_is_called_by_a_label_only_where_most_of_its_rows_have_it(rate, named):
    val = chart(400, 0)
    val.targets[:, :] = 0.0
    val.targets[: round(400 * rate), 2] = 1.0
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    val = Dataset(val.inputs, val.targets[order], val.schema, val.rows)
    odds = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    clusters = [
        one.name
        for one in find_slices(Student(nn.Linear(3, 3), odds), val, val)
        if "cluster" in one.name
    ]
    assert clusters
    assert all(("mostly rash" in name) is named for name in clusters)
