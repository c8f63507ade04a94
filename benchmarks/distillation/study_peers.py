"""The other sides: the loop that people write, and torchdistill."""

import logging
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from study_sets import Given
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Rows

from stillhouse.models.classifier import Classifier
from stillhouse.training.schedule import learning_rate


class Pictures(Rows[tuple[torch.Tensor, int]]):
    """Pictures as bytes, made tensors and standardised one by one, as transforms do."""

    def __init__(self, given: Given) -> None:
        held = given.train.inputs.mul(255).round().to(torch.uint8)
        self.pictures = held[:, 0].numpy()
        self.targets = given.train.targets.tolist()
        normalize = given.student(0).normalize
        self.mean, self.spread = float(normalize.mean), float(normalize.spread)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
        picture = np.ascontiguousarray(self.pictures[at][None])
        tensor = torch.from_numpy(picture).to(torch.float32).div(255)  # ToTensor
        return tensor.sub(self.mean).div(self.spread), self.targets[at]  # Normalize


class Own(nn.Module):
    """The teacher behind the student's normalisation: it undoes it, and applies its own."""

    def __init__(self, teacher: Classifier, pictures: Pictures) -> None:
        super().__init__()
        self.teacher, self.mean, self.spread = teacher, pictures.mean, pictures.spread

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.teacher(rows * self.spread + self.mean)


def steps_of(given: Given) -> int:
    return given.chosen.epochs * math.ceil(len(given.train) / given.chosen.batch)


class Plain:
    """DataLoader, a transform a picture, the teacher asked in every batch."""

    name = "plain loop"

    def train(self, given: Given, settings: Mapping[str, Any], seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = given.student(seed)
        pictures = Pictures(given)
        loader = DataLoader(pictures, batch_size=given.chosen.batch, shuffle=True)
        net, teacher = model.net, Own(given.teacher, pictures).eval()
        temperature, share = settings["method"]["temperature"], settings["supervised"]
        optimizer = torch.optim.AdamW(
            net.parameters(), settings["optimizer"]["lr"], weight_decay=1e-4
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate(step, steps_of(given), 0.05)
        )
        net.train()
        for _ in range(given.chosen.epochs):
            for rows, targets in loader:
                with torch.no_grad():
                    told = teacher(rows)
                logits = net(rows)
                soft = F.kl_div(
                    F.log_softmax(logits / temperature, dim=1),
                    F.softmax(told / temperature, dim=1),
                    reduction="batchmean",
                )
                loss = (
                    share * F.cross_entropy(logits, targets) + (1 - share) * temperature**2 * soft
                )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
        return model.eval()


class Torchdistill:
    """torchdistill 1.1.5, told to do the same; its own loop, loaders and loss."""

    name = "torchdistill 1.1.5"

    def __init__(self, folder: Path) -> None:
        sys.path.append(str(folder))
        _stub_torchvision()
        from torchdistill.core.distillation import get_distillation_box

        logging.getLogger("torchdistill").setLevel(logging.ERROR)
        self.box: Callable[..., Any] = get_distillation_box

    def train(self, given: Given, settings: Mapping[str, Any], seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model, pictures = given.student(seed), Pictures(given)
        teacher = Own(given.teacher, pictures).eval()
        box = self.box(
            teacher,
            model.net,
            {"train": pictures},
            self._config(given, settings),
            torch.device("cpu"),
            None,
            False,
            1,
        )
        for epoch in range(given.chosen.epochs):
            box.pre_epoch_process(epoch=epoch)
            for rows, targets, supplement in box.train_data_loader:
                loss = box.forward_process(rows, targets, supplement)
                box.post_forward_process(loss=loss)
            box.post_epoch_process()
        box.clean_modules()
        return model.eval()

    def _config(self, given: Given, settings: Mapping[str, Any]) -> dict[str, Any]:
        side = {"wrapper": None, "requires_grad": True, "frozen_modules": []}
        side |= {"forward_proc": "forward_batch_only", "sequential": []}
        loss = {
            "student_module_path": ".",
            "student_module_io": "output",
            "teacher_module_path": ".",
            "teacher_module_io": "output",
            "temperature": settings["method"]["temperature"],
            "alpha": settings["supervised"],
            "reduction": "batchmean",
        }
        term = {"criterion": {"key": "KDLoss", "kwargs": loss}, "weight": 1.0}
        loader = {"batch_size": given.chosen.batch, "num_workers": 0}
        steps = steps_of(given)
        return {
            "num_epochs": given.chosen.epochs,
            "train_data_loader": {
                "dataset_id": "train",
                "sampler": {"class_or_func": torch.utils.data.RandomSampler, "kwargs": {}},
                "kwargs": loader,
            },
            "teacher": {**side, "requires_grad": False},
            "student": side,
            "optimizer": {
                "key": "AdamW",
                "kwargs": {"lr": settings["optimizer"]["lr"], "weight_decay": 1e-4},
                "max_grad_norm": 1.0,
            },
            "scheduler": {
                "key": "LambdaLR",
                "kwargs": {"lr_lambda": lambda step: learning_rate(step, steps, 0.05)},
                "scheduling_step": 1,
            },
            "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": term}}},
        }


def _stub_torchvision() -> None:
    """Let torchvision be imported beside a torch that its operators were not built for; none of
    them is used.
    """
    register = torch.library.register_fake

    def skipping(name: Any, *rest: Any, **more: Any) -> Any:
        if isinstance(name, str) and name.startswith("torchvision::"):
            return lambda function: function
        return register(name, *rest, **more)

    torch.library.register_fake = skipping
