"""Checks of the chapter on the residual stream: norms, attention and the writes of heads.

Exercises about logits are in `residual_stream_logits`, those about memory, subspaces, cost and paths in
`residual_stream_memory`, the whole forward pass in `residual_stream_whole`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import torch
from einops import einsum, rearrange
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape, fail

Student = Callable[..., Any]


def fresh() -> torch.Generator:
    """A generator that no submission can foresee."""
    return torch.Generator().manual_seed(secrets.randbits(62))


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Random numbers around zero."""
    return torch.randn(*shape, generator=generator)


def away_from_one(size: int, generator: torch.Generator) -> Tensor:
    """A weight whose entries are nowhere near 1, so that leaving it out shows."""
    return 1.5 + torch.rand(size, generator=generator)


def standardised(x: Tensor, eps: float) -> Tensor:
    """LayerNorm without weight and bias."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()


# --- Norms -----------------------------------------------------------------------------------------------------------


@exercise(
    "residual_stream.layer_norm",
    title="LayerNorm by hand",
    points=2,
    minutes=10,
    difficulty=1,
    hints=[
        "Every position is normalised by itself: mean and variance run over the last axis only, and `keepdim=True` "
        "keeps that axis, so that the result can be subtracted and divided.",
        "Centre first. The variance is the mean of the squared centred values (divide by the width, not width − 1), "
        "and eps is added to the variance before the square root.",
        "centred = x - x.mean(-1, keepdim=True); scale = (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt(); "
        "return centred / scale * weight + bias",
    ],
)
def check_layer_norm(student: Student) -> None:
    g = fresh()
    x = 2 * normal(2, 7, 5, generator=g) + 3
    weight, bias, eps = away_from_one(5, g), 1 + normal(5, generator=g).abs(), 0.5
    got = student(x, weight, bias, eps)
    expect_shape(got, (2, 7, 5), "the normalised stream")
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.pow(2).mean(-1, keepdim=True)
    unit = centred / (variance + eps).sqrt()
    over_positions = x - x.mean(1, keepdim=True)
    expect_close(
        got,
        unit * weight + bias,
        mistakes={
            "You divided by the variance, not its square root.": centred / (variance + eps) * weight + bias,
            "eps goes under the square root, added to the variance; you added it to the standard deviation.": centred
            / (variance.sqrt() + eps)
            * weight
            + bias,
            "You left eps out: it is added to the variance, under the root.": centred / variance.sqrt() * weight + bias,
            "The mean was never subtracted. Without centring this is RMSNorm.": x
            / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
            * weight
            + bias,
            "The mean is subtracted, but the divisor is the root mean square of the uncentred values.": centred
            / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
            * weight
            + bias,
            "You averaged squares over width − 1 (torch's default for var and std); LayerNorm divides by the width. "
            "Pass unbiased=False.": centred / (x.var(-1, keepdim=True) + eps).sqrt() * weight + bias,
            "You normalised along the positions. Every position is normalised by itself, over its own d_model "
            "numbers.": over_positions / (over_positions.pow(2).mean(1, keepdim=True) + eps).sqrt() * weight + bias,
            "You used one mean and one variance for the whole tensor; each position has its own.": (x - x.mean())
            / (x.var(unbiased=False) + eps).sqrt()
            * weight
            + bias,
            "The bias comes last: multiply by the weight first, then add.": (unit + bias) * weight,
            "The weight is missing.": unit + bias,
            "The bias is missing.": unit * weight,
            "Weight and bias are missing.": unit,
        },
        otherwise="The values differ: centre, divide by the root of (variance + eps), times weight, plus bias.",
    )


@exercise(
    "residual_stream.rms_norm",
    title="RMSNorm, and what it keeps",
    points=2,
    minutes=10,
    difficulty=1,
    hints=[
        "The root mean square is what its name says, read from the back: square, mean over d_model, root. eps is "
        "added to the mean before the root.",
        "Centring removes the vector whose entries all equal the mean. Its squared length is d_model · mean²; compare "
        "that with the squared length of x, the sum of its squares.",
        "normed = x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight; "
        "lost = x.mean(-1).pow(2) / x.pow(2).mean(-1); return normed, lost",
    ],
)
def check_rms_norm(student: Student) -> None:
    g = fresh()
    x = normal(2, 7, 5, generator=g) + 0.7
    weight, eps = away_from_one(5, g), 0.5
    got = student(x, weight, eps)
    if isinstance(got, Tensor) or not isinstance(got, (tuple, list)) or len(got) != 2:
        fail("Return two tensors, (normed, lost): the normalised stream and the share that centring would remove.")
    normed, lost = got
    expect_shape(normed, (2, 7, 5), "normed")
    expect_shape(lost, (2, 7), "lost")
    mean_square = x.pow(2).mean(-1, keepdim=True)
    expect_close(
        normed,
        x / (mean_square + eps).sqrt() * weight,
        mistakes={
            "You subtracted the mean first: that is LayerNorm. RMSNorm leaves it in.": standardised(x, eps) * weight,
            "You divided by the standard deviation, which is measured from the mean; the root mean square is measured "
            "from zero.": x / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt() * weight,
            "You divided by the mean square without taking its root.": x / (mean_square + eps) * weight,
            "You divided by the length of the vector. The root mean square is the length divided by √d_model.": x
            / x.norm(dim=-1, keepdim=True)
            * weight,
            "eps goes under the root, added to the mean square.": x / (mean_square.sqrt() + eps) * weight,
            "You left eps out: it is added to the mean square, under the root.": x / mean_square.sqrt() * weight,
            "The weight is missing.": x / (mean_square + eps).sqrt(),
        },
        otherwise="normed differs: x divided by the root of (mean of x² + eps), times weight.",
        what="normed",
    )
    share = x.mean(-1).pow(2) / x.pow(2).mean(-1)
    expect_close(
        lost,
        share,
        mistakes={
            "That is the share that centring keeps; the share it removes is 1 minus that.": 1 - share,
            "You compared lengths; a share that adds up with the rest compares squared lengths.": share.sqrt(),
            "You compared mean² with the sum of squares. The removed vector has d_model entries equal to the mean, so "
            "its squared length is d_model · mean².": x.mean(-1).pow(2) / x.pow(2).sum(-1),
            "lost is about the stream as it comes in, before weight and eps.": normed.mean(-1).pow(2)
            / normed.pow(2).mean(-1),
        },
        otherwise="lost differs: d_model · mean² divided by the sum of squares, one number per position.",
        what="lost",
    )
    constant, balanced = torch.full((1, 2, 4), 3.0), torch.tensor([[[1.0, -1.0, 2.0, -2.0]] * 2])
    for stream, share_lost in ((constant, 1.0), (balanced, 0.0)):
        _, edge = student(stream, torch.ones(4), 0.1)
        expect_close(
            edge,
            torch.full((1, 2), share_lost),
            otherwise="A constant vector is all mean and loses everything; one whose mean is 0 loses nothing.",
            what="lost",
        )


# --- Attention -------------------------------------------------------------------------------------------------------


@exercise(
    "residual_stream.causal_pattern",
    title="Where a head looks",
    points=2,
    minutes=15,
    difficulty=1,
    hints=[
        "Three steps: a score for every pair of query and key, a mask, a softmax. Write down which axis of the scores "
        "is the query and which the key before you do the second and the third.",
        "scores[b, h, q, k] is the dot product of q[b, q, h] and k[b, k, h] over d_head, divided by √d_head. Pairs "
        "with k > q get −inf before the softmax, and the softmax runs over keys, the last axis.",
        'scores = einsum(q, k, "b query h d, b key h d -> b h query key") / d_head**0.5; future = '
        "torch.ones(n, n).triu(1).bool(); return scores.masked_fill(future, -torch.inf).softmax(-1)",
    ],
)
def check_causal_pattern(student: Student) -> None:
    g = fresh()
    q, k = 1.5 * normal(2, 7, 3, 5, generator=g), 1.5 * normal(2, 7, 3, 5, generator=g)
    got = student(q, k)
    expect_shape(got, (2, 3, 7, 7), "the pattern")
    raw = einsum(q, k, "b query h d, b key h d -> b h query key")
    future = torch.ones(7, 7).triu(1).bool()
    scores = raw / 5**0.5
    hidden = scores.masked_fill(future, float("-inf"))
    want = hidden.softmax(-1)
    zeroed = scores.masked_fill(future, 0.0).softmax(-1)
    flipped = scores.transpose(-1, -2)
    expect_close(
        got,
        want,
        mistakes={
            "You masked after the softmax, so the future still took its share and rows no longer sum to 1. Mask the "
            "scores, then take the softmax.": scores.softmax(-1).masked_fill(future, 0.0),
            "There is no mask: positions attend to the future, which they are to predict.": scores.softmax(-1),
            "Hidden scores were set to 0, and e⁰ is 1: the future still gets attention. Set them to −inf.": zeroed,
            "The mask is upside down: it hides the past and shows the future.": scores.masked_fill(
                future.T, float("-inf")
            ).softmax(-1),
            "Your axes are [batch head key query]. Rows are queries: the pattern is [batch head query "
            "key].": want.transpose(-1, -2),
            "A position may look at itself: hide only keys after the query (triu with diagonal 1). Query 0 has nothing "
            "else to look at, hence the NaN.": scores.masked_fill(
                torch.ones(7, 7).triu(0).bool(), float("-inf")
            ).softmax(-1),
            "The softmax runs over queries. Each query divides its attention over keys, the last axis.": hidden.softmax(
                -2
            ),
            "Scores are divided by √d_head before the softmax; yours are not.": raw.masked_fill(
                future, float("-inf")
            ).softmax(-1),
            "Scores are divided by √d_head, not by d_head.": (raw / 5).masked_fill(future, float("-inf")).softmax(-1),
            "You divided by the root of heads · d_head. Each head's dot product has only d_head terms.": (raw / 15**0.5)
            .masked_fill(future, float("-inf"))
            .softmax(-1),
            "Queries and keys changed places: row q should hold the attention of query q.": flipped.masked_fill(
                future, float("-inf")
            ).softmax(-1),
        },
        otherwise="The pattern differs: scores / √d_head, −inf where the key comes after the query, softmax over keys.",
    )
    single = student(q[:, :1], k[:, :1])
    expect_close(single, torch.ones(2, 3, 1, 1), otherwise="A single position attends to itself with weight 1.")


@exercise(
    "residual_stream.head_writes",
    title="Heads add",
    points=2,
    minutes=10,
    difficulty=1,
    hints=[
        "Side by side, the heads' values form one long vector, head 0 first. Which rows of the big matrix does head 0 "
        "meet, which head 1?",
        "Rows 0 to d_head − 1 belong to head 0, the next d_head rows to head 1. Reshape W_O so that heads get an axis "
        "of their own, in that order.",
        "W = W_O.reshape(heads, d_head, d_model); "
        'return einsum(z, W, "batch pos head d, head d m -> batch pos head m")',
    ],
)
def check_head_writes(student: Student) -> None:
    g = fresh()
    z, matrix = normal(2, 7, 3, 5, generator=g), normal(15, 4, generator=g)
    got = student(z, matrix)
    whole = rearrange(z, "b p h d -> b p (h d)") @ matrix
    if isinstance(got, Tensor) and tuple(got.shape) == (2, 7, 4):
        fail("That is one write per position: the heads are already added up. Keep the head axis, [batch pos head m].")
    expect_shape(got, (2, 7, 3, 4), "the writes")

    def writes(per_head: Tensor) -> Tensor:
        return einsum(z, per_head, "b p h d, h d m -> b p h m")

    by_head = rearrange(matrix, "(h d) m -> h d m", h=3)
    expect_close(
        got,
        writes(by_head),
        mistakes={
            "You cut W_O in the wrong order: rows of one head lie together, (head d_head), not (d_head head).": writes(
                rearrange(matrix, "(d h) m -> h d m", h=3)
            ),
            "Every head went through head 0's rows of W_O. Each has its own.": writes(by_head[:1].expand(3, 5, 4)),
            "You divided by the number of heads. Heads add, they are not averaged.": writes(by_head) / 3,
            "Every head got the whole attention output. Give each head only what its own rows of W_O produce.": whole[
                :, :, None
            ].expand(2, 7, 3, 4),
            "You reshaped W_O to [head d_model d_head] and transposed; that shuffles its numbers. Split the first axis "
            "and leave the second alone.": writes(matrix.reshape(3, 4, 5).transpose(1, 2)),
        },
        otherwise="The writes differ. Added over heads they must equal concatenating z and multiplying by W_O.",
    )
