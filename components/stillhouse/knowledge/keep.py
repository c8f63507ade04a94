"""How much of an answer is stored: all of it, an unbiased sample of it, or its largest part.

With C classes a whole answer takes 2C bytes. A sample of R classes, drawn from the teacher's own
softened probabilities, and its decision, which a sample does not tell, take 2R + 2 (twice that
above 32,767 classes) however many classes there are, and the gradient of the distillation loss that
it gives is right on average. The K largest logits are not:
what they leave out is nothing like the rest of a distribution, so they are stored beside the mass
of their tail, and with a warning.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from stillhouse.errors import SettingsError
from stillhouse.evaluation.tasks import LOWEST

Form = Literal["all", "sampled", "top"]
DECISIONS = "decisions"  # says that they are stored too, which samples once lacked
HALF = 2  # bytes of a stored number
SHORT = torch.iinfo(torch.int16).max + 1  # classes that two bytes can tell apart


class Keep(ABC):
    """What is kept of answers [B, C], each row's largest 0.

    Attributes:
        form: Its name in the settings.
        temperature: At which the answers may be learned from; None: at any.
    """

    form: ClassVar[Form]
    temperature: float | None = None

    @abstractmethod
    def bytes_a_row(self, classes: int) -> int:
        """Return the bytes that an answer of C classes takes, its row's number not counted."""

    @abstractmethod
    def encode(self, answers: Tensor, *, place: str) -> dict[str, Tensor]:
        """Return what is stored of answers [B, C].

        Args:
            answers: As the task stores them.
            place: A name of these rows, for whatever is drawn.
        """

    @abstractmethod
    def decode(self, held: Mapping[str, Tensor], classes: int) -> Tensor:
        """Return answers [B, C], float32, each row's largest 0, from what `encode` gave."""

    def decided(self, held: Mapping[str, Tensor]) -> Tensor | None:  # noqa: ARG002
        """Return the class [B] that the teacher decides for, from what `encode` gave; None where
        what `decode` returns is largest there.
        """
        return None

    def as_dict(self) -> dict[str, Any] | None:
        """Return JSON's form of it; None where all is kept."""
        return None

    def require_smaller(self, classes: int) -> None:
        """Refuse a form that takes no less than whole answers do.

        Raises:
            SettingsError: It does not; the message has both sizes.
        """
        part, whole = self.bytes_a_row(classes), HALF * classes
        if part >= whole:
            raise SettingsError(
                f"an answer kept as '{self.form}' takes {part} bytes, whole it takes {whole}.",
                where="knowledge.keep",
                fix="Write keep: all.",
            )


class All(Keep):
    """Everything, as it is."""

    form = "all"

    def bytes_a_row(self, classes: int) -> int:
        return HALF * classes

    def encode(self, answers: Tensor, *, place: str) -> dict[str, Tensor]:  # noqa: ARG002
        return {"logits": answers}

    def decode(self, held: Mapping[str, Tensor], classes: int) -> Tensor:  # noqa: ARG002
        return held["logits"].float()


@dataclass(frozen=True)
class Sampled(Keep):
    """Classes drawn from the softened probabilities, with return; how often one was drawn is its
    weight.

    The proposal is the teacher's own distribution, so that every importance weight is 1 and the
    drawn shares sum to 1. In cross entropy, which is linear in the teacher's probabilities, they
    give the gradient that whole answers give, on average. Of soft answers the class that was drawn
    most is seldom the likeliest one, so the teacher's decision is stored beside them.

    Attributes:
        count: R, draws a row.
        temperature: T of the softened probabilities; the loss has to use the same.
        seed: Of the draws.

    Source:
        Anshumann et al. 2025, "Sparse logit sampling: accelerating knowledge distillation in
        LLMs", arXiv:2503.16870, section 4 (random sampling, proposal p).
    """

    count: int
    temperature: float
    seed: int = 0
    form: ClassVar[Form] = "sampled"

    def bytes_a_row(self, classes: int) -> int:
        return (self.count + 1) * _width(classes)

    def encode(self, answers: Tensor, *, place: str) -> dict[str, Tensor]:
        chances = (answers.double() / self.temperature).softmax(dim=1)
        digest = hashlib.sha256(f"{self.seed} {place}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        drawn = torch.multinomial(chances, self.count, replacement=True, generator=generator)
        index = _index(answers.shape[1])
        return {
            "drawn": drawn.sort(dim=1).values.to(index),
            "decided": answers.argmax(dim=1).to(index),
        }

    def decode(self, held: Mapping[str, Tensor], classes: int) -> Tensor:
        drawn = held["drawn"].long()
        share = torch.zeros(len(drawn), classes)
        share.scatter_add_(1, drawn, torch.full(drawn.shape, 1 / self.count))
        return _from_zero(self.temperature * share.log())

    def decided(self, held: Mapping[str, Tensor]) -> Tensor:
        return held["decided"].long()

    def as_dict(self) -> dict[str, Any]:
        return {
            "form": self.form,
            "count": self.count,
            "temperature": self.temperature,
            "seed": self.seed,
            DECISIONS: True,
        }


@dataclass(frozen=True)
class Top(Keep):
    """The K largest logits and the mass of all others, which is spread evenly over them.

    Attributes:
        count: K.
    """

    count: int
    form: ClassVar[Form] = "top"

    def bytes_a_row(self, classes: int) -> int:
        return self.count * (_width(classes) + HALF) + HALF

    def encode(self, answers: Tensor, *, place: str) -> dict[str, Tensor]:  # noqa: ARG002
        logs = answers.double().log_softmax(dim=1)
        best = logs.topk(self.count, dim=1)
        rest = logs.scatter(1, best.indices, -torch.inf).logsumexp(dim=1).clamp_min(LOWEST)
        return {
            "classes": best.indices.to(_index(answers.shape[1])),
            "logs": best.values.clamp_min(LOWEST).half(),
            "tail": rest.half(),
        }

    def decode(self, held: Mapping[str, Tensor], classes: int) -> Tensor:
        each = held["tail"].float() - torch.log(torch.tensor(float(classes - self.count)))
        spread = each[:, None].expand(-1, classes).clone()
        return _from_zero(spread.scatter(1, held["classes"].long(), held["logs"].float()))

    def as_dict(self) -> dict[str, Any]:
        return {"form": self.form, "count": self.count}


ALL = All()


def keep_of(held: Mapping[str, Any] | None) -> Keep:
    """Return what `as_dict` described."""
    if held is None:
        return ALL
    rest = {key: value for key, value in held.items() if key not in ("form", DECISIONS)}
    return Sampled(**rest) if held["form"] == "sampled" else Top(**rest)


def _width(classes: int) -> int:
    return 2 if classes <= SHORT else 4


def _index(classes: int) -> torch.dtype:
    return torch.int16 if classes <= SHORT else torch.int32


def _from_zero(logits: Tensor) -> Tensor:
    """Return logits less each row's largest, none below what fp16 holds: a class that was never
    drawn has the probability 0 at any temperature.
    """
    return (logits - logits.amax(dim=1, keepdim=True)).clamp_min(LOWEST)
