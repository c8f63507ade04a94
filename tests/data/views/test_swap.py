import torch
from data.views.seen import TABLE, look, rows

from stillhouse.data.views.swap import Swap


def test_a_share_of_the_cells_comes_from_other_rows_of_the_same_column() -> None:
    plain, found = rows(TABLE), look(Swap(share=0.3), TABLE)
    for column in range(4):
        held = plain[:, column]
        assert torch.isin(found[:, column].nan_to_num(nan=-1), held.nan_to_num(nan=-1)).all()
    changed = (found[:, 0] != plain[:, 0]).double().mean()
    assert 0.2 < changed < 0.35


def test_missing_cells_move_too() -> None:
    plain, found = rows(TABLE), look(Swap(share=1.0), TABLE)
    assert (found[:, 1].isnan() != plain[:, 1].isnan()).any()
    assert 0.1 < found[:, 1].isnan().double().mean() < 0.3
