import torch
from data.views.seen import TABLE, look, rows

from stillhouse.data.schema import Feature, Schema
from stillhouse.data.views.munge import Munge, _nearest


def test_values_stay_inside_the_schema() -> None:
    plain, found = rows(TABLE), look(Munge(share=1.0, spread=0.1), TABLE)
    assert torch.equal(found[:, 0], found[:, 0].round())
    assert plain[:, 0].min() <= found[:, 0].min()
    assert found[:, 0].max() <= plain[:, 0].max()
    assert torch.isin(found[:, 2], torch.tensor([0.0, 1.0, 2.0])).all()
    assert torch.isin(found[:, 3], torch.tensor([0.0, 1.0])).all()
    assert not torch.equal(found[:, 0], plain[:, 0])


def test_the_nearest_row_is_another_one_with_the_same_category() -> None:
    schema = Schema(
        "table",
        (2,),
        ("a", "b"),
        (Feature("x"), Feature("c", kind="category", categories=("u", "v"))),
    )
    held = torch.tensor([[0.0, 0], [0.15, 1], [0.2, 0], [5.0, 1], [5.1, 1]])
    assert _nearest(held, schema).tolist() == [2, 2, 0, 4, 3]


def test_new_rows_lie_near_real_ones() -> None:
    plain = torch.cat([torch.zeros(100, 1), torch.full((100, 1), 100.0)])
    plain += torch.rand(200, 1, generator=torch.Generator().manual_seed(0))
    schema = Schema("table", (1,), ("a", "b"), (Feature("x"),))
    found = Munge(share=1.0)(plain, schema, torch.Generator().manual_seed(0))
    assert ((found < 2) | (found > 98)).all()
    assert len(found.unique()) > 150
