"""PneumoniaMNIST (MedMNIST v2, CC BY 4.0): its own train, val and test, told by group."""

from pathlib import Path

import numpy as np


def bring(data: Path, into: Path) -> None:
    with np.load(data / "pneumonia_mnist" / "pneumoniamnist.npz", allow_pickle=False) as found:
        parts = ("train", "val", "test")
        inputs = np.concatenate([found[f"{part}_images"] for part in parts])
        targets = np.concatenate([found[f"{part}_labels"].reshape(-1) for part in parts])
        groups = np.concatenate([np.full(len(found[f"{part}_labels"]), part) for part in parts])
    np.savez(into / "xrays.npz", inputs=inputs, targets=targets, groups=groups)
