"""The same table for any mixture of experts: what its routes depend on, layer by layer, from one run of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from jaxtyping import Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure.collect import collect
from utils.measure.routing.granularity import Grain, granularity_sweep
from utils.measure.routing.nulls import TokenPrediction, token_prediction
from utils.measure.routing.record import gate_hook
from utils.measure.routing.repetition import Repetition, repetition


class LayerRouting(NamedTuple):
    """What the routes of one layer depend on.

    Attributes:
        repetition: of the experts on neighbouring tokens.
        prediction: how far the token alone says where it goes.
        grains: for each labelling, the bits it tells about the first choice.
        given_token: the same for who knows the token.
    """

    repetition: Repetition
    prediction: TokenPrediction
    grains: dict[str, Grain]
    given_token: dict[str, Grain]


def survey(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    labels: Mapping[str, Int[Tensor, "batch pos"]],
    layers: Sequence[int],
    draws: int = 2,
    folds: int = 20,
) -> dict[int, LayerRouting]:
    """Repetition, prediction by the token, and information in the first choice. Beginning tokens are left out.

    Args:
        labels: labellings of the text, such as source and topic, for `granularity_sweep`.
        layers: which ones, in any order.
        draws, folds: as in `granularity_sweep`.
    """
    n_experts = cast(Any, model.cfg).num_experts
    named = {layer: gate_hook(model, layer, "hook_expert_indices") for layer in sorted(layers)}
    seen = collect(model, tokens, list(named.values()))
    text = tokens[:, 1:]
    cut = {name: values[:, 1:] for name, values in labels.items()}
    found = {}
    for layer, name in named.items():
        chosen = seen[name].unflatten(0, tokens.shape)[:, 1:]
        first = chosen[..., 0]
        found[layer] = LayerRouting(
            repetition(chosen),
            token_prediction(text, first, n_experts),
            granularity_sweep(cut, first, draws=draws, folds=folds),
            granularity_sweep(cut, first, given=text, draws=draws, folds=folds),
        )
    return found
