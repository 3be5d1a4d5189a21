"""Switching heads off while a model runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache

Hook = tuple[str | Callable[..., Any], Callable[..., Any]]  # as `run_with_hooks` takes them


def ablate_heads(
    heads: Iterable[tuple[int, int]], how: Literal["zero", "mean"] = "zero", cache: ActivationCache | None = None
) -> list[Hook]:
    """Hooks that silence attention heads: `model.run_with_hooks(tokens, fwd_hooks=ablate_heads([(1, 4)]))`.

    They act on a head's mixed values (`attn.hook_z`), before its output weights.

    Args:
        heads: pairs of layer and head.
        how: "zero" writes zeros, an input the rest of the model may never have seen; "mean" writes the head's mean
            over batch and positions of `cache`, which removes what it says about *this* input and keeps its habit.
        cache: a run on typical inputs, for "mean".

    Raises:
        ValueError: for another `how`, for "mean" without a cache, and, when the model runs, for a head it lacks.
    """
    if how not in ("zero", "mean"):
        raise ValueError(f"ablate_heads can write 'zero' or 'mean', not {how!r}.")
    if how == "mean" and cache is None:
        raise ValueError("Mean ablation needs a cache to take the mean from: pass cache=, made with run_with_cache.")
    by_layer: dict[int, list[int]] = defaultdict(list)
    for layer, head in heads:
        by_layer[layer].append(head)
    hooks: list[Hook] = []
    for layer, chosen in sorted(by_layer.items()):
        name = f"blocks.{layer}.attn.hook_z"
        means = None if how == "zero" or cache is None else cache[name].detach().mean(dim=(0, 1))
        hooks.append((name, _silence(layer, chosen, means)))
    return hooks


def _silence(layer: int, heads: list[int], means: Float[Tensor, "head d_head"] | None) -> Callable[..., Tensor]:
    def write(z: Float[Tensor, "batch pos head d_head"], hook: Any = None) -> Float[Tensor, "batch pos head d_head"]:
        if not all(0 <= head < z.shape[2] for head in heads):
            raise ValueError(f"Layer {layer} has heads 0 to {z.shape[2] - 1}; cannot silence {sorted(heads)}.")
        z = z.clone()
        z[:, :, heads] = 0.0 if means is None else means[heads].to(z)
        return z

    return write
