"""Attack any torch model: rows in [0, 1], their classes, and what an attacker may do."""

import torch
from stillhouse.attacks import Threat
from stillhouse.attacks.cascade import Cascade
from torch import nn

model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))  # yours, in whatever mode it is
inputs = torch.rand(100, 1, 8, 8)
targets = model(inputs).argmax(1)

result = Cascade()(model, inputs, targets, Threat("linf", 8 / 255))
print(result)  # robust 61.0% [50.7%, 70.6%] of 100 rows under linf 0.03; clean 100.0%; …
worst = result.inputs[result.success]  # what fools it, inside the threat
