import functools

import pytest
from edge.small import SCHEMAS, classifier

from stillhouse.edge.exporters.onnx import Onnx


@pytest.fixture(scope="session")
def exported():
    """Bytes by kind; an export costs a second, so that each is made once."""
    return functools.cache(lambda kind: Onnx().export(classifier(kind), SCHEMAS[kind]))
