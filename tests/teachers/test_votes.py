from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from teachers.served import serving

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import OverBudget, SourceError, UsageError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.teacher import Lesson, Oracle, oracle
from stillhouse.teachers.votes import Votes, Voting
from stillhouse.workspace import parse_tensors

LINE = {"name": "sklearn", "estimator": "logistic_regression"}


def make(**changes: object) -> Votes:
    made: Votes = config.plugin(
        "teachers", {"name": "votes", "of": LINE, **changes}, where="teacher"
    )
    return made


def one_column(sign: Callable[[torch.Tensor], torch.Tensor], **changes: Any) -> Oracle:
    """Votes of a teacher that decides by one number, whose spread is 1."""
    schema = Schema("table", (1,), ("no", "yes"), (Feature("x"),))
    decides = oracle(lambda inputs, rows: torch.stack([-sign(inputs[:, 0]), sign(inputs[:, 0])], 1))
    made = make(**{"samples": 400, "noise": 1.0, **changes})
    return Voting(decides, schema, made, {"spread": torch.tensor([made.noise]), "pool": torch.zeros(1, 1)})  # fmt: skip


def test_votes_tell_how_near_the_border_a_row_is_as_the_normal_distribution_does() -> None:
    rows = torch.tensor([[0.0], [0.5], [1.0], [-2.0]])
    found = one_column(torch.sign).logits(rows, torch.arange(4)).exp()[:, 1]
    wanted = torch.distributions.Normal(0.0, 1.0).cdf(rows[:, 0])
    assert (found - wanted).abs().max() < 0.08  # three deviations of 400 votes


def test_no_probability_is_nothing_and_smoothing_counts_as_votes() -> None:
    row = torch.tensor([[99.0]])
    found = one_column(torch.sign, samples=8).logits(row, torch.arange(1)).exp()
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.9]]))  # (0 + 1) / (8 + 2 · 1)
    found = one_column(torch.sign, samples=8, smoothing=4.0).logits(row, torch.arange(1)).exp()
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75]]))


def test_a_row_is_answered_the_same_in_whatever_company_and_otherwise_by_another_seed() -> None:
    rows = torch.randn(6, 1, generator=torch.Generator().manual_seed(1))
    voting = one_column(torch.sign, samples=31)
    whole = voting.logits(rows, torch.arange(6))
    torch.testing.assert_close(voting.logits(rows[[4, 2]], torch.arange(2)), whole[[4, 2]])
    other = one_column(torch.sign, samples=31, seed=1).logits(rows, torch.arange(6))
    assert not torch.equal(other, whole)


def test_copies_stay_inside_the_schema_and_the_row_itself_is_one_of_them(
    lesson: Callable[[], Lesson],
) -> None:
    schema = Schema(
        "table",
        (3,),
        ("no", "yes"),
        (
            Feature("age", "integer", low=0, high=9),
            Feature("ward", "category", categories=("a", "b", "c")),
            Feature("crp", low=0.0, missing=True),
        ),
    )
    draw = torch.Generator().manual_seed(0)
    inputs = torch.stack([torch.randint(10, (50,), generator=draw).float(), torch.randint(3, (50,), generator=draw).float(), torch.rand(50, generator=draw)], 1)  # fmt: skip
    inputs[0, 2] = torch.nan
    rows = Dataset(inputs, (inputs[:, 0] > 4).long(), schema, torch.arange(50))
    given = lesson()
    given = type(given)(rows, rows, given.root, given.scratch, 0, given.progress)
    made = make(of={"name": "sklearn", "trees": 3}, noise=0.5)
    files = made.learn(given)
    voting = made.recall(files, schema)
    assert isinstance(voting, Voting)
    copies = voting._copies(inputs[:5]).view(5, 32, 3)
    assert torch.equal(copies[:, 0].nan_to_num(nan=-1), inputs[:5].nan_to_num(nan=-1))
    assert torch.equal(copies[..., 0], copies[..., 0].round())
    assert float(copies[..., 0].min()) >= 0
    assert float(copies[..., 0].max()) <= 9
    assert set(copies[..., 1].unique().tolist()) == {0.0, 1.0, 2.0}
    assert copies[0, :, 2].isnan().all()
    assert torch.isfinite(ask(voting, rows)).all()
    spread = parse_tensors(files["votes.safetensors"], where="")["spread"]
    assert float(spread[0]) == pytest.approx(0.5 * float(np.std(inputs[:, 0].numpy())), rel=1e-5)


def test_the_price_is_that_of_all_copies_and_the_cap_holds(lesson: Callable[[], Lesson]) -> None:
    with serving() as server:
        paid = {"name": "endpoint", "url": server.url, "allow": ["127.0.0.1"], "rate": 1000.0}
        money = {"usd_per_row": 0.01, "cap_usd": 1.0}
        given = lesson()
        made = make(of={**paid, **money}, samples=8)
        voting = made.recall(made.learn(given), given.train.schema)
        few = given.val.inputs[:10]
        assert (voting.unpaid(few), voting.usd_per_row, voting.asks) == (80, 0.01, 8)
        with pytest.raises(OverBudget, match=r"cap of \$1.00"):
            voting.require_money(voting.unpaid(given.val.inputs))
        voting.require_money(voting.unpaid(few))
        assert voting.logits(few, given.val.rows[:10]).shape == (10, 10)
        assert len(server.asked) == 80


def test_a_list_of_answers_never_looks_at_noise(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    np.savez(given.root / "p.npz", rows=np.arange(1797), probabilities=np.full((1797, 10), 0.1))
    made = make(of={"name": "predictions", "path": "p.npz"})
    with pytest.raises(SourceError, match="never looks at noise"):
        made.recall(made.learn(given), given.train.schema)


def test_settings_that_do_not_fit_are_refused_at_load() -> None:
    with pytest.raises(UsageError, match=r"teacher\.noise"):
        make(noise=0.0)
    with pytest.raises(UsageError, match=r"teacher\.of"):
        make(of={"name": "sklern"})
    make()
