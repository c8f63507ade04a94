import torch

from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat
from stillhouse.data.schema import Feature, Schema

NAN = torch.nan


def test_a_table_counts_in_standard_deviations_and_takes_open_bounds_from_the_rows():
    features = (
        Feature("age", kind="integer", low=0.0),
        Feature("sex", kind="category", categories=("f", "m")),
        Feature("smokes", kind="binary"),
        Feature("site", mutable=False),
        Feature("always"),
        Feature("lab", missing=True),
    )
    rows = torch.tensor([[20.0, 0, 0, 1, 7, NAN], [40.0, 1, 1, 2, 7, 1.0], [60.0, 1, 0, 3, 7, 3.0]])
    space = Space.of(Schema("table", (6,), ("a", "b"), features), rows)
    assert space.mutable.tolist() == [True, False, False, False, False, True]
    assert space.low.tolist() == [0.0, 0.0, 0.0, 1.0, 7.0, 1.0]
    assert space.high.tolist() == [60.0, 1.0, 1.0, 3.0, 7.0, 3.0]
    torch.testing.assert_close(space.scale[[0, 5]], torch.tensor([(800 / 3) ** 0.5, 1.0]))
    assert space.scale[4] == 1.0
    assert space.missing.tolist() == [False] * 5 + [True]


def test_an_image_counts_in_data_space_and_a_black_pixel_may_change():
    images = torch.zeros(3, 2, 4, 4)
    images[:, 1] = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1)
    space = Space.of(
        Schema(
            "image",
            (2, 4, 4),
            ("a", "b"),
            (Feature("r", low=0.0, high=1.0), Feature("g", low=0.0, high=1.0)),
        ),
        images,
    )
    assert space.low.shape == (2, 4, 4)
    assert space.mutable.all()
    assert (space.scale == 1).all()
    assert (space.high == 1).all()
    assert (space.deviation[0] == 0).all()
    torch.testing.assert_close(space.deviation[1, 2, 3], torch.tensor((0.08 / 3) ** 0.5))


def test_a_series_has_its_features_last():
    series = torch.arange(24.0).reshape(2, 4, 3)
    space = Space.of(Schema("series", (4, 3), ("a", "b"), tuple(Feature(n) for n in "xyz")), series)
    assert space.low[0].tolist() == [0.0, 1.0, 2.0]
    assert space.high[3].tolist() == [21.0, 22.0, 23.0]


def test_what_holds_between_columns_is_not_broken_and_what_does_not_hold_may_stay():
    names = (Feature("high"), Feature("low"), Feature("least"))
    schema = Schema("table", (3,), ("a", "b"), names, constraints=("high > low", "low >= least"))
    clean = torch.tensor([[5.0, 3.0, 1.0], [5.0, 3.0, 1.0], [5.0, 3.0, 3.0], [1.0, 4.0, 0.0]])
    space = Space.of(schema, torch.tensor([[9.0, 9.0, 9.0], [0.0, 0.0, 0.0]]))
    moved = torch.tensor([[6.0, 4.0, 2.0], [3.0, 4.0, 2.0], [5.0, 2.0, 3.0], [0.5, 4.5, 0.0]])
    found = space.clip(moved, clean)
    assert found[0].tolist() == [6.0, 4.0, 2.0]  # holds: all of it is kept
    assert found[1].tolist() == [5.0, 3.0, 2.0]  # both columns are put back
    assert found[2].tolist() == [5.0, 3.0, 3.0]
    assert found[3].tolist() == [0.5, 4.5, 0.0]  # was broken before
    threat = Threat("linf", 2.0, space)
    assert threat.allows(threat.project(moved, clean), clean).all()
    assert not threat.allows(moved[1:2], clean[1:2]).item()
