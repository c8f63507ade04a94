"""What the student learns from: methods, selectors and the objective that joins them; and
`distill`, which does it on its own.
"""

from stillhouse.distillation.alone import distill
from stillhouse.distillation.method import Method
from stillhouse.distillation.selector import Selector
from stillhouse.models.outputs import Batch, Outputs

__all__ = ["Batch", "Method", "Outputs", "Selector", "distill"]
