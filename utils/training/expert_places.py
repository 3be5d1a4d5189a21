"""What dictionaries of a mixture of experts are trained on: what a layer's experts read, hold and write.

The stream is read behind the norm (`blocks.2.mlp.hook_in`): that is what the router and every expert see, while of the
stream before it they never learn how long it is. An expert's output is taken before it is multiplied with the routing
weight: it then depends on the expert and on what it read, and not on how the other experts compare.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import collect
from utils.measure.routing import expert_weights
from utils.measure.routing.record import gate_hook


def stream_place(layer: int) -> str:
    """The name of what all experts of a layer read."""
    return f"layer-{layer}-stream"


def expert_place(layer: int, expert: int, part: str) -> str:
    """The name of an expert's `"hidden"` units or of what it has `"written"`, as in `Activity`."""
    return f"layer-{layer}-expert-{expert}-{part}"


def read_hook(layer: int) -> str:
    """The hook at which all experts of a layer read."""
    return f"blocks.{layer}.mlp.hook_in"


@torch.no_grad()
def read_places(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], layer: int
) -> dict[str, Float[Tensor, "token d"]]:
    """For every place of a layer its activations, beginning tokens left out; for an expert's, of the tokens it got.

    Raises:
        ValueError: if that layer has no router, or one of its experts got no token.
    """
    names = [gate_hook(model, layer, "hook_expert_indices"), read_hook(layer)]
    seen = collect(model, tokens, names)  # one pass for both, which `expert_activity` asks for one by one
    chosen = seen[names[0]].unflatten(0, tokens.shape)[:, 1:].flatten(0, 1)
    read = seen[names[1]][:, 1:].flatten(0, 1)
    act = cast(Any, model.blocks[layer].mlp).original_component.experts.act_fn
    found = {stream_place(layer): read}
    for expert, (W_gate, W_in, W_out) in enumerate(zip(*expert_weights(model, layer), strict=True)):
        x = read[(chosen == expert).any(-1)]
        if not len(x):
            raise ValueError(f"Expert {expert} of layer {layer} was given none of these tokens: read more of them.")
        hidden = act(x @ W_gate) * (x @ W_in)
        found[expert_place(layer, expert, "hidden")] = hidden
        found[expert_place(layer, expert, "written")] = hidden @ W_out
    return found
