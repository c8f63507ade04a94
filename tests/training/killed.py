"""One training in a process of its own that a failpoint may kill: `python killed.py CHECKPOINT`; it
ends with the digest of what it learned.
"""

import os
import sys
from pathlib import Path

import torch
from training.blobs import blobs, net

from stillhouse import failpoints, workspace
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.objective import Labels

SETTINGS = FitSettings(epochs=40, batch=16, ema=0.9, patience=30, seed=5)


def learned(checkpoint: Path | None) -> str:
    """Train, and return a digest of weights and curve."""
    train = blobs(48)
    fitted = fit(
        net(train, dropout=0.2),
        Labels(),
        train,
        blobs(30, seed=1),
        SETTINGS,
        checkpoint=checkpoint,
        every=10,
    )
    return workspace.sha256_bytes(
        workspace.dump_tensors(fitted.model.state_dict(), note=repr(fitted.history))
    )


if __name__ == "__main__":
    failpoints.arm(os.environ.get("STILLHOUSE_FAILPOINTS", ""))
    torch.set_num_threads(1)
    sys.stdout.write(learned(Path(sys.argv[1])))
