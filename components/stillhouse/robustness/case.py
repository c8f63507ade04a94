"""From `{name: pgd, norm: linf, epsilon: 0.1, steps: 20}` in params.yaml to an attack with its
threat and its label.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse import config, plugins
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.made import MADE, odd
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Norm, Threat
from stillhouse.config import Positive, Spec
from stillhouse.errors import SettingsError, nearest


@dataclass(frozen=True)
class Ball:
    """What every attack's settings hold beside its own knobs.

    Attributes:
        norm: How a change is measured.
        epsilon: Its largest size; 1 where `reach` says it feature by feature.
        reach: How far each feature may move, in its own raw units; empty: epsilon holds for all.
    """

    norm: Norm
    epsilon: Positive
    reach: tuple[tuple[str, Positive], ...] = ()

    def within(self, space: Space) -> Space:
        """Return the space in which the ball lies. Errors as `Space.within`."""
        return space.within(dict(self.reach)) if self.reach else space

    @property
    def told(self) -> float | dict[str, float]:
        """Epsilon as it was written."""
        return dict(self.reach) if self.reach else self.epsilon


@dataclass(frozen=True)
class Case:
    """One attack under one threat.

    Attributes:
        label: Names it in metrics and outcomes, such as `pgd_linf_0.1`.
        name: The plugin's.
        ball: Norm and epsilon.
        settings: The attack's own knobs, as written.
        attack: Ready to run.
    """

    label: str
    name: str
    ball: Ball
    settings: dict[str, Any]
    attack: Attack

    def threat(self, space: Space) -> Threat:
        """Return what it may do to rows of this space."""
        return Threat(self.ball.norm, self.ball.epsilon, self.ball.within(space))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {
            "label": self.label,
            "name": self.name,
            "norm": self.ball.norm,
            "epsilon": self.ball.told,
            "settings": self.settings,
        }


def check_case(spec: Spec, where: str) -> None:
    """Check an attack's settings without running it.

    Raises:
        SettingsError: An unknown key, a wrong type, a norm that is not linf or l2, an epsilon that
            is not above 0.
        PluginNotFound: No attack has that name.
    """
    make_case(spec, where)


def make_case(spec: Spec, where: str) -> Case:
    """Return the case that a mapping describes. Errors as `check_case`."""
    name, rest = config.split_spec("attacks", spec, where=where)
    make: Callable[..., Any] = plugins.load("attacks", name)
    own = config.parameters(make)
    for key in rest:
        if key not in own and key not in ("norm", "epsilon"):
            raise SettingsError(
                f"unknown setting '{key}'.",
                where=where,
                fix=nearest(key, ["name", "norm", "epsilon", *own]),
            )
    ball = _ball(rest, where)
    settings = {key: value for key, value in rest.items() if key in own}
    attack: Attack = config.build(make, settings, where=where)
    if ball.norm not in attack.norms:
        raise SettingsError(
            f"'{name}' takes {', '.join(sorted(attack.norms))}, not {ball.norm}.",
            where=f"{where}.norm",
            fix="Choose another norm or another attack.",
        )
    if ball.reach and ball.norm in MADE:
        raise SettingsError(
            f"{ball.norm} has one epsilon, not one a feature.",
            where=f"{where}.epsilon",
            fix="Write a number.",
        )
    if found := odd(ball.norm, ball.epsilon):
        raise SettingsError(found[0], where=f"{where}.epsilon", fix=found[1])
    size = "by_feature" if ball.reach else f"{ball.epsilon:g}"
    return Case(f"{name}_{ball.norm}_{size}", name, ball, settings, attack)


def _ball(rest: Mapping[str, Any], where: str) -> Ball:
    given = {key: _number(rest[key]) for key in ("norm", "epsilon") if key in rest}
    if isinstance(given.get("epsilon"), Mapping):
        reach = given.pop("epsilon")
        pairs = tuple((str(name), _number(most)) for name, most in reach.items())
        if not pairs:
            raise SettingsError(
                "no feature may move.", where=f"{where}.epsilon", fix="Name one: {age: 2}."
            )
        given |= {"epsilon": 1.0, "reach": pairs}
    ball = config.build(Ball, given, where=where)
    if not all(math.isfinite(size) for size in (ball.epsilon, *dict(ball.reach).values())):
        raise SettingsError(
            f"must be a finite number, not {ball.told}.",
            where=f"{where}.epsilon",
            fix="Mend it in params.yaml or in --set.",
        )
    return ball


def _number(value: Any) -> Any:
    """YAML's 1 is a number too; a string, even "1", is none."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def make_cases(specs: Sequence[Spec], where: str) -> list[Case]:
    """Return the cases in their order; labels that would be equal are numbered.

    Errors as `check_case`.
    """
    seen: dict[str, int] = {}
    cases = []
    for index, spec in enumerate(specs):
        case = make_case(spec, f"{where}.{index}")
        seen[case.label] = seen.get(case.label, 0) + 1
        label = case.label if seen[case.label] == 1 else f"{case.label}_{seen[case.label]}"
        cases.append(Case(label, case.name, case.ball, case.settings, case.attack))
    return cases
