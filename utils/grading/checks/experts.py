"""Checks of the chapter on experts: the router, and what an expert computes.

The other modules go by what they ask: the loss that balances (`_balance`), tokens counted by expert (`_counted`),
labels dealt out anew (`_dealt`), what a flat histogram says (`_flat`), routes that are changed (`_forced`), experts and
features that get names (`_named`), experts cut out of a dense network (`_pseudo`). The hour-long exercise is in
`_trained`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import gelu, one_hot, silu

from utils.grading import exercise, expect_close, expect_equal, expect_shape
from utils.grading.checks.othello import expect_heard
from utils.grading.checks.superposition import Student, expect_parts, fresh


def top(scores: Float[Tensor, "*token expert"], choices: int) -> Int[Tensor, "*token choice"]:
    """The experts with the highest scores, the highest first."""
    return scores.topk(choices, dim=-1).indices


def picked(chosen: Int[Tensor, "*token choice"], n_experts: int) -> Tensor:
    """1 for each expert that a token chose, 0 for the others."""
    return one_hot(chosen, n_experts).sum(-2).float()


def even(weights: Float[Tensor, "*token expert"]) -> Float[Tensor, "*token expert"]:
    """Every row divided by its sum."""
    return weights / weights.sum(-1, keepdim=True)


@exercise(
    "experts.route",
    title="Two of eight",
    points=2,
    minutes=10,
    difficulty=1,
    hints=[
        "A router is one matrix: each of its rows is an expert's direction, and the logit is how far the token points "
        "that way. Choose first, then ask for the probabilities among the chosen.",
        "topk gives the largest logits of a row and where they stand, the largest first. A softmax over those few is "
        "the same as a softmax over all that is divided by the sum of the chosen. scatter puts numbers into a tensor "
        "of zeros at given places.",
        "logits = x @ W_router.T; best, chosen = logits.topk(choices, dim=-1); weights = "
        "torch.zeros_like(logits).scatter(-1, chosen, best.softmax(-1)); return weights, chosen",
    ],
)
def check_route(student: Student) -> None:
    g = fresh()
    x, W_router = torch.randn(6, 5, generator=g), 0.7 * torch.randn(7, 5, generator=g)
    for choices in (3, 2):
        _expect_route(student, x, W_router, choices)
    arguments = {"x": x, "W_router": W_router, "choices": 3}
    expect_heard(student, student(x, W_router, 3), arguments, "choices", 1)
    loud = 400 * x
    expect_close(
        student(loud, W_router, 3)[0],
        _routed(loud @ W_router.T, 3),
        otherwise="With large logits your weights go wrong: exp of a few hundred is no number any more. Use softmax, "
        "which subtracts the largest logit first.",
        what="weights",
    )


def _routed(logits: Float[Tensor, "token expert"], choices: int) -> Float[Tensor, "token expert"]:
    kept = picked(top(logits, choices), logits.shape[-1]) > 0
    return logits.masked_fill(~kept, -torch.inf).softmax(-1)


def _expect_route(student: Student, x: Tensor, W_router: Tensor, choices: int) -> None:
    got = student(x, W_router, choices)
    expect_parts(got, 2, "Return two tensors, (weights, chosen).")
    weights, chosen = got
    logits = x @ W_router.T
    n_experts = len(W_router)
    mask = picked(top(logits, choices), n_experts)
    want = _routed(logits, choices)
    expect_shape(weights, logits.shape, "weights")
    expect_shape(chosen, (len(x), choices), "chosen")
    lowest = picked(top(-logits, choices), n_experts)
    expect_close(
        weights,
        want,
        mistakes={
            "The weights are not renormalised: those of the chosen experts have to add up to 1.": mask
            * logits.softmax(-1),
            "No expert was left out: all of them have a weight. Only the chosen ones may.": logits.softmax(-1),
            "The experts left out went through the softmax with a logit of 0, which is e⁰ = 1 and not nothing. Leave "
            "them out of it.": (mask * logits).softmax(-1),
            "As before, but with their weights erased: the chosen ones no longer add up to 1.": mask
            * (mask * logits).softmax(-1),
            "All chosen experts have the same weight. Their logits decide how much each counts.": mask / choices,
            "You chose the experts with the lowest logits.": even(lowest * logits.softmax(-1)),
            "You divided the logits by their sum. They have both signs: take the softmax.": even(mask * logits),
            "You used sigmoids, as some later models do. Here it is a softmax.": even(mask * logits.sigmoid()),
            "The softmax went over tokens. Each token has a softmax of its own, over experts.": even(
                mask * logits.softmax(0)
            ),
            "As if a token chose a single expert: its weight is then always 1.": picked(top(logits, 1), n_experts),
            "You chose by the size of the logit, without its sign. A very negative logit means: not this one.": (
                even(picked(top(logits.abs(), choices), n_experts) * logits.softmax(-1))
            ),
        },
        otherwise="weights differ: a softmax over the logits of the chosen experts, and 0 for the others.",
        what="weights",
    )
    order = top(logits, choices)
    expect_equal(
        chosen,
        order,
        mistakes={
            "The chosen experts are in the order of their numbers. The first choice, with the highest logit, comes "
            "first.": order.sort(-1).values,
            "The last choice comes first: turn the order round.": order.flip(-1),
            "Those are the experts with the lowest logits.": top(-logits, choices),
        },
        otherwise="chosen differs: the numbers of the experts with the highest logits, the highest first.",
        what="chosen",
    )


@exercise(
    "experts.run_experts",
    title="One expert by hand",
    points=2,
    minutes=20,
    difficulty=2,
    hints=[
        "Do one token and one of its choices with a loop, and be content: two loops are a right answer. The expert's "
        "number picks its three matrices.",
        "W_gate[chosen] has shape [token choice d_model d_expert]: every token brings its own matrices, and one einsum "
        "does the rest. The weight of a choice is weights.gather(-1, chosen), and it multiplies what the expert "
        "writes, at the end.",
        'gate = einsum("t d, t c d h -> t c h", x, W_gate[chosen]), the same with W_in; hidden = silu(gate) * read; '
        'outputs = einsum("t c h, t c h d -> t c d", hidden, W_out[chosen]); return hidden, '
        "(weights.gather(-1, chosen)[..., None] * outputs).sum(1)",
    ],
)
def check_run_experts(student: Student) -> None:
    g = fresh()
    tokens, d_model, d_expert, n_experts, choices = 6, 5, 4, 7, 3
    x = 1.3 * torch.randn(tokens, d_model, generator=g)
    W_gate, W_in = torch.randn(2, n_experts, d_model, d_expert, generator=g)
    W_out = torch.randn(n_experts, d_expert, d_model, generator=g)
    scores = torch.rand(tokens, n_experts, generator=g)
    chosen = top(scores, choices)
    weights = picked(chosen, n_experts) * (0.2 + scores)  # they do not add up to 1
    got = student(x, W_gate, W_in, W_out, weights, chosen)
    expect_parts(got, 2, "Return two tensors, (hidden, written).")
    hidden, written = got
    expect_shape(hidden, (tokens, choices, d_expert), "hidden")
    expect_shape(written, (tokens, d_model), "written")

    def read(W: Tensor, of: Tensor = chosen) -> Tensor:
        return torch.einsum("td,tcdh->tch", x, W[of])

    gate, value = read(W_gate), read(W_in)
    right, scale = silu(gate) * value, weights.gather(-1, chosen)[..., None]
    first = torch.arange(choices).expand_as(chosen)
    ordered = chosen.sort(-1).values
    expect_close(
        hidden,
        right,
        mistakes={
            "Gate and value are exchanged: the SiLU is around x W_gate.": gate * silu(value),
            "The gate is a ReLU in yours. In this architecture it is a SiLU, x · sigmoid(x).": gate.relu() * value,
            "The gate is a GELU in yours. In this architecture it is a SiLU, x · sigmoid(x).": gelu(gate) * value,
            "The gate is a sigmoid in yours, without the x in front of it: SiLU is x · sigmoid(x).": gate.sigmoid()
            * value,
            "The SiLU is around the product. Only the gate goes through it.": silu(gate * value),
            "The gate has no SiLU: then the unit is a product of two linear maps.": gate * value,
            "Gate and value are added. They are multiplied: a closed gate lets nothing through.": silu(gate) + value,
            "The gate is missing: that is an ordinary layer.": silu(value),
            "You used the first experts for every token. chosen says which ones a token goes to.": (
                silu(read(W_gate, first)) * read(W_in, first)
            ),
            "The choices are in the order of the experts' numbers. Keep the order of chosen.": (
                silu(read(W_gate, ordered)) * read(W_in, ordered)
            ),
            "The router's weight is already in the hidden units. It comes at the end.": scale * right,
        },
        otherwise="hidden differs: SiLU(x W_gate) · (x W_in), with the matrices of each chosen expert.",
        what="hidden",
    )
    out = torch.einsum("tch,tchd->tcd", right, W_out[chosen])
    inner = torch.einsum("tch,tchd->tcd", silu(scale * gate) * (scale * value), W_out[chosen])
    every = torch.einsum("td,edh->teh", x, W_gate), torch.einsum("td,edh->teh", x, W_in)
    expect_close(
        written,
        (scale * out).sum(1),
        mistakes={
            "The router's weights are missing: each output is multiplied with its expert's.": out.sum(1),
            "That is the mean of the outputs. Add them up, each times its weight.": out.mean(1),
            "You made the weights add up to 1. They are taken as they are given.": (scale * out).sum(1) / scale.sum(1),
            "Only the first choice wrote something.": scale[:, 0] * out[:, 0],
            "The weights went to the wrong experts: weights has a column for each expert, so gather those of the "
            "chosen ones.": (weights[:, :choices, None] * out).sum(1),
            "You multiplied what the experts read by their weights. An expert is not linear: weight what it writes.": (
                inner.sum(1)
            ),
            "Every expert wrote something for every token. Only the chosen ones do.": torch.einsum(
                "teh,ehd->td", silu(every[0]) * every[1], W_out
            ),
            "The weights are squared in yours: applied to the hidden units and to the output.": (scale**2 * out).sum(1),
        },
        otherwise="written differs: the sum over choices of weight · (hidden W_out).",
        what="written",
    )
