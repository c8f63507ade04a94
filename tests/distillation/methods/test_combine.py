import pytest
import torch
from distillation.rows import STUDENT, TARGETS, TEACHER, batch
from torch import nn

from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.ce import ce_loss
from stillhouse.distillation.methods.combine import Combine, combine_losses
from stillhouse.distillation.methods.dist import dist_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.errors import PluginNotFound, SettingsError
from stillhouse.models.outputs import Outputs

GIVEN = (Outputs(STUDENT), Outputs(TEACHER), batch(TARGETS))


def test_golden_value_by_hand():
    """Per row 0.5 × (1, 3) + 2 × (2, 1); with a batch-level part the mean 2 × 0.5 + 4 × 0.25."""
    first = torch.tensor([1.0, 3.0])
    assert torch.equal(
        combine_losses([first, torch.tensor([2.0, 1.0])], [0.5, 2.0]), torch.tensor([4.5, 3.5])
    )
    assert combine_losses([first, torch.tensor(4.0)], [0.5, 0.25]).item() == 2.0


def test_methods_with_a_loss_per_row_give_one():
    method = Combine(parts=[{"name": "kd", "weight": 0.9, "temperature": 2.0}, {"name": "ce"}])
    torch.testing.assert_close(
        method(*GIVEN), 0.9 * kd_loss(STUDENT, TEACHER, 2.0) + ce_loss(STUDENT, TEACHER)
    )
    assert method.per_sample


def test_one_batch_level_part_makes_it_batch_level():
    method = Combine(parts=[{"name": "kd", "weight": 0.5}, {"name": "dist", "weight": 2.0}])
    torch.testing.assert_close(
        method(*GIVEN), 0.5 * kd_loss(STUDENT, TEACHER).mean() + 2 * dist_loss(STUDENT, TEACHER)
    )
    assert not method.per_sample


def test_it_needs_what_any_part_needs_and_takes_what_all_take():
    method = Combine(parts=[{"name": "kd"}, {"name": "ce"}])
    assert method.needs == {"logits"}
    assert method.accepts == {"image", "table", "series"}


def test_parts_may_be_combined_themselves():
    method = Combine(
        parts=[{"name": "combine", "weight": 2.0, "parts": [{"name": "ce", "weight": 0.5}]}]
    )
    torch.testing.assert_close(method(*GIVEN), ce_loss(STUDENT, TEACHER))


class Noted(Method):
    """Adds to what the student sees, and has a weight of its own."""

    def __init__(self, plus: float) -> None:
        super().__init__()
        self.plus, self.told, self.own = plus, 0, nn.Parameter(torch.ones(1))

    def inputs(self, model, batch, generator):
        return batch.inputs + self.plus

    def after_step(self, model):
        self.told += 1


def test_hooks_and_parameters_of_the_parts_are_its_own():
    method = Combine(parts=[{"name": "kd"}])
    method.parts = nn.ModuleList([Noted(1.0), Noted(10.0)])
    seen = method.inputs(nn.Identity(), batch(TARGETS), torch.Generator())
    method.after_step(nn.Identity())
    assert torch.equal(seen, torch.full((3, 1), 11.0))
    assert [part.told for part in method.methods] == [1, 1]
    assert len(list(method.parameters())) == 2


@pytest.mark.parametrize(
    ("parts", "error", "said"),
    [
        ([], SettingsError, "at least one part"),
        ([{"name": "kd"}, {"name": "dkdd"}], PluginNotFound, r"parts\.1\.name.*Did you mean 'dkd'"),
        (
            [{"name": "kd", "temperature": -1}],
            SettingsError,
            r"parts\.0\.temperature: must be greater than 0",
        ),
        ([{"name": "kd", "weight": -1}], SettingsError, r"parts\.0\.weight"),
        ([{"name": "kd", "wieght": 1}], SettingsError, "unknown setting 'wieght'"),
        (["kd"], SettingsError, "needs a mapping with a name"),
    ],
)
def test_a_wrong_part_is_refused(parts: list[dict[str, object]], error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        Combine(parts=parts)
