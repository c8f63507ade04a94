"""The direction in which a model's inputs raise its loss, also where the loss itself has run out of
digits.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.attacks.first_layer import FirstLayer


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Return by how much [B] the target's logit beats the best other one; below 0 the row is
    fooled.

    Args:
        logits: [B, C], C at least 2.
        targets: [B], int64.
    """
    own = targets[:, None]
    return logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).amax(dim=-1)


def pull(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy's gradient with respect to the logits [B, C], each row divided by
    its largest entry.

    On a confident row softmax − onehot rounds to 0 in float32, and an attack that used it would
    stand still and call the model robust. A row's factor changes no direction, so the row is
    divided by it before it can vanish.
    """
    log_p = F.log_softmax(logits.detach().double(), dim=-1)
    member = F.one_hot(targets, logits.shape[-1]).bool()
    others = log_p.masked_fill(member, -torch.inf)
    # Divided by 1 − p(target), the sum of the others; so the target's entry is −1 and never a
    # difference of nearly equal numbers.
    relative = (others - others.logsumexp(dim=-1, keepdim=True)).exp()
    return torch.where(member, -1.0, relative).to(logits.dtype)


def ascent(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [B, C] and the direction [B, *shape] in which the inputs raise the
    cross-entropy; its size has no meaning.

    Args:
        model: Data space to logits; nothing in it gets a gradient.
        inputs: [B, *shape].
        targets: [B], int64.
    """
    with torch.enable_grad(), FirstLayer():
        moved = inputs.detach().clone().requires_grad_(True)
        logits = model(moved)
        [gradient] = torch.autograd.grad(logits, moved, grad_outputs=pull(logits, targets))
    return logits.detach(), gradient


def uphill(
    model: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits [B, C], losses [B] and the direction [B, *shape] in which each row raises its
    own.

    A model whose answers do not depend on its inputs in a way that autograd sees (one that rounds,
    or works in numpy) has the direction 0.

    Args:
        model: Data space to logits; nothing in it gets a gradient.
        inputs: [B, *shape].
        loss: Logits [B, C] to losses [B].
    """
    with torch.enable_grad(), FirstLayer():
        moved = inputs.detach().clone().requires_grad_(True)
        logits = model(moved)
        values = loss(logits)
        if not values.requires_grad:
            return logits.detach(), values.detach(), torch.zeros_like(inputs)
        [gradient] = torch.autograd.grad(values.sum(), moved)
    return logits.detach(), values.detach(), gradient


def differences(
    model: nn.Module, inputs: Tensor, targets: Tensor, goals: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits [B, C], by how much each goal's logit beats the target's [B, K], and the
    gradients of that [B, K, *shape].

    Args:
        model: Data space to logits; nothing in it gets a gradient.
        inputs: [B, *shape].
        targets: [B], int64.
        goals: [B, K], int64: K classes for each row; the cost is K backward passes.
    """
    with torch.enable_grad(), FirstLayer():
        moved = inputs.detach().clone().requires_grad_(True)
        logits = model(moved)
        gaps = logits.gather(1, goals) - logits.gather(1, targets[:, None])
        if not gaps.requires_grad:
            return logits.detach(), gaps.detach(), torch.zeros(*goals.shape, *inputs.shape[1:])
        last = goals.shape[1] - 1
        slopes = [
            torch.autograd.grad(gaps[:, k].sum(), moved, retain_graph=k < last)[0]
            for k in range(last + 1)
        ]
    return logits.detach(), gaps.detach(), torch.stack(slopes, dim=1)


def rivals(logits: Tensor, targets: Tensor, most: int) -> Tensor:
    """Return the classes [B, K] other than the target that the model thinks likeliest, likeliest
    first; K is `most` or all there are.
    """
    member = F.one_hot(targets, logits.shape[-1]).bool()
    return (
        logits.masked_fill(member, -torch.inf).topk(min(most, logits.shape[-1] - 1), dim=-1).indices
    )
