import pytest
import torch
from distillation.rows import batch

from stillhouse.config import build
from stillhouse.distillation.selector import Selector
from stillhouse.distillation.selectors.all import All
from stillhouse.distillation.selectors.confidence import Confidence
from stillhouse.distillation.selectors.disagreement import Disagreement
from stillhouse.distillation.selectors.teacher_correct import TeacherCorrect
from stillhouse.distillation.selectors.uncertain import Uncertain
from stillhouse.errors import SettingsError
from stillhouse.models.outputs import Outputs

STUDENT = Outputs(torch.zeros(4, 2))
# Probabilities of the teacher's decision: 3/4, 3/4, 1/2, 9/10.
TEACHER = Outputs(torch.tensor([[3.0, 1.0], [1.0, 3.0], [1.0, 1.0], [9.0, 1.0]]).log())
ROWS = batch(torch.tensor([0, 0, -1, -1]))


def test_all_weighs_every_row_the_same():
    assert All().weights(STUDENT, TEACHER, ROWS).tolist() == [1, 1, 1, 1]
    assert not All.selects


def test_teacher_correct_leaves_out_labelled_rows_that_the_teacher_gets_wrong():
    assert TeacherCorrect().weights(STUDENT, TEACHER, ROWS).tolist() == [1, 0, 1, 1]


def test_confidence_leaves_out_rows_below_its_threshold():
    assert Confidence(threshold=0.7).weights(STUDENT, TEACHER, ROWS).tolist() == [1, 1, 0, 1]
    assert Confidence(threshold=0.0).weights(STUDENT, TEACHER, ROWS).tolist() == [1, 1, 1, 1]
    assert Confidence(threshold=1.0).weights(STUDENT, TEACHER, ROWS).tolist() == [0, 0, 0, 0]


def test_a_threshold_above_one_is_refused():
    assert build(Confidence, {"threshold": 1.0}, where="distill.selector").threshold == 1.0
    with pytest.raises(SettingsError, match="less than or equal to 1"):
        build(Confidence, {"threshold": 1.5}, where="distill.selector")


def test_disagreement_weighs_rows_down_on_which_both_decide_alike():
    """The student decides 0 everywhere, the teacher 0, 1, 0 (a tie, the first) and 0."""
    assert Disagreement(agreed=0.25).weights(STUDENT, TEACHER, ROWS).tolist() == [
        0.25,
        1,
        0.25,
        0.25,
    ]
    assert Disagreement(agreed=0.0).weights(STUDENT, TEACHER, ROWS).tolist() == [0, 1, 0, 0]


def test_uncertain_weighs_rows_by_the_students_entropy():
    """Of (1/2, 1/2) it is ln 2, of (9/10, 1/10) 0.3251 nats, which is 0.4690 of ln 2; of a sure
    student 0.
    """
    student = Outputs(torch.tensor([[0.0, 0.0], [9.0, 1.0], [1e4, -1e4], [3.0, 3.0]]))
    student.logits[1] = student.logits[1].log()
    torch.testing.assert_close(
        Uncertain(floor=0.0).weights(student, TEACHER, ROWS),
        torch.tensor([1.0, 0.4690, 0.0, 1.0]),
        atol=1e-4,
        rtol=0,
    )
    torch.testing.assert_close(
        Uncertain(floor=0.5).weights(student, TEACHER, ROWS),
        torch.tensor([1.0, 0.7345, 0.5, 1.0]),
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.parametrize("selector", [Disagreement(), Uncertain()])
def test_weights_of_a_learning_student_carry_no_gradient(selector: Selector):
    student = Outputs(torch.zeros(4, 2, requires_grad=True) + 1)
    found = selector.weights(student, TEACHER, ROWS)
    assert not found.requires_grad
    assert ((found >= 0) & (found <= 1)).all()
