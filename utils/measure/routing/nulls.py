"""What routing must be compared with: routes that follow nothing, only the stream, only the hidden units, or the token.

Each answers another doubt about a table of experts by topic. Routes of other sequences: is it chance? An untrained
router on the trained stream: is it only that the stream's vectors differ by topic? A dense model cut into
pseudo-experts: would groups of neurons look as specialised without any routing? The token alone: is the topic only
its words?
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize
from transformer_lens.model_bridge import TransformerBridge

from utils.measure.collect import collect
from utils.measure.routing.interventions import router_weights
from utils.measure.routing.tables import routing_table

ROUNDS = 10  # of moving units to the nearest group


class TokenPrediction(NamedTuple):
    """How far the token alone says where it is sent, on sequences that the prediction has not seen.

    Attributes:
        right: the share of tokens that go where their token mostly goes.
        commonest: the share that the most used expert gets, which needs no token to be known.
        explained: how much of the way from `commonest` to 1 the token goes; below 0 if it misleads.
        unseen: the share of tokens that the other half never had; they count as sent to the most used expert.
    """

    right: float
    commonest: float
    explained: float
    unseen: float


def over_sequences(values: Int[Tensor, "batch pos"], seed: int = 0) -> Int[Tensor, "batch pos"]:
    """Labels (or routes) dealt out to other sequences as wholes, each turned round by a random number of places.

    What goes together within a sequence stays together, so that a null made of this is as uneven as the truth.
    Turning matters for labels that are alike in all sequences, such as positions.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, length = values.shape
    turn = torch.randint(length, (rows, 1), generator=generator)
    place = (torch.arange(length) + turn) % length
    return values[torch.randperm(rows, generator=generator)].gather(1, place)


def fresh_router(model: TransformerBridge, layer: int, seed: int = 0) -> Float[Tensor, "expert d_model"]:
    """An untrained router for a trained layer: random directions, each as long as the layer's own.

    For `routed_by`, which runs the model with it, or for `routes_by`, which only asks where it would send the tokens.
    """
    own = router_weights(model, layer)
    drawn = torch.randn(own.shape, generator=torch.Generator().manual_seed(seed))
    return normalize(drawn, dim=-1) * own.norm(dim=-1, keepdim=True)


def routes_by(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    layer: int,
    router: Float[Tensor, "expert d_model"],
    choices: int = 2,
) -> Int[Tensor, "batch pos choice"]:
    """Where a router would send these tokens, the first choice first; the model runs undisturbed.

    The router reads what the layer's MLP reads, in a model with experts or without.
    """
    name = f"blocks.{layer}.mlp.hook_in"
    return (collect(model, tokens, [name])[name] @ router.T).topk(choices, dim=-1).indices


def pseudo_experts(hidden: Float[Tensor, "token unit"], groups: int = 8, seed: int = 0) -> Int[Tensor, " unit"]:
    """Cuts a dense MLP into equal groups of hidden units that are active on the same tokens.

    Units are compared by how their absolute activations correlate over tokens, and grouped by k-means in which every
    group takes the same number of units. Make the groups on other tokens than those on which you use them.

    Args:
        hidden: the units between the MLP's input and its output weights.

    Raises:
        ValueError: if the units do not divide into `groups` equal groups.
    """
    units = hidden.shape[1]
    if units % groups:
        raise ValueError(f"{units} units do not divide into {groups} equal groups.")
    active = hidden.abs().float()
    profiles = normalize(active - active.mean(0), dim=0).T  # [unit, token]: products are correlations
    start = torch.randperm(units, generator=torch.Generator().manual_seed(seed))[:groups]
    centres = profiles[start]
    group = torch.full((units,), -1)
    for _ in range(ROUNDS):
        moved = _equal_groups(profiles @ normalize(centres, dim=-1).T)
        if torch.equal(moved, group):
            break
        group = moved
        centres = torch.stack([profiles[group == i].mean(0) for i in range(groups)])
    return group


def _equal_groups(similarity: Float[Tensor, "unit group"]) -> Int[Tensor, " unit"]:
    """Every unit in a group that still has room, the most similar pairs first."""
    units, groups = similarity.shape
    group, room = [-1] * units, [units // groups] * groups
    for pair in similarity.flatten().argsort(descending=True, stable=True).tolist():
        unit, to = divmod(pair, groups)
        if group[unit] < 0 and room[to]:
            group[unit] = to
            room[to] -= 1
    return torch.tensor(group)


def pseudo_written(
    hidden: Float[Tensor, "*token unit"], W_out: Float[Tensor, "unit d_model"], group: Int[Tensor, " unit"]
) -> Float[Tensor, "*token group d_model"]:
    """What each group of a dense MLP writes; the sum over groups is what the MLP writes, less its bias."""
    members = [(group == i).nonzero()[:, 0] for i in range(int(group.max()) + 1)]
    return torch.stack([hidden[..., units] @ W_out[units] for units in members], dim=-2)


def pseudo_routes(
    hidden: Float[Tensor, "*token unit"],
    W_out: Float[Tensor, "unit d_model"],
    group: Int[Tensor, " unit"],
    choices: int = 2,
) -> Int[Tensor, "*token choice"]:
    """The groups that write the longest vectors on each token, the longest first: routes without a router."""
    return pseudo_written(hidden, W_out, group).norm(dim=-1).topk(choices, dim=-1).indices


def token_prediction(
    tokens: Int[Tensor, "batch pos"], experts: Int[Tensor, "batch pos"], n_experts: int
) -> TokenPrediction:
    """Predicts each token's expert as the one that the same token mostly has in every other sequence.

    Args:
        experts: first choices. The even rows teach, the odd rows are predicted.

    Raises:
        ValueError: if there are fewer than two sequences.
    """
    if len(tokens) < 2:
        raise ValueError("Predicting needs at least two sequences: one half teaches, the other is predicted.")
    table = routing_table(tokens[::2], experts[::2], int(tokens.max()) + 1, n_experts)
    most_used = table.sum(0).argmax()
    seen = table.sum(1) > 0
    mostly = torch.where(seen, table.argmax(1), most_used)
    here, truth = tokens[1::2], experts[1::2]
    right = (mostly[here] == truth).float().mean().item()
    commonest = (truth == most_used).float().mean().item()
    explained = (right - commonest) / (1 - commonest) if commonest < 1 else float("nan")
    return TokenPrediction(right, commonest, explained, (~seen[here]).float().mean().item())
