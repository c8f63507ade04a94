"""EOT: an attack on the mean answer of a model that draws."""

import torch
from torch import Tensor, nn

from stillhouse import config
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count, Spec
from stillhouse.errors import SettingsError


class MeanAnswer(nn.Module):
    """A model that answers with the mean of several passes, and so with the mean gradient.

    Args:
        model: Data space [B, *shape] to logits [B, C]; it may draw.
        draws: Passes an answer.
    """

    def __init__(self, model: nn.Module, draws: int) -> None:
        super().__init__()
        self.model, self.draws = model, draws

    def forward(self, inputs: Tensor) -> Tensor:
        total: Tensor = self.model(inputs)
        for _ in range(self.draws - 1):
            total = total + self.model(inputs)
        return total / self.draws


class EOT(Attack):
    """Expectation over transformation: another attack, led by the mean over what the model draws.

    Source:
        Athalye, Engstrom, Ilyas and Kwok 2018, arXiv:1707.07397, section 2; Athalye, Carlini and
        Wagner 2018, arXiv:1802.00420, section 4.2.
    """

    def __init__(self, *, attack: Spec | None = None, draws: Count = 20) -> None:
        spec = attack or {"name": "apgd_ce"}
        if spec.get("name") == "eot":
            raise SettingsError(
                "an eot of an eot means nothing.", where="attack", fix="Name another attack."
            )
        self.attack: Attack = config.plugin("attacks", spec, where="attack")
        if self.attack.on_surrogate:
            raise SettingsError(
                f"'{spec['name']}' is led by another model, of whose answers no mean is taken.",
                where="attack",
                fix="Name another attack.",
            )
        self.draws = draws

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        mean = MeanAnswer(model, self.draws)
        return self.attack.perturb(mean, inputs, targets, threat=threat, generator=generator)
