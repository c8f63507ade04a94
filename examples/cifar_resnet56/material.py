"""A part of CIFAR-10 as JPEG (A. Krizhevsky; no licence stated, so nothing of it is stored here) and a ResNet-56 that others trained."""

import shutil
import tarfile
from pathlib import Path

# The first so many of each class: by name, so that everybody has the same.
TRAIN, VAL, TEST = 260, 40, 100


def bring(data: Path, into: Path) -> None:
    for part, keep in (("train", TRAIN + VAL), ("test", TEST)):
        with tarfile.open(data / "cifar10_jpeg" / f"cifar10_{part}_jpg.tar.gz") as archive:
            seen: dict[str, int] = {}
            for member in sorted(
                (m for m in archive.getmembers() if m.isfile()), key=lambda m: m.name
            ):
                _, kind, name = member.name.split("/")
                seen[kind] = seen.get(kind, 0) + 1
                if seen[kind] > keep:
                    continue
                group = "val" if part == "train" and seen[kind] > TRAIN else part
                place = into / "images" / kind
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{group}_{name}").write_bytes(archive.extractfile(member).read())
    shutil.copy(data / "teachers" / "cifar10_resnet56.safetensors", into / "resnet56.safetensors")
