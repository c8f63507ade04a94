"""The shipped student, as the steps after `distill` read it."""

from collections.abc import Mapping

from torch import Tensor

from stillhouse.architectures.build import build_classifier
from stillhouse.config import Spec
from stillhouse.data import prepared
from stillhouse.errors import Corrupt
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.workspace import StepFiles

PLAIN = "distill/plain.safetensors"
READS = ("distill/student.safetensors", "distill/student.json", "prepare/schema.json")


def load_student(files: StepFiles) -> Classifier:
    """Return the student in evaluation mode, data space in, logits out.

    Raises:
        SourceError: The step `distill` has not run, or its file is no safetensors.
        Corrupt: The weights do not fit the architecture that student.json names.
    """
    return _loaded(files, READS[0])


def load_plain(files: StepFiles) -> Classifier | None:
    """Return the student that was trained without attacks, beside one that was trained with them;
    None where there is none. Errors as `load_student`.
    """
    return _loaded(files, PLAIN) if files.read_tensors(PLAIN) else None


def _loaded(files: StepFiles, name: str) -> Classifier:
    spec = files.read_json("distill/student.json")["architecture"]
    return filled(files, spec, files.read_tensors(name), name)


def filled(files: StepFiles, spec: Spec, state: Mapping[str, Tensor], name: str) -> Classifier:
    """Return a student of an architecture with its weights, in evaluation mode.

    Args:
        files: Where the schema is.
        spec: The architecture.
        state: The weights by name.
        name: The file that they come from, for messages. Errors as `load_student`.
    """
    schema = prepared.schema(files)
    model = build_classifier(spec, schema, Normalize.empty(schema), seed=0, where="distill.student")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        said = str(error).splitlines()[-1].strip()
        raise Corrupt(
            f"the weights do not fit the architecture: {said}",
            where=str(files.path(name)),
            fix=f"Run the step `{name.partition('/')[0]}` again.",
        ) from None
    model.eval()
    return model
