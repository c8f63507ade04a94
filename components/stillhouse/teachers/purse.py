"""What was asked of a paid teacher, kept so that no row is paid twice; and what was spent, counted
before it is spent.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.errors import Corrupt, OverBudget
from stillhouse.workspace import dump_json, dump_tensors, load_tensors, sha256_bytes, write_atomic

SPENT = "spent.json"


class Purse:
    """Answers by the hash of a row's inputs, and a count of rows that were sent.

    Args:
        usd_per_row: The price of asking about a row once.
        cap: The most that may ever be spent, in USD; None: no limit, for what is free.
    """

    def __init__(self, usd_per_row: float, cap: float | None) -> None:
        self.usd_per_row, self.cap = usd_per_row, cap
        self.sent = 0
        self._kept: dict[bytes, Tensor] = {}
        self._folder: Path | None = None

    def open(self, folder: Path) -> None:
        """Take up what was kept in a folder, and keep there from now on.

        Raises:
            Corrupt: A file is not what was written.
        """
        self._folder = folder
        if (folder / SPENT).is_file():
            try:
                self.sent = int(json.loads((folder / SPENT).read_bytes())["rows"])
            except (ValueError, KeyError, TypeError):
                raise Corrupt(
                    "what was spent cannot be read any more.",
                    where=str(folder / SPENT),
                    fix='Write {"rows": n} into it, with the rows on your bill.',
                ) from None
        for path in sorted(folder.glob("*.safetensors")):
            held = load_tensors(path)
            for key, row in zip(held["keys"], held["probabilities"], strict=True):
                self._kept[key.numpy().tobytes()] = row.double()

    @property
    def spent(self) -> float:
        """USD."""
        return self.sent * self.usd_per_row

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def __getitem__(self, key: bytes) -> Tensor:
        return self._kept[key]

    def require(self, rows: int) -> None:
        """Refuse to ask about so many more rows if that would cost more than the cap.

        Raises:
            OverBudget: It would; the message has the sums.
        """
        if self.cap is None or (self.sent + rows) * self.usd_per_row <= self.cap * (1 + 1e-9):
            return
        raise OverBudget(
            f"{rows} more rows cost ${rows * self.usd_per_row:.2f}; ${self.spent:.2f} of the cap "
            f"of ${self.cap:.2f} are spent. {len(self)} answers are kept.",
            where="teacher.cap_usd",
            fix="Raise the cap, or give the student fewer rows (prepare.unlabelled).",
        )

    def spend(self, rows: int) -> None:
        """Count rows as paid, on disk first: a kill in between must not make them free.

        Raises:
            OverBudget: They would cost more than the cap.
        """
        self.require(rows)
        self.sent += rows
        self._write_spent()

    def refund(self, rows: int) -> None:
        """Take rows back that the server refused to look at."""
        self.sent -= rows
        self._write_spent()

    def _write_spent(self) -> None:
        if self._folder is not None and self.usd_per_row:
            write_atomic(self._folder / SPENT, dump_json({"rows": self.sent, "usd": self.spent}))

    def keep(self, keys: list[bytes], probabilities: Tensor) -> None:
        """Keep answers [B, C]."""
        self._kept |= dict(zip(keys, probabilities.double(), strict=True))
        if self._folder is None:
            return
        held = torch.tensor([list(key) for key in keys], dtype=torch.uint8)
        data = dump_tensors({"keys": held, "probabilities": probabilities.double()})
        write_atomic(self._folder / f"{sha256_bytes(data)[:32]}.safetensors", data)
