"""Which rows are worth asking a teacher about that costs something: those of which a cheap model is
unsure, and unsure in different ways.
"""

import torch
from torch import Tensor

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.models.normalize import Normalize
from stillhouse.teachers.ask import ask
from stillhouse.teachers.teacher import Lesson, Teacher

POOL = 20_000  # rows that are compared with one another


def worth_asking(
    chances: Tensor, features: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Return positions of rows to ask about, each far from all before it.

    A row stands where the gradient of its own loss would, were the model's guess its label: (p −
    one-hot(argmax p)) ⊗ features. That is long where the model is unsure, and points elsewhere
    where it is unsure otherwise; k-means++ draws rows that are long and apart. The origin counts as
    chosen already: in the paper one of the many rows that the model is sure of would be drawn to
    stand for all of them.

    Args:
        chances: The cheap model's probabilities [N, C].
        features: Of the same rows [N, D], in comparable units.
        count: At most N.
        generator: The only source of chance.

    Returns:
        [count] positions, in the order in which they were drawn.

    Source:
        Ash et al. 2020, "Deep batch active learning by diverse, uncertain gradient lower bounds"
        (BADGE), arXiv:1906.03671, algorithm 1.

    Example:
        >>> chances = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.99, 0.01]])
        >>> worth_asking(chances, torch.ones(3, 1), 1, torch.Generator().manual_seed(0)).tolist()
        [1]
    """
    pull = chances.double() - torch.nn.functional.one_hot(chances.argmax(1), chances.shape[1])
    places = torch.cat([features.double(), torch.ones(len(features), 1).double()], dim=1)
    long = pull.square().sum(dim=1) * places.square().sum(dim=1)
    chosen = [int(long.argmax())]
    nearest = long.clone()
    while len(chosen) < count:
        last = chosen[-1]
        inner = (pull @ pull[last]) * (places @ places[last])
        away = (long + long[last] - 2 * inner).clamp_min(0)
        nearest = torch.minimum(nearest, away)
        nearest[chosen] = 0.0
        odds = nearest if float(nearest.sum()) > 0 else _left(len(long), chosen)
        chosen.append(int(torch.multinomial(odds, 1, generator=generator)))
    return torch.tensor(chosen[:count], dtype=torch.int64)


def _left(count: int, chosen: list[int]) -> Tensor:
    """Return even odds for rows that are not chosen yet: all that are left look alike."""
    odds = torch.ones(count, dtype=torch.float64)
    odds[chosen] = 0.0
    return odds


def rank(labelled: Dataset, pool: Dataset, count: int, lesson: Lesson) -> Tensor:
    """Return positions in a pool of rows that are worth asking about.

    A logistic regression learns from the labelled rows alone, as anybody could before paying.

    Args:
        labelled: Rows with their targets.
        pool: Rows whose targets nobody looks at.
        count: At most as many as the pool has.
        lesson: For the model's place and seed.
    """
    if not count:
        return torch.empty(0, dtype=torch.int64)
    cheap: Teacher = config.plugin(
        "teachers", {"name": "sklearn", "estimator": "logistic_regression"}, where="prepare.query"
    )
    model = cheap.recall(cheap.learn(lesson), labelled.schema)
    generator = torch.Generator().manual_seed(lesson.seed)
    some = torch.randperm(len(pool), generator=generator)[: max(POOL, count)].sort().values
    few = pool.take(some)
    encode = Normalize.fit(labelled.inputs, labelled.schema)
    places = encode(few.inputs).flatten(1)
    chances = ask(model, few, where="the cheap model, prepare.query").softmax(dim=1)
    features = places / places.square().sum(dim=1).mean().sqrt().clamp_min(1e-9)
    return some[worth_asking(chances, features, count, generator)]
