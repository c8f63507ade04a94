"""Attack any torch model: a threat, an attack, a result that only the model's answers decide."""

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.result import Budget, Result
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat

__all__ = ["Attack", "Budget", "Result", "Space", "Threat"]
