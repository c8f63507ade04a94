import pytest
import torch

from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.settings import parse

RULE = {"metric": "robust/masking/alarms", "at_most": 0}


@pytest.mark.parametrize(("alarms", "holds"), [(0, True), (2, False)])
def test_a_masking_alarm_holds_a_promotion_where_a_rule_says_so(alarms, holds):
    targets = torch.arange(40) % 2
    logits = torch.nn.functional.one_hot(targets, 2).float()
    found = Outcomes(targets, {"student": logits}, exact={RULE["metric"]: float(alarms)})
    [rule] = parse([RULE])
    asked = rule.ask(collect(found), 0.05)
    assert asked.exact
    assert asked.reaches(asked.observed) is holds
