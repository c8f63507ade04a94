"""Transfer: does what fools two nets of mine fool a third, of which only answers are known?"""

import torch
from stillhouse.attacks import Threat
from stillhouse.attacks.transfer import Transfer
from torch import nn

model, mine, other = (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(3))
inputs = torch.rand(100, 1, 8, 8)
targets = model(inputs).argmax(1)

result = Transfer(surrogates=[mine, other])(model, inputs, targets, Threat("linf", 8 / 255))
print(result)
