import torch

from stillhouse.data.schema import Feature, Schema
from stillhouse.evaluation.tasks import task_of
from stillhouse.pipeline.predict import _values, threshold

SCHEMA = Schema("table", (1,), ("crash", "none"), (Feature("x"),), positive="crash")


def test_a_row_is_called_what_is_looked_for_from_the_chosen_threshold_on():
    logits = torch.tensor([[0.05, 0.95], [0.2, 0.8], [0.7, 0.3]]).log()
    said = task_of(SCHEMA).answers(logits, SCHEMA, [0.1])
    assert [row["class"] for row in said] == ["none", "crash", "crash"]
    assert [row["probability"] for row in said] == [0.95, 0.2, 0.7]
    likelier = task_of(SCHEMA).answers(logits, SCHEMA)
    assert [row["class"] for row in likelier] == ["none", "none", "crash"]


def test_the_threshold_is_the_students_as_its_receipt_tells_it():
    models = [{"name": "teacher", "threshold": 0.5}, {"name": "student", "threshold": 0.03}]
    told = {"evidence": {"two_classes": {"positive": "crash", "models": models}}}
    assert threshold(told) == {"class": "crash", "at": 0.03}
    assert threshold({"evidence": {"two_classes": None}}) is None


def test_the_thresholds_of_several_labels_are_those_of_the_receipt_in_the_schemas_order():
    labels = [{"name": "war", "threshold": 0.2}, {"name": "art", "threshold": 0.7}]
    told = threshold({"evidence": {"label_points": {"labels": labels}, "two_classes": None}})
    assert told == {"labels": {"war": 0.2, "art": 0.7}}
    assert _values(told) == [0.2, 0.7]
    assert _values({"class": "crash", "at": 0.03}) == [0.03]
    assert _values(None) == []
