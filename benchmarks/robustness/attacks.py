"""Are our attacks as strong as the peers' at a fraction of their cost?

A plain and an adversarially trained net of 28 x 28 grey images are trained here. Ours and the peers
attack the same rows, one after the other in turn, in one thread; what is compared is process CPU,
and the accuracy that the net itself keeps on the rows that each returned. The peers are an extra:
`pip install stillhouse[bench]`.

    python benchmarks/robustness/attacks.py --data FOLDER --json FILE

FOLDER holds Fashion-MNIST as its authors pack it.
"""

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.attacks.apgd_ce import APGDCE
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.cascade import Cascade
from stillhouse.attacks.pgd import PGD, pgd
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.data.sources.idx import Idx

EPSILON, BATCH = 0.1, 250
TRAIN_ROWS = 10_000
THREAT = Threat("linf", EPSILON, Space.box())

# model, rows [B, *shape], targets [B], seed -> adversarial rows
Run = Callable[[nn.Module, Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class Question:
    """One of ours against every peer's form of it.

    Attributes:
        name: What is run.
        rows: How many rows; the dear ones get fewer.
        sides: By who runs it; `ours` is among them.
        goal: The largest ratio of our CPU to the cheapest peer's, by net.
        seeds: How often.
    """

    name: str
    rows: int
    sides: dict[str, Run]
    goal: dict[str, float]
    seeds: int


def ours(make: Callable[[], Attack]) -> Run:
    def run(model: nn.Module, inputs: Tensor, targets: Tensor, seed: int) -> Tensor:
        draw = torch.Generator().manual_seed(seed)
        return run_attack(
            make(), model, inputs, targets, threat=THREAT, generator=draw, batch=BATCH
        ).inputs

    return run


def torchattacks_side(make: Callable[[Any, nn.Module, int], Any]) -> Run:
    def run(model: nn.Module, inputs: Tensor, targets: Tensor, seed: int) -> Tensor:
        import torchattacks

        torch.manual_seed(seed)
        return torch.cat(
            [
                make(torchattacks, model, seed)(a, b)
                for a, b in zip(inputs.split(BATCH), targets.split(BATCH), strict=True)
            ]
        )

    return run


def foolbox_pgd(model: nn.Module, inputs: Tensor, targets: Tensor, seed: int) -> Tensor:
    import foolbox

    torch.manual_seed(seed)
    attack = foolbox.attacks.LinfPGD(steps=20, rel_stepsize=2.5 / 20, random_start=True)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    parts = zip(inputs.split(BATCH), targets.split(BATCH), strict=True)
    return torch.cat([attack(bounded, a, b, epsilons=EPSILON)[1] for a, b in parts])


def art_side(make: Callable[[Any, Any], Any]) -> Run:
    def run(model: nn.Module, inputs: Tensor, targets: Tensor, seed: int) -> Tensor:
        import numpy as np
        from art import attacks
        from art.estimators.classification import PyTorchClassifier

        np.random.seed(seed)
        torch.manual_seed(seed)
        shape = tuple(inputs.shape[1:])
        wrapped = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), shape, 10, clip_values=(0, 1), device_type="cpu"
        )
        attack = make(attacks.evasion, wrapped)
        return torch.from_numpy(attack.generate(inputs.numpy(), targets.numpy()))

    return run


def questions(fast: bool) -> list[Question]:
    """Return what is asked; `fast` leaves the hours out."""
    bound = {"eps": EPSILON}
    step = 2.5 * EPSILON / 20
    seeds = 2 if fast else 5
    ta = torchattacks_side
    pgd20 = Question(
        "PGD-20",
        1000,
        {
            "ours": ours(PGD),
            "torchattacks": ta(lambda m, model, _: m.PGD(model, alpha=step, steps=20, **bound)),
            "foolbox": foolbox_pgd,
            "art": art_side(
                lambda m, net: m.ProjectedGradientDescentPyTorch(
                    net,
                    eps=EPSILON,
                    eps_step=step,
                    max_iter=20,
                    num_random_init=1,
                    batch_size=BATCH,
                    verbose=False,
                )
            ),
        },
        {"plain": 0.75, "robust": 0.75},
        seeds,
    )
    apgd = Question(
        "APGD-CE",
        500,
        {
            "ours": ours(APGDCE),
            "torchattacks": ta(
                lambda m, model, seed: m.APGD(model, steps=100, loss="ce", seed=seed, **bound)
            ),
            "art": art_side(
                lambda m, net: m.AutoProjectedGradientDescent(
                    net,
                    eps=EPSILON,
                    eps_step=2 * EPSILON,
                    max_iter=100,
                    nb_random_init=1,
                    batch_size=BATCH,
                    loss_type="cross_entropy",
                    verbose=False,
                )
            ),
        },
        {"plain": 0.2, "robust": 0.5},
        seeds,
    )
    square = Question(
        "Square-500",
        300,
        {
            "ours": ours(lambda: Square(queries=500)),
            "torchattacks": ta(
                lambda m, model, seed: m.Square(model, n_queries=500, seed=seed, **bound)
            ),
            "art": art_side(
                lambda m, net: m.SquareAttack(
                    net, eps=EPSILON, max_iter=500, batch_size=BATCH, verbose=False
                )
            ),
        },
        {"plain": 0.5, "robust": 0.5},
        seeds,
    )
    whole = Question(
        "AutoAttack's verdict",
        100,
        {
            "ours": ours(Cascade),
            "torchattacks": ta(
                lambda m, model, seed: m.AutoAttack(model, n_classes=10, seed=seed, **bound)
            ),
        },
        {"plain": 0.25, "robust": 0.25},
        seeds,
    )
    return [pgd20, apgd, square, whole]


class Net(nn.Sequential):
    """Two convolutions and two layers: small enough for one core, deep enough to need gradients."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )


def trained(inputs: Tensor, targets: Tensor, *, epochs: int, epsilon: float) -> nn.Module:
    """Return a net trained on the rows as they are, or on what PGD makes of them."""
    torch.manual_seed(0)
    net, draw = Net(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(epochs):
        threat = Threat("linf", epsilon * min(1.0, (epoch + 1) / 3), Space.box())
        for rows in torch.randperm(len(inputs), generator=draw).split(128):
            seen = inputs[rows]
            if epsilon:
                net.eval().requires_grad_(False)
                seen = pgd(net, seen, targets[rows], threat, draw, steps=7)
                net.train().requires_grad_(True)
            loss = F.cross_entropy(net(seen), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def right(net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    with torch.no_grad():
        return net(inputs).argmax(dim=1) == targets


def inside(moved: Tensor, clean: Tensor) -> bool:
    return bool(((moved - clean).abs() <= EPSILON + 1e-5).all() & (moved >= 0).all())


def ask(question: Question, kind: str, net: nn.Module, data: tuple[Tensor, Tensor]) -> Any:
    """Return CPU seconds and the accuracy that is left, side by side, seed by seed, in turn."""
    seconds: dict[str, list[float]] = {side: [] for side in question.sides}
    left: dict[str, list[float]] = {side: [] for side in question.sides}
    names = list(question.sides)
    for seed in range(question.seeds):
        start = seed * question.rows % (len(data[0]) - question.rows + 1)
        inputs, targets = (part[start : start + question.rows] for part in data)
        for side in names[seed % len(names) :] + names[: seed % len(names)]:
            began = time.process_time()
            moved = question.sides[side](net, inputs.clone(), targets, seed)
            seconds[side].append(time.process_time() - began)
            assert inside(moved, inputs), f"{side} left the ball"
            kept = right(net, moved, targets).float().mean().item()
            left[side].append(kept)
    return told(question, kind, seconds, left)


def told(question: Question, kind: str, seconds: Any, left: Any) -> dict[str, Any]:
    """Print one table and return it for JSON."""
    peers = [side for side in seconds if side != "ours"]
    best = min(peers, key=lambda side: statistics.median(seconds[side]))
    print(f"\n{question.name}, {kind} net, {question.rows} rows, {question.seeds} seeds")
    print(f"  {'':14} {'CPU s':>8} {'ratio':>15} {'robust %':>9} {'vs ours':>8}")
    sides = {}
    for side in seconds:
        ratios = [a / b for a, b in zip(seconds[side], seconds[best], strict=True)]
        lost = statistics.mean(100 * (a - b) for a, b in zip(left[side], left["ours"], strict=True))
        sides[side] = {
            "cpu_seconds": statistics.median(seconds[side]),
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "robust": statistics.mean(left[side]),
            "points_above_ours": lost,
        }
        said = f"{sides[side]['ratio']:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        print(
            f"  {side:14} {sides[side]['cpu_seconds']:8.2f} {said:>15} "
            f"{100 * sides[side]['robust']:9.2f} {lost:+8.2f}",
            flush=True,
        )
    return {
        "question": question.name,
        "net": kind,
        "rows": question.rows,
        "seeds": question.seeds,
        "goal": question.goal[kind],
        "fastest_peer": best,
        "sides": sides,
    }


def load(folder: Path, rows: slice) -> tuple[Tensor, Tensor]:
    files = {"images": "train-images-idx3-ubyte.gz", "labels": "train-labels-idx1-ubyte.gz"}
    dataset = Idx(**{what: str(folder / name) for what, name in files.items()}).read(Path())
    return dataset.inputs[rows].float(), dataset.targets[rows]


def markdown(told: dict[str, Any]) -> str:
    """Return the table that the guide shows, from what `--json` wrote."""
    lines = [
        "| attack | net | rows x seeds | CPU: ours to the fastest peer | goal | robust | peers |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in told["asked"]:
        own = one["sides"]["ours"]
        low, high = own["ratio_range"]
        peers = ", ".join(
            f"{side} {100 * found['robust']:.1f} %"
            for side, found in one["sides"].items()
            if side != "ours"
        )
        lines.append(
            f"| {one['question']} | {one['net']} | {one['rows']} x {one['seeds']} | "
            f"{own['ratio']:.2f} [{low:.2f}, {high:.2f}] of {one['fastest_peer']} | "
            f"{one['goal']:g} | {100 * own['robust']:.1f} % | {peers} |"
        )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    from importlib.metadata import packages_distributions, version

    there = {name for names in packages_distributions().values() for name in names}
    asked = ("torch", "torchattacks", "foolbox", "adversarial-robustness-toolbox")
    names = [name for name in asked if name in there]  # a peer that is left out may be missing
    return {
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in names},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="Names of questions.")
    parser.add_argument("--without", nargs="*", default=[], help="Peers that are left out.")
    parser.add_argument("--fast", action="store_true", help="Fewer seeds and rows.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    whole = load(asked.data, slice(0, TRAIN_ROWS + 5000))
    train = tuple(part[:TRAIN_ROWS] for part in whole)
    test = (whole[0][TRAIN_ROWS:], whole[1][TRAIN_ROWS:])
    nets = {
        "plain": trained(*train, epochs=4, epsilon=0.0),
        "robust": trained(*train, epochs=10, epsilon=EPSILON),
    }
    found = []
    for question in questions(asked.fast):
        for peer in asked.without:
            question.sides.pop(peer, None)
        if asked.only is None or question.name in asked.only:
            found += [ask(question, kind, net, test) for kind, net in nets.items()]
    told = {"machine": machine(), "asked": found}
    print("\n" + markdown(told))
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
