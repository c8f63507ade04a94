"""A student in skorch: fits, predicts and cross-validates as any estimator of scikit-learn."""

import torch
from skorch import NeuralNetClassifier
from stillhouse.distillation.methods.kd import kd_loss
from torch import nn


class Distilled(NeuralNetClassifier):
    def __init__(self, module, *, ask, criterion=nn.CrossEntropyLoss, **settings):
        super().__init__(module, criterion=criterion, **settings)
        self.ask = ask  # the teacher's forward: a function, so that skorch does not train it

    def get_loss(self, y_pred, y_true, X=None, training=False):
        labels = super().get_loss(y_pred, y_true, X, training)
        with torch.no_grad():
            told = self.ask(X)
        return 0.1 * labels + 0.9 * kd_loss(y_pred, told, temperature=4.0).mean()
