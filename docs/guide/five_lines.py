"""Distil a torch model in five lines: your teacher, your student, your rows."""

import torch
from stillhouse.distillation import distill
from torch import nn

teacher = nn.Sequential(
    nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)
)  # bring one that has learned something
inputs = torch.rand(500, 64)  # rows need no labels: the teacher speaks on all of them

student = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
student = distill(teacher, student, inputs, method="kd", epochs=20)
agreement = (student(inputs).argmax(1) == teacher(inputs).argmax(1)).float().mean().item()
