"""Are nets that hide their gradients truly attacked?

A small net that has learned scikit-learn's digits, as it is; with its logits times 1,000, so that
the cross-entropy has no slope; and behind a layer that rounds its inputs, so that no gradient is
left at all. Ours and torchattacks' AutoAttack attack the same rows, and the net's own answers
decide. With --golden the weights and what the reference found, row by row, are written for
tests/attacks/test_masked.py, which holds ours to it.

    python benchmarks/robustness/masked.py --json FILE [--golden FILE.safetensors]

The reference is an extra: `pip install stillhouse[bench]`.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from stillhouse.attacks.autoattack import AutoAttack
from stillhouse.attacks.cascade import Cascade
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat
from stillhouse.workspace import dump_tensors

ROWS, EPSILON, SEED = 200, 0.1, 0
STEPS = 16  # of the rounding layer, between 0 and 1


def rows() -> tuple[Tensor, Tensor]:
    """Return the last digits [N, 64] in [0, 1], which no net has seen, and their classes."""
    found = load_digits()
    inputs = torch.tensor(found.data, dtype=torch.float32) / 16
    return inputs[-ROWS:], torch.tensor(found.target)[-ROWS:]


def bare() -> nn.Sequential:
    """Return the net without what it has learned."""
    return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))


def trained() -> nn.Sequential:
    """Return a net that was trained with noise, so that it withstands a part."""
    found = load_digits()
    inputs = torch.tensor(found.data, dtype=torch.float32)[:-ROWS] / 16
    targets = torch.tensor(found.target)[:-ROWS]
    torch.manual_seed(SEED)
    made = bare()
    optimizer = torch.optim.Adam(made.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        noisy = (inputs + 0.15 * torch.randn_like(inputs)).clamp(0, 1)
        nn.functional.cross_entropy(made(noisy), targets).backward()
        optimizer.step()
    return made.eval()


class Loud(nn.Module):
    """Multiplies its logits by 1,000."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        return 1000 * self.inner(inputs)  # type: ignore[no-any-return]


class Rounded(Loud):
    """Looks at its inputs in steps."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.inner((inputs * STEPS).round() / STEPS)  # type: ignore[no-any-return]


NETS: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    "as it is": lambda net: net,
    "logits x 1000": Loud,
    "behind a rounding layer": Rounded,
}


def reference(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return what torchattacks' AutoAttack makes of rows, seen as images of 8 x 8."""
    import torchattacks

    class Flat(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return model(images.flatten(1))  # type: ignore[no-any-return]

    torch.manual_seed(SEED)
    attack = torchattacks.AutoAttack(Flat().eval(), eps=EPSILON, n_classes=10, seed=SEED)
    return attack(inputs.view(-1, 1, 8, 8), targets).flatten(1)  # type: ignore[no-any-return]


def ours(make: Callable[[], AutoAttack | Cascade]) -> Callable[..., Tensor]:
    """Return one of ours as `reference` is."""

    def run(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        draw = torch.Generator().manual_seed(SEED)
        threat = Threat("linf", EPSILON)
        return run_attack(
            make(), model, inputs, targets, threat=threat, generator=draw, batch=ROWS
        ).inputs

    return run


SIDES = {"torchattacks": reference, "autoattack": ours(AutoAttack), "cascade": ours(Cascade)}


def main() -> None:
    """Print the table, and write it and the golden rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--golden", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    inputs, targets = rows()
    net = trained()
    kept = {f"net/{name}": tensor for name, tensor in net.state_dict().items()}
    print(f"torch {torch.__version__}, linf {EPSILON}, {ROWS} rows, {platform.machine()}")
    table = []
    for name, mask in NETS.items():
        model = mask(net).eval()
        with torch.no_grad():
            clean = model(inputs).argmax(1) == targets
        for side, run in SIDES.items():
            began = time.process_time()
            moved = run(model, inputs, targets)
            spent = time.process_time() - began
            with torch.no_grad():
                still = clean & (model(moved).argmax(1) == targets)
            inside = bool(((moved - inputs).abs() <= EPSILON + 1e-6).all())
            row = {"net": name, "by": side, "robust": float(still.double().mean())}
            table.append({**row, "clean": float(clean.double().mean()), "cpu_seconds": spent})
            print(f"{name:>24} {side:>13} {row['robust']:.1%} {spent:7.1f} s, inside: {inside}")
            if side == "torchattacks":
                kept[f"still/{name}"] = still.to(torch.uint8)
            if asked.json:
                told = {"epsilon": EPSILON, "rows": ROWS, "torch": torch.__version__}
                asked.json.write_text(json.dumps({**told, "table": table}, indent=1) + "\n")
    if asked.golden:
        asked.golden.write_bytes(dump_tensors(kept))


if __name__ == "__main__":
    main()
