"""Hooks that change the routes: `model.run_with_hooks(tokens, fwd_hooks=dropped(model, 2, [5]))`.

They change the router's decision and no weight, in one layer, on all tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure.ablation import Hook
from utils.measure.routing.record import gate_hook


def dropped(model: TransformerBridge, layer: int, experts: Sequence[int]) -> list[Hook]:
    """These experts write nothing; nobody takes their place, and the other choice keeps its weight."""
    _check(model, experts)

    def silence(weights: Float[Tensor, "token expert"], hook: Any = None) -> Float[Tensor, "token expert"]:
        return weights.index_fill(-1, torch.tensor(experts), 0.0)

    return [(gate_hook(model, layer, "hook_expert_weights"), silence)]


def barred(model: TransformerBridge, layer: int, experts: Sequence[int]) -> list[Hook]:
    """The router cannot choose these experts; its next choice takes over.

    Raises:
        ValueError: if too few experts remain for a token's choices.
    """
    _check(model, experts)
    n_experts, choices = _sizes(model)
    if n_experts - len(set(experts)) < choices:
        raise ValueError(f"A token chooses {choices} of {n_experts} experts: bar fewer than {len(set(experts))}.")
    return _decided(model, layer, lambda logits, _: logits.index_fill(-1, torch.tensor(experts), -torch.inf))


def forced(model: TransformerBridge, layer: int, experts: Sequence[int]) -> list[Hook]:
    """Every token goes to these experts; the router only says how to weight them.

    Raises:
        ValueError: if they are not as many as a token chooses.
    """
    _check(model, experts)
    n_experts, choices = _sizes(model)
    if len(set(experts)) != choices:
        raise ValueError(f"A token goes to {choices} different experts; got {list(experts)}.")
    others = torch.tensor([expert for expert in range(n_experts) if expert not in experts])
    return _decided(model, layer, lambda logits, _: logits.index_fill(-1, others, -torch.inf))


def routed_by(model: TransformerBridge, layer: int, router: Float[Tensor, "expert d_model"]) -> list[Hook]:
    """Another router decides: another layer's, another checkpoint's, or this one with its rows in another order.

    `router_weights(model, layer)` has a layer's own.

    Raises:
        ValueError: if its shape is not that of the layer's own router.
    """
    own = router_weights(model, layer)
    if router.shape != own.shape:
        raise ValueError(f"The router of this layer has shape {list(own.shape)}, the other {list(router.shape)}.")
    return _decided(model, layer, lambda _, x: x @ router.T)


def router_weights(model: TransformerBridge, layer: int) -> Float[Tensor, "expert d_model"]:
    """A layer's router: logits are its products with what the experts read."""
    gate_hook(model, layer, "hook_out")
    return _router(model, layer).weight.detach()


def _decided(model: TransformerBridge, layer: int, decide: Callable[[Tensor, Tensor], Tensor]) -> list[Hook]:
    """Hooks that route by other logits, which `decide` makes from the router's own and from what it read."""
    normalised = getattr(_router(model, layer), "norm_topk_prob", True)  # Mixtral's weights always are
    choices = _sizes(model)[1]
    seen: dict[str, Tensor] = {}

    def keep(part: str) -> Callable[..., None]:
        return lambda value, hook=None: seen.update({part: value})

    def route(weights: Float[Tensor, "token expert"], hook: Any = None) -> Float[Tensor, "token expert"]:
        probabilities = decide(seen["logits"], seen["x"]).softmax(-1)
        top, chosen = probabilities.topk(choices, dim=-1)
        top = top / top.sum(-1, keepdim=True) if normalised else top
        return torch.zeros_like(weights).scatter(-1, chosen, top.to(weights))

    return [
        (gate_hook(model, layer, "hook_in"), keep("x")),
        (gate_hook(model, layer, "hook_out"), keep("logits")),
        (gate_hook(model, layer, "hook_expert_weights"), route),
    ]


def _router(model: TransformerBridge, layer: int) -> Any:
    return cast(Any, model.blocks[layer].mlp).gate.original_component


def _sizes(model: TransformerBridge) -> tuple[int, int]:
    """How many experts a layer has, and how many a token chooses."""
    config = cast(Any, model.cfg)
    return config.num_experts, config.experts_per_token


def _check(model: TransformerBridge, experts: Sequence[int]) -> None:
    n_experts, _ = _sizes(model)
    if not all(0 <= expert < n_experts for expert in experts):
        raise ValueError(f"The experts are numbered 0 to {n_experts - 1}; got {list(experts)}.")
