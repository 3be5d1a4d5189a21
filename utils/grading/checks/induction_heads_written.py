"""Checks of the chapter on induction heads: what one layer cannot say, and a two-layer transformer written by hand."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape, fail
from utils.grading.checks.induction_heads import Student, fresh
from utils.grading.checks.induction_heads_weights import apart

NAMES = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U")


@exercise(
    "induction_heads.bug_floor",
    title="The skip-trigram bug",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "Only two tables are free: what the source says about the next token, and what the destination says. Their "
        "logits add. Nothing may depend on both at once.",
        "Make A [source next] and B [destination next] with requires_grad, logits = A[:, None] + B[None], and minimise "
        "−(joint · log_softmax(logits)).sum() with torch.optim.Adam. The problem is convex: one floor, and any "
        "good optimiser finds it.",
        "a = torch.zeros(S, N, requires_grad=True); b = torch.zeros(D, N, requires_grad=True); opt = "
        "torch.optim.Adam([a, b], lr=0.1); 500 times: loss = -(joint * (a[:, None] + b[None]).log_softmax(-1)).sum(); "
        "opt.zero_grad(); loss.backward(); opt.step(). Return loss.item().",
    ],
)
def check_bug_floor(student: Student) -> None:
    generator = fresh()
    bug = torch.zeros(2, 2, 2)
    bug[0, 0, 0] = bug[0, 1, 1] = bug[1, 0, 1] = bug[1, 1, 0] = 0.25
    floor = student(bug)
    expect_close(
        floor,
        math.log(2),
        mistakes={
            "You reached 0 on keep … in mind, keep … at bay and their mirror images: your logits depend on source and "
            "destination together. They should be A[source] + B[destination] and no more.": 0.0,
            "Those are bits. Use the natural logarithm: the unit is nats.": 1.0,
            "That is not a mean: joint holds probabilities, so their weighted sum is the loss per token.": (
                4 * math.log(2)
            ),
        },
        otherwise="For two sources and two destinations that must disagree, the floor is ln 2.",
        what="the floor",
        atol=0.01,
    )
    for shape in ((2, 3, 4), (4, 2, 3)):
        joint, want, mistakes = _telling_table(shape, generator)
        got = student(joint)
        expect_close(
            got,
            want,
            mistakes=mistakes,
            otherwise="The floor differs. If yours is above it, let the optimiser run longer; below it, something in "
            "your logits depends on source and destination together.",
            what="the floor",
            atol=0.01,
        )


def _telling_table(shape: tuple[int, int, int], generator: torch.Generator) -> tuple[Tensor, float, dict[str, float]]:
    """A joint distribution on which every known mistake gives a clearly different number."""
    while True:
        table = torch.randn(shape, generator=generator).mul(2.5).exp()
        joint = table / table.sum()
        mistakes = _partial_floors(joint)
        if not apart(list(mistakes.values())):
            continue
        want, even = _additive_floor(joint), joint / joint.sum(-1, keepdim=True)
        mistakes |= {
            "You gave every pair the same weight. Weigh each by how often it comes: multiply by joint.": (
                _additive_floor(even / even.sum())
            ),
            "Those are bits. Use the natural logarithm: the unit is nats.": want / math.log(2),
        }
        if apart([want, *mistakes.values()]):
            return joint, want, mistakes


def _entropy(probabilities: Tensor) -> float:
    return -torch.special.xlogy(probabilities, probabilities).sum().item()


def _partial_floors(joint: Tensor) -> dict[str, float]:
    """The floors of models that know more or less than they should, as differences of entropies."""
    pairs = joint.sum(-1)
    return {
        "That is the loss of a table over source and destination together. Two tables add up here, and neither sees "
        "the pair.": _entropy(joint) - _entropy(pairs),
        "That is the floor of the head alone. The destination speaks too, through the direct path: add its table.": (
            _entropy(joint.sum(1)) - _entropy(pairs.sum(1))
        ),
        "That is the floor of the direct path alone. The head adds what the source says.": (
            _entropy(joint.sum(0)) - _entropy(pairs.sum(0))
        ),
        "That ignores source and destination altogether: it is the entropy of the next token.": (
            _entropy(joint.sum((0, 1)))
        ),
        "That is ln of the number of next tokens, the loss of logits that are all equal: the optimiser has hardly "
        "moved. Take larger steps or more of them.": math.log(joint.shape[-1]),
    }


def _additive_floor(joint: Float[Tensor, "source destination next"]) -> float:
    """Lowest cross-entropy, in nats, of logits that are a table over sources plus a table over destinations."""
    target = joint.double()
    a = torch.zeros(joint.shape[0], joint.shape[2], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(joint.shape[1], joint.shape[2], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([a, b], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = -(target * (a[:, None] + b[None]).log_softmax(-1)).sum()
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(loss)
        return loss().item()


@exercise(
    "induction_heads.build_induction_head",
    title="Write an induction head",
    points=6,
    minutes=60,
    difficulty=3,
    hints=[
        "Give the residual stream four separate blocks of coordinates: which token I am, where I stand, which token "
        "stood before me, and what I predict. Write down, for each of the eight head matrices, which block it reads "
        "and which it writes.",
        "Layer 0: the query at i carries the one-hot i, the key at j the one-hot j + 1, the value is the token, "
        "written into `before`. Layer 1: the query is the token, the key is `before`, the value is the token, written "
        "into `out`. Scores are divided by √d_head and must then beat n_ctx other keys: multiply the queries by "
        "20 √d_head. For queries without a match, give BOS's key a bonus of half a match, through one more coordinate "
        "in which every query is 1.",
        "With T, P, B, O the starts of the blocks, v = arange(d_vocab), n = arange(n_ctx): W_E[v, T + v] = 1; W_pos[n, "
        "P + n] = 1; W_Q[0, P + n, n] = β; W_K[0, P + n[:-1], n[1:]] = 1; W_V[0, T + v, v] = W_O[0, v, B + v] = 1; "
        "W_Q[1, T + v, v] = β; W_Q[1, T + v, d_vocab] = β; W_K[1, B + v, v] = 1; W_K[1, T + 0, d_vocab] = 0.5; "
        "W_V[1, T + v, v] = W_O[1, v, O + v] = 1; W_U[O + v, v] = 1; d_head = max(n_ctx, d_vocab + 1).",
    ],
)
def check_build_induction_head(student: Student) -> None:
    generator = fresh()
    for d_vocab, n_ctx in ((13, 24), (29, 41), (5, 60)):
        weights = _checked_weights(student(d_vocab, n_ctx), d_vocab, n_ctx)
        for tokens in _trials(d_vocab, n_ctx, generator):
            logits, patterns = run_by_hand(weights, tokens)
            if not logits.isfinite().all():
                fail("The logits are not finite. Scores of a few tens settle a softmax; you do not need infinity.")
            _expect_previous_token(patterns[0])
            _expect_induction(patterns[1], tokens)
            _expect_prediction(logits, tokens)


def run_by_hand(
    weights: dict[str, Tensor], tokens: Int[Tensor, "batch position"]
) -> tuple[Float[Tensor, "batch position d_vocab"], list[Float[Tensor, "batch query key"]]]:
    """A two-layer attention-only transformer with one head a layer, without LayerNorm and biases."""
    length = tokens.shape[1]
    stream = weights["W_E"][tokens] + weights["W_pos"][:length]
    future = torch.ones(length, length).triu(1).bool()
    patterns = []
    for layer in range(2):
        query, key, value = (stream @ weights[name][layer] for name in ("W_Q", "W_K", "W_V"))
        scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        pattern = scores.masked_fill(future, float("-inf")).softmax(-1)
        stream = stream + pattern @ value @ weights["W_O"][layer]
        patterns.append(pattern)
    return stream @ weights["W_U"], patterns


def _checked_weights(got: Any, d_vocab: int, n_ctx: int) -> dict[str, Tensor]:
    if not isinstance(got, dict) or set(got) != set(NAMES):
        fail(f"Return a dict with the keys {', '.join(NAMES)}.")
    if not all(isinstance(got[name], Tensor) for name in NAMES):
        fail("Every weight should be a tensor.")
    sizes = (got["W_E"].shape[-1], got["W_Q"].shape[-1])
    d_model, d_head = sizes
    shapes = {
        "W_E": (d_vocab, d_model),
        "W_pos": (n_ctx, d_model),
        "W_Q": (2, d_model, d_head),
        "W_K": (2, d_model, d_head),
        "W_V": (2, d_model, d_head),
        "W_O": (2, d_head, d_model),
        "W_U": (d_model, d_vocab),
    }
    for name, shape in shapes.items():
        expect_shape(got[name], shape, f"{name} (d_vocab {d_vocab}, n_ctx {n_ctx}, your d_model {d_model})")
    return {name: got[name].detach().float() for name in NAMES}


def _trials(d_vocab: int, n_ctx: int, generator: torch.Generator) -> list[Int[Tensor, "batch position"]]:
    """Sequences of every awkward kind: repeats, no repeats, many earlier copies, the same token throughout."""

    def rows(count: int, length: int, top: int) -> Tensor:
        return torch.randint(1, top, (count, length), generator=generator)

    period = (n_ctx - 1) // 2
    once = rows(2, period, d_vocab)
    alone = torch.stack([1 + torch.randperm(d_vocab - 1, generator=generator) for _ in range(2)])[:, : n_ctx - 1]
    bodies = [torch.cat([once, once], 1), alone, rows(3, n_ctx - 1, min(4, d_vocab)), rows(3, n_ctx - 1, d_vocab)]
    bodies += [rows(2, 1, d_vocab).repeat(1, n_ctx - 1), rows(2, 1, d_vocab)]
    return [torch.cat([torch.zeros(len(body), 1, dtype=torch.long), body], dim=1) for body in bodies]


def _expect_previous_token(pattern: Float[Tensor, "batch query key"]) -> None:
    length = pattern.shape[-1]
    back = [pattern.diagonal(offset=-step, dim1=-2, dim2=-1) for step in range(min(3, length))]
    if back[1].min() > 0.9:
        return
    if back[0][:, 1:].min() > 0.9:
        fail("The head of layer 0 looks at its own position. The key at j must answer the query at j + 1: shift one.")
    if length > 2 and back[2].min() > 0.9:
        fail("The head of layer 0 looks two positions back. One shift is enough.")
    if length > 3 and pattern[:, -1].max() < 1.5 / length:
        fail(
            "The head of layer 0 looks everywhere alike. If your shift points forward, the causal mask hides what it "
            "looks for: the key at j must answer the query at j + 1."
        )
    fail(
        f"The head of layer 0 gives its previous token only {back[1].min():.2f} of its attention at worst. Scores are "
        "divided by the root of d_head: scale the queries so that one match outweighs every other key."
    )


def _expect_induction(pattern: Float[Tensor, "batch query key"], tokens: Int[Tensor, "batch position"]) -> None:
    before = torch.cat([torch.full((len(tokens), 1), -1), tokens[:, :-1]], dim=1)
    match = (tokens[:, :, None] == before[:, None, :]).tril()
    found, known = (pattern * match).sum(-1), match.any(-1)
    if known.any() and found[known].min() < 0.9:
        same = (tokens[:, :, None] == tokens[:, None, :]).tril()
        on_same = (pattern * same).sum(-1)[known]
        if on_same.mean() > found[known].mean().clamp(min=0.4):
            fail(
                "The head of layer 1 looks at copies of its own token: its key reads which token stands there. It "
                "should read which token stood before, and layer 0 should write that into coordinates which nothing "
                "else uses."
            )
        if pattern[..., 0][known].min() > 0.5:
            fail(
                "The head of layer 1 rests at BOS although there is something to find: its key must read what layer 0 "
                "wrote, and a match must outweigh the bonus."
            )
        fail(
            f"The head of layer 1 gives what followed earlier copies only {found[known].min():.2f} of its attention at "
            "worst. Scores are divided by the root of d_head: scale the queries."
        )
    lost = ~known
    lost[:, 0] = False
    if lost.any() and pattern[..., 0][lost].min() < 0.9:
        fail(
            "A token without an earlier copy should make layer 1 rest at BOS, with at least 0.9 of its attention; "
            f"yours gives {pattern[..., 0][lost].min():.2f}. Give BOS's key a bonus between no match and a match."
        )


def _expect_prediction(logits: Float[Tensor, "batch position d_vocab"], tokens: Int[Tensor, "batch position"]) -> None:
    said = logits.argmax(-1)
    for row, ids in enumerate(tokens.tolist()):
        for query in range(1, len(ids)):
            followers = [ids[k] for k in range(1, query + 1) if ids[k - 1] == ids[query]]
            most = max((followers.count(token) for token in followers), default=0)
            best = {token for token in followers if followers.count(token) == most} or {0}
            answer = int(said[row, query])
            if answer in best:
                continue
            if not followers and logits[row, query].abs().max() < 0.1 * logits.abs().max():
                fail(
                    "Where nothing can be copied, your logits are all near 0 and leftovers of the softmax decide. "
                    "A head whose BOS carries no value says nothing; here it should say BOS: let the value at BOS vote "
                    "for BOS, as every token's value votes for that token."
                )
            if not followers and answer == ids[query]:
                fail("The model predicts the token it stands on. W_U should read only what layer 1 wrote.")
            if not followers:
                fail("Where nothing can be copied, the model should predict BOS (id 0), its way of saying nothing.")
            if answer == ids[query] or len(followers) == 1:
                fail(
                    "The pattern of layer 1 is right and the prediction is not: its value should carry the token that "
                    "stands at the key, and W_U should read it."
                )
            fail("With several earlier copies, the most frequent of what followed them should be predicted.")
