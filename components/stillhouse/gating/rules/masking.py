"""An alarm about attacks that were misled: `{name: masking}`."""

from stillhouse.gating.evidence import Evidence, Exact
from stillhouse.gating.metrics import ALARMS
from stillhouse.gating.rule import Asked, Rule


class Masking(Rule):
    """Holds the student where a check says that attacks failed because its gradients misled them,
    so that an accuracy under attack may be worth nothing.

    It stands by itself beside every rule that decides by an accuracy under attack.

    Args:
        gates: False: only watched.
    """

    guards = True

    def __init__(self, *, gates: bool = True) -> None:
        self.metric, self.gates = ALARMS, gates

    @property
    def label(self) -> str:
        return f"{self.metric} = 0"

    def ask(self, evidence: Evidence, level: float) -> Asked:  # noqa: ARG002
        found = evidence.of(ALARMS)
        if not isinstance(found, Exact):
            return Asked(None, "<=", "", applies=False, why=evidence.unmeasured[ALARMS])
        return Asked(0.0, "<=", "", observed=found.value, about="the checks of its gradients")
