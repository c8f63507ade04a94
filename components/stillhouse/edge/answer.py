"""Ask a model its input example in a process of its own, with nothing but onnxruntime: what a
device or a server would do with the files.

python -m stillhouse.edge.answer MODEL.onnx ANSWER.safetensors
"""

import json
import sys
from pathlib import Path

from stillhouse.edge.columns import Feeder
from stillhouse.errors import StillhouseError
from stillhouse.models import onnx_file


def largest_error(model: Path, answer: Path) -> float:
    """Return the largest difference of a logit from the recorded answer; infinite where the shapes
    differ.

    Args:
        model: An ONNX file without external data.
        answer: safetensors with `inputs` [N, *shape] and `logits` [N, C].

    Raises:
        SourceError: It is not ONNX, or keeps tensors in other files.
    """
    import numpy as np
    import onnxruntime
    from safetensors.numpy import load

    data, recorded = model.read_bytes(), load(answer.read_bytes())
    feed = Feeder(onnx_file.read(data, model.name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    answered = session.run(None, feed(recorded["inputs"]))[0]
    return (
        float(np.abs(answered - recorded["logits"]).max())
        if answered.shape == recorded["logits"].shape
        else float("inf")
    )


def main(arguments: list[str]) -> int:
    """Print {"max_error": …} on stdout; an error goes to stderr, in one line."""
    try:
        error = largest_error(Path(arguments[0]), Path(arguments[1]))
    except StillhouseError as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    sys.stdout.write(json.dumps({"max_error": error if error != float("inf") else None}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
