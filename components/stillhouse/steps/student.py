"""The shipped student, as the steps after `distill` read it."""

from stillhouse.architectures.build import build_classifier
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
    schema = prepared.schema(files)
    state = files.read_tensors(name)
    spec = files.read_json("distill/student.json")["architecture"]
    model = build_classifier(spec, schema, Normalize.empty(schema), seed=0, where="distill.student")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        said = str(error).splitlines()[-1].strip()
        raise Corrupt(
            f"the weights do not fit the architecture: {said}",
            where=str(files.path(name)),
            fix="Run the step `distill` again.",
        ) from None
    model.eval()
    return model
