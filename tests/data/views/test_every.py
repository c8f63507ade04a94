"""What every view promises."""

import pytest
import torch
from data.views.seen import IMAGE, SERIES, TABLE, look, rows

from stillhouse import config, plugins
from stillhouse.data.schema import Schema
from stillhouse.data.view import View

SCHEMAS = {"image": IMAGE, "series": SERIES, "table": TABLE}
NAMES = sorted(plugins.available("views"))
EACH = [
    pytest.param(name, SCHEMAS[kind], id=f"{name} on {kind}")
    for name in NAMES
    for kind in sorted(plugins.load("views", name).accepts)
]


def made(name: str) -> View:
    found: View = config.plugin("views", {"name": name}, where="knowledge.augment.0")
    return found


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.nan_to_num(nan=-1e9), other.nan_to_num(nan=-1e9))


@pytest.mark.parametrize(("name", "schema"), EACH)
def test_rows_change_but_keep_shape_and_type_and_the_originals_stay(
    name: str, schema: Schema
) -> None:
    before, view = rows(schema), made(name)
    given = before.clone()
    found = view(given, schema, torch.Generator().manual_seed(0))
    assert (found.shape, found.dtype) == (before.shape, before.dtype)
    assert same(given, before)
    assert not same(found, before)


@pytest.mark.parametrize(("name", "schema"), EACH)
def test_the_generator_alone_decides(name: str, schema: Schema) -> None:
    torch.manual_seed(1)
    one = look(made(name), schema, seed=4)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert same(look(made(name), schema, seed=4), one)
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(look(made(name), schema, seed=5), one)


@pytest.mark.parametrize(("name", "schema"), EACH)
def test_one_row_is_no_special_case(name: str, schema: Schema) -> None:
    assert look(made(name), schema, count=1).shape == (1, *schema.shape)


@pytest.mark.parametrize("schema", [IMAGE, SERIES], ids=["image", "series"])
def test_an_image_that_is_one_value_everywhere_stays_it_under_a_move(schema: Schema) -> None:
    flat = torch.full((4, *schema.shape), 0.5)
    for name in ("shift", "flip", "crop") if schema is IMAGE else ("window",):
        found = made(name)(flat, schema, torch.Generator().manual_seed(0))
        torch.testing.assert_close(found, flat)
