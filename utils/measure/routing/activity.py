"""What experts do inside: their hidden units, which the library does not expose, computed from weights and inputs."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure.collect import collect
from utils.measure.routing.record import gate_hook, record_routing


class ExpertWeights(NamedTuple):
    """An expert computes `(act(x W_gate) · x W_in) W_out`."""

    W_gate: Float[Tensor, "expert d_model d_expert"]
    W_in: Float[Tensor, "expert d_model d_expert"]
    W_out: Float[Tensor, "expert d_expert d_model"]


class Activity(NamedTuple):
    """What the experts of one layer made of the tokens they were given.

    Attributes:
        chosen: the experts, the first choice first.
        weights: what their outputs are multiplied with, in the same order.
        hidden: the units of each chosen expert, between its input and its output weights.
        written: each chosen expert's output, not yet weighted; `Σ weights · written` is what the block writes.
    """

    chosen: Int[Tensor, "batch pos choice"]
    weights: Float[Tensor, "batch pos choice"]
    hidden: Float[Tensor, "batch pos choice d_expert"]
    written: Float[Tensor, "batch pos choice d_model"]

    def of(self, expert: int) -> tuple[Int[Tensor, "used 3"], Float[Tensor, "used d_expert"]]:
        """One expert's units on the tokens it was given, and where those stand: row, position, choice."""
        where = (self.chosen == expert).nonzero()
        return where, self.hidden[tuple(where.T)]


@torch.no_grad()
def expert_activity(model: TransformerBridge, tokens: Int[Tensor, "batch pos"], layer: int) -> Activity:
    """Runs the model up to one layer and computes what its experts do there.

    Raises:
        ValueError: if that layer has no router.
    """
    name = f"blocks.{layer}.mlp.hook_in"
    routing = record_routing(model, tokens, layer)
    x = collect(model, tokens, [name])[name]
    act = cast(Any, model.blocks[layer].mlp).original_component.experts.act_fn
    W_gate, W_in, W_out = expert_weights(model, layer)
    hidden = x.new_zeros((*routing.chosen.shape, W_out.shape[1]))
    written = x.new_zeros((*routing.chosen.shape, W_out.shape[2]))
    for expert in routing.chosen.unique().tolist():
        row, pos, choice = (routing.chosen == expert).nonzero(as_tuple=True)
        read = x[row, pos]
        units = act(read @ W_gate[expert]) * (read @ W_in[expert])
        hidden[row, pos, choice] = units
        written[row, pos, choice] = units @ W_out[expert]
    return Activity(routing.chosen, routing.weights.gather(-1, routing.chosen), hidden, written)


def expert_weights(model: TransformerBridge, layer: int) -> ExpertWeights:
    """The weights of a layer's experts.

    Raises:
        ValueError: if that layer has no router.
    """
    gate_hook(model, layer, "hook_out")
    experts = cast(Any, model.blocks[layer].mlp).original_component.experts
    W_gate, W_in = experts.gate_up_proj.detach().mT.chunk(2, dim=-1)
    return ExpertWeights(W_gate, W_in, experts.down_proj.detach().mT)
