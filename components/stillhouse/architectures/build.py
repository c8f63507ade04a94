"""From a mapping in params.yaml to a model with weights."""

import copy

import torch
from torch import nn

from stillhouse import config
from stillhouse.architectures.architecture import Architecture
from stillhouse.data.schema import Schema
from stillhouse.errors import UsageError
from stillhouse.models.access import accept
from stillhouse.models.classifier import Classifier, model_of
from stillhouse.models.normalize import Normalize
from stillhouse.training.randomness import own_random_state


def build_classifier(
    spec: config.Spec, schema: Schema, normalize: Normalize, seed: int, where: str
) -> Classifier:
    """Return the model that `{name: mlp, …}` names, for rows of this schema.

    The weights depend on `seed` alone; the caller's random state is left as it was.

    Args:
        spec: An architecture and its settings.
        schema: What a row is, and the classes.
        normalize: Fitted, or empty where a state dict will be loaded; the model gets a copy.
        seed: Of the weights.
        where: The spec's path in params.yaml, for messages.

    Raises:
        SettingsError: A setting does not fit the architecture.
        PluginNotFound: No architecture has that name.
        UsageError: The architecture does not take such rows, or its net answers another shape than
            [B, C].
    """
    architecture: Architecture = config.plugin("architectures", spec, where=where)
    accept(spec["name"], architecture.accepts, schema.kind)
    with own_random_state(seed):
        net = architecture.build(normalize.shape, len(schema.outputs))
        model = model_of(schema, copy.deepcopy(normalize), net)
        _refuse_other_shape(model, schema, spec["name"], where)
    return model


def _refuse_other_shape(model: Classifier, schema: Schema, name: str, where: str) -> None:
    rows, wanted = torch.zeros(2, *schema.shape), (2, len(schema.outputs))
    try:
        with torch.no_grad():
            found = tuple(model.eval()(rows).shape)
    except RuntimeError as error:
        raise UsageError(
            f"the net of '{name}' cannot take rows of shape {list(model.normalize.shape)}: {error}",
            where=where,
            fix="Mend its build.",
        ) from error
    if found != wanted:
        raise UsageError(
            f"the net of '{name}' answers {list(found)} for two rows, not {list(wanted)}.",
            where=where,
            fix="Return logits [B, C].",
        )
    model.train()


def parameters(model: nn.Module) -> int:
    """Return how many weights are learned."""
    return sum(weight.numel() for weight in model.parameters())
