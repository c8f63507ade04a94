"""Answers that are larger than memory: one mapped file, of which only what is looked at is read."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.workspace import write_stream


def mapped(path: Path, parts: Iterable[Tensor], shape: tuple[int, int]) -> Tensor:
    """Return answers [N, C], fp16, that lie in a file and not in memory.

    Args:
        path: The file; one of the right size is taken as it is, for its name is the hash of what
            it holds.
        parts: [n, C], together N rows; looked at only if the file is to be written.
        shape: N and C.
    """
    rows, classes = shape
    size = rows * classes * torch.finfo(torch.float16).bits // 8
    if not path.is_file() or path.stat().st_size != size:
        write_stream(path, (part.half().contiguous().numpy().tobytes() for part in parts))
    # private to this process: nobody can write into the file through it
    flat = torch.from_file(str(path), shared=False, size=rows * classes, dtype=torch.float16)
    return flat.view(rows, classes)
