"""Which experts a layer's router sends each token to."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure.collect import collect


class Routing(NamedTuple):
    """What one layer's router decided.

    Attributes:
        logits: of all experts.
        weights: what each expert's output is multiplied with; 0 for an expert that was not chosen.
        chosen: the experts, the first choice first.
    """

    logits: Float[Tensor, "batch pos expert"]
    weights: Float[Tensor, "batch pos expert"]
    chosen: Int[Tensor, "batch pos choice"]


def record_routing(model: TransformerBridge, tokens: Int[Tensor, "batch pos"], layer: int) -> Routing:
    """The routes of every token in one layer of a mixture of experts.

    Raises:
        ValueError: if that layer has no router.
    """
    names = [gate_hook(model, layer, part) for part in ("hook_out", "hook_expert_weights", "hook_expert_indices")]
    seen = collect(model, tokens, names)
    return Routing(*(seen[name].unflatten(0, tokens.shape) for name in names))


def gate_hook(model: TransformerBridge, layer: int, part: str) -> str:
    """The full name of one of the router's hooks."""
    name = f"blocks.{layer}.mlp.gate.{part}"
    if f"blocks.{layer}.mlp.gate.hook_expert_weights" not in model.hook_dict:
        raise ValueError(f"Layer {layer} of {model.cfg.model_name!r} has no router: it is not a mixture of experts.")
    return name
