"""A student in Lightning: the losses are functions of logits, and your loop stays yours."""

import lightning
import torch
from stillhouse.distillation.methods.kd import kd_loss
from torch import nn


class Distilled(lightning.LightningModule):
    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.teacher, self.student = teacher.requires_grad_(False), student

    def training_step(self, batch, _):
        inputs, targets = batch
        logits, told = self.student(inputs), self.teacher.eval()(inputs)
        labels = nn.functional.cross_entropy(logits, targets)
        return 0.1 * labels + 0.9 * kd_loss(logits, told, temperature=4.0).mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.student.parameters(), lr=3e-3)
