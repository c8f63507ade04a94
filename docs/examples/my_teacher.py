"""My own teacher: anything that gives logits for rows. Then `teacher: {name: nearest, neighbours: 5}`."""

from torch import cdist
from torch.nn.functional import one_hot

from stillhouse.teachers import Teacher, oracle
from stillhouse.workspace import dump_tensors, parse_tensors


class Nearest(Teacher):
    def __init__(self, *, neighbours: int = 5) -> None:
        self.neighbours = neighbours

    def learn(self, lesson):
        return {
            "rows.safetensors": dump_tensors(
                {
                    "inputs": lesson.train.inputs.flatten(1),
                    "votes": one_hot(lesson.train.targets).float(),
                }
            )
        }

    def recall(self, files, schema):
        known = parse_tensors(files["rows.safetensors"], where="nearest")
        nearest = lambda inputs: (
            cdist(inputs.flatten(1), known["inputs"]).topk(self.neighbours, largest=False).indices
        )
        return oracle(
            lambda inputs, rows: (known["votes"][nearest(inputs)].mean(dim=1) + 0.01).log()
        )
