"""Rows with several labels, in a loop of your own."""

import torch
from torch import nn

from stillhouse.distillation.methods.multi_label import multi_label_loss


def train(student, teacher, inputs, targets, *, supervised=0.3, steps=200):
    """Targets [N, L] are 0 or 1, NaN where nobody knows; both models give log-odds [N, L]."""
    known, optimizer = ~targets.isnan(), torch.optim.AdamW(student.parameters(), lr=0.01)
    with torch.no_grad():
        told = teacher.eval()(inputs)  # once, as the flow does
    for _ in range(steps):
        odds = student.train()(inputs)
        labels = nn.functional.binary_cross_entropy_with_logits(odds[known], targets[known])
        loss = supervised * labels + (1 - supervised) * multi_label_loss(odds, told).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student
