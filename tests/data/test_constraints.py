import pytest

from stillhouse.data.constraints import Constraint, parse
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SettingsError

TABLE = Schema(
    "table",
    (3,),
    ("a", "b"),
    (Feature("systolic"), Feature("diastolic bp"), Feature("sex", "category", categories=("f",))),
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("systolic > diastolic bp", Constraint("systolic", "diastolic bp", False)),
        ("systolic>=diastolic bp", Constraint("systolic", "diastolic bp", True)),
        ("diastolic bp < systolic", Constraint("systolic", "diastolic bp", False)),
        ("diastolic bp <= systolic", Constraint("systolic", "diastolic bp", True)),
    ],
)
def test_what_is_written_is_read(text, wanted):
    assert parse(text, TABLE, "prepare.constraints.0") == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("systolic", "compares no two columns"),
        ("systolic > diastolic", "no column 'diastolic'"),
        ("systolic > sex", "holds categories"),
        ("systolic > systolic", "compared with itself"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text, said):
    with pytest.raises(SettingsError, match=said):
        parse(text, TABLE, "prepare.constraints.0")
