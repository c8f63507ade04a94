"""The shipped student, as the steps after `distill` read it."""

from stillhouse.architectures.build import build_classifier
from stillhouse.data import prepared
from stillhouse.errors import Corrupt
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.workspace import StepFiles

READS = ("distill/student.safetensors", "distill/student.json", "prepare/schema.json")


def load_student(files: StepFiles) -> Classifier:
    """Return the student in evaluation mode, data space in, logits out.

    Raises:
        SourceError: The step `distill` has not run, or its file is no safetensors.
        Corrupt: The weights do not fit the architecture that student.json names.
    """
    schema = prepared.schema(files)
    state = files.read_tensors("distill/student.safetensors")
    spec = files.read_json("distill/student.json")["architecture"]
    model = build_classifier(spec, schema, Normalize.empty(schema), seed=0, where="distill.student")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        said = str(error).splitlines()[-1].strip()
        raise Corrupt(
            f"the weights do not fit the architecture: {said}",
            where=str(files.path(READS[0])),
            fix="Run the step `distill` again.",
        ) from None
    model.eval()
    return model
