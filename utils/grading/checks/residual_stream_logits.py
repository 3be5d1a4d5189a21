"""Checks of the chapter on the residual stream: what a component does to a logit, and the norm in between."""

from __future__ import annotations

import torch
from torch import Tensor

from utils.grading import exercise, expect_close, expect_equal, expect_shape, fail
from utils.grading.checks.residual_stream import Student, away_from_one, fresh, normal, standardised


def _scale(x: Tensor, eps: float) -> Tensor:
    """What LayerNorm divides by."""
    return (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt()


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


JUST_UNEMBEDDED = (
    "You just unembedded the parts: the final norm stands between the stream and W_U. Centre, divide by the stream's "
    "standard deviation, multiply by the weight."
)
EACH_NORMED = (
    "You normalised every part by itself. A quiet part then speaks as loudly as a loud one; the divisor comes from the "
    "whole stream."
)


def _other_last_rows(parts: Tensor, right: Tensor, weight: Tensor, bias: Tensor, direction: Tensor, eps: float):
    """Attributions [component+1 batch] whose rows and last row are both suspect, by the sentence to say."""
    zero, own = torch.zeros(1, parts.shape[1]), (bias @ direction).expand(1, parts.shape[1])
    shared = own / len(parts)
    alone = standardised(parts, eps) * weight @ direction
    unbiased = _centred(parts) / (parts.var(-1, keepdim=True) + eps).sqrt() * weight @ direction
    stream_unbiased = _centred(parts) / (parts.sum(0).var(-1, keepdim=True) + eps).sqrt() * weight @ direction
    rows = {
        JUST_UNEMBEDDED: [parts @ direction, (parts + bias / len(parts)) @ direction],
        EACH_NORMED: [each + extra for each in (alone, unbiased) for extra in (zero, own, shared)],
        "The variance is averaged over width − 1 (torch's default); LayerNorm divides by the width. Pass "
        "unbiased=False.": [stream_unbiased],
        "The last row is zero; it should hold bias @ W_U[:, token], which belongs to no part.": [right],
        "You gave every part a share of the bias. It belongs to none of them: append it as a last row.": [
            right + shared
        ],
        "The bias was added to every part, so it is counted once per part. Append it once, as a last row.": [
            right + own
        ],
    }
    logit = right.sum(0, keepdim=True) + own
    remainder = " (The last row then is whatever was missing from the logit; it should be the norm's bias alone.)"
    for sentence, candidates in rows.items():
        for values in candidates:
            yield sentence, torch.cat([values, zero])
            if values is not right:
                yield sentence, torch.cat([values, own])
                yield sentence + remainder, torch.cat([values, logit - values.sum(0, keepdim=True)])
    yield "The bias comes last, after the parts; you put it first.", torch.cat([own, right])


@exercise(
    "residual_stream.attribute_logit",
    title="Not “just unembed it”",
    points=4,
    minutes=25,
    difficulty=2,
    hints=[
        "Write LayerNorm as a sentence: the stream, minus its mean, divided by one number per position, times weight, "
        "plus bias. Which of these steps can be done part by part, and which number has to come from the whole stream?",
        "Centring, the weight and the unembedding are linear: do them to every part. The divisor is the standard "
        "deviation of the sum of all parts, computed once and used for all. The bias is nobody's: it is the last row.",
        "stream = parts.sum(0); scale = (stream.var(-1, keepdim=True, unbiased=False) + eps).sqrt(); direction = "
        "W_U[:, token]; rows = (parts - parts.mean(-1, keepdim=True)) / scale * weight @ direction; then append "
        "(bias @ direction).expand(1, batch) with torch.cat.",
    ],
)
def check_attribute_logit(student: Student) -> None:
    g = fresh()
    parts, eps, token = normal(4, 3, 6, generator=g) + 0.5, 0.4, 7
    weight, bias, unembed = away_from_one(6, g), 1 + normal(6, generator=g).abs(), normal(6, 9, generator=g)
    got = student(parts, weight, bias, unembed, token, eps)
    direction = unembed[:, token]
    stream = parts.sum(0)
    scale = _scale(stream, eps)
    rows = _centred(parts) / scale * weight @ direction
    if isinstance(got, Tensor) and tuple(got.shape) == (4, 3):
        short = {
            "You just unembedded it: the final norm stands between the stream and W_U, so these rows do not add up to "
            "the logit.": parts @ direction,
            "The rows are right, and one is missing: the norm's bias adds bias @ W_U[:, token] to every logit and "
            "belongs to no part. Append it as a last row.": rows,
            "You gave every part a share of the bias. It belongs to none of them: append it as a last row.": rows
            + bias @ direction / 4,
            "The bias was added to every part, so it is counted once per part. Append it once, as a last row.": rows
            + bias @ direction,
            EACH_NORMED: standardised(parts, eps) * weight @ direction,
            EACH_NORMED + " And the norm's bias wants a last row of its own.": standardised(parts, eps)
            * weight
            @ direction
            + bias @ direction,
        }
        expect_close(got, torch.full((4, 3), float("nan")), mistakes=short, otherwise="Return one more row: the bias.")
    if isinstance(got, Tensor) and tuple(got.shape) in ((4, 3, 9), (5, 3, 9)):
        fail("That is the logit of every token of the vocabulary. Take the one column W_U[:, token].")
    expect_shape(got, (5, 3), "the attribution, with the norm's bias as a last row,")
    for sentence, wrong in _other_last_rows(parts, rows, weight, bias, direction, eps):
        if isinstance(got, Tensor) and torch.allclose(got, wrong, rtol=1e-4, atol=1e-5):
            fail(sentence)
    last = (bias @ direction).expand(1, 3)

    def with_last(values: Tensor) -> Tensor:
        return torch.cat([values, last])

    expect_close(
        got,
        with_last(rows),
        mistakes={
            "The parts were not centred. LayerNorm takes the mean out, and each part brings its share of the "
            "mean.": with_last(parts / scale * weight @ direction),
            "You took the whole stream's mean out of every part. Each part gives up its own mean; those add up to the "
            "stream's.": with_last((parts - stream.mean(-1, keepdim=True)) / scale * weight @ direction),
            "The norm's weight is missing.": with_last(_centred(parts) / scale @ direction),
            "You divided by the variance, not its square root.": with_last(
                _centred(parts) / scale.pow(2) * weight @ direction
            ),
            "eps is missing from the divisor.": with_last(_centred(parts) / _scale(stream, 0.0) * weight @ direction),
            "The bias was divided by the scale; LayerNorm adds it after dividing.": torch.cat(
                [rows, (bias / scale @ direction)[None]]
            ),
            "The bias was added to the parts before the norm. It comes after it, on its own.": torch.cat(
                [_centred(parts + bias) / scale * weight @ direction, last]
            ),
        },
        otherwise="The rows differ. Added up over parts and bias they must give the logit, LayerNorm(parts.sum(0)) "
        "@ W_U[:, token].",
    )


@exercise(
    "residual_stream.removal_effect",
    title="Frozen or recomputed",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "Two questions about the same removal. Frozen: the part is gone and the divisor pretends not to notice. "
        "Recomputed: the divisor is that of the smaller stream.",
        "Frozen is the part's own row of the attribution: centred, divided by the full stream's scale, weighted, "
        "unembedded. Recomputed is one whole LayerNorm logit minus another.",
        "full = parts.sum(0); rest = full - parts[index]; frozen = (centred part / scale of full * weight) @ "
        "direction; recomputed = (layer_norm(full) - layer_norm(rest)) @ direction, where the bias cancels.",
    ],
)
def check_removal_effect(student: Student) -> None:
    g = fresh()
    parts, eps, token, index = normal(4, 3, 6, generator=g) + 0.5, 0.4, 7, 2
    weight, bias, unembed = away_from_one(6, g), 1 + normal(6, generator=g).abs(), normal(6, 9, generator=g)
    got = student(parts, index, weight, bias, unembed, token, eps)
    if isinstance(got, Tensor) or not isinstance(got, (tuple, list)) or len(got) != 2:
        fail("Return two tensors, (frozen, recomputed), each with one number per row of the batch.")
    expect_shape(got[0], (3,), "frozen")
    expect_shape(got[1], (3,), "recomputed")
    direction = unembed[:, token]
    full = parts.sum(0)
    rest = full - parts[index]
    frozen = _centred(parts[index]) / _scale(full, eps) * weight @ direction

    def logit(stream: Tensor) -> Tensor:
        return (standardised(stream, eps) * weight + bias) @ direction

    recomputed = logit(full) - logit(rest)
    expect_close(
        (got[0], got[1]),
        (frozen, recomputed),
        mistakes={
            "The two answers changed places: return (frozen, recomputed).": (recomputed, frozen),
            "Both answers use the full stream's divisor. For the second, normalise what is left by its own.": (
                frozen,
                frozen,
            ),
            "Both answers renormalise what is left. For the first, keep the full stream's divisor.": (
                recomputed,
                recomputed,
            ),
            "The sign is reversed: an effect is the logit with the part minus the logit without it.": (
                -frozen,
                -recomputed,
            ),
            "You returned the logits after the removal; an effect is a difference, before minus after.": (
                logit(full) - frozen,
                logit(rest),
            ),
            "Frozen means the divisor of the full stream, not of the part alone.": (
                standardised(parts[index], eps) * weight @ direction,
                recomputed,
            ),
            "Frozen means the divisor of the full stream, not of what is left.": (
                _centred(parts[index]) / _scale(rest, eps) * weight @ direction,
                recomputed,
            ),
            "The bias is still in the frozen answer. It is there before and after, so it drops out of the "
            "difference.": (frozen + bias @ direction, recomputed),
            "You left the norm out of the frozen answer. Frozen means its divisor is held, not that it is gone.": (
                parts[index] @ direction,
                recomputed,
            ),
            "You left the norm out: both answers are the unembedded part.": (parts[index] @ direction,) * 2,
            "The part was not centred in the frozen answer. LayerNorm takes out its mean too.": (
                parts[index] / _scale(full, eps) * weight @ direction,
                recomputed,
            ),
            "The sign of the second answer is reversed: the logit with the part minus the logit without it.": (
                frozen,
                -recomputed,
            ),
            "The second answer is the logit without the part; an effect is a difference, before minus after.": (
                frozen,
                logit(rest),
            ),
            "You removed every part but this one.": (frozen, logit(full) - logit(parts[index])),
        },
        otherwise="The effects differ: logit with the part minus logit without it, first with the full stream's "
        "divisor, then with the divisor of what is left.",
        what="(frozen, recomputed)",
    )


@exercise(
    "residual_stream.lens_ranks",
    title="When does the answer surface?",
    points=2,
    minutes=15,
    difficulty=2,
    hints=[
        "Each layer's stream is treated as if it were the last: LayerNorm with its own mean and scale, then W_U. Only "
        "then compare logits.",
        "A rank can be counted: how many tokens of the vocabulary have a larger logit than the target? Pick each "
        "row's target logit with gather, keep its axis, compare, sum.",
        "logits = layer_norm(streams, weight, bias, eps) @ W_U; mine = logits.gather(-1, targets.expand(n_layers, "
        "batch)[..., None]); return (logits > mine).sum(-1)",
    ],
)
def check_lens_ranks(student: Student) -> None:
    g = fresh()
    layers, batch, width, vocabulary, eps = 4, 9, 6, 61, 0.3
    streams = (1 + torch.arange(layers)[:, None, None]) * normal(layers, batch, width, generator=g) + 1
    weight, bias = away_from_one(width, g), 2 * normal(width, generator=g)
    unembed = normal(width, vocabulary, generator=g)
    targets = torch.randint(vocabulary, (batch,), generator=g)
    got = student(streams, weight, bias, unembed, targets, eps)
    expect_shape(got, (layers, batch), "the ranks")

    def ranks(read: Tensor) -> Tensor:
        logits = read @ unembed
        return (logits > logits.gather(-1, targets.expand(layers, batch)[..., None])).sum(-1)

    normed = standardised(streams, eps) * weight + bias
    want = ranks(normed)
    order = (normed @ unembed).argsort(-1, descending=True)
    last_scale = _scale(streams[-1:], eps)
    expect_equal(
        got,
        want,
        mistakes={
            "You just unembedded the stream. Put the final norm in front of W_U.": ranks(streams),
            "Ranks begin at 0: the top token has nobody above it.": want + 1,
            "You counted the tokens below the target. Rank 0 is the top of the list.": vocabulary - 1 - want,
            "You normalised every layer with the last layer's scale. The lens asks what the model would say if it "
            "stopped there, so each layer has its own.": ranks(_centred(streams) / last_scale * weight + bias),
            "You read out the target's row of argsort: the token that stands at that place. The rank is the place at "
            "which the target stands.": order.gather(-1, targets.expand(layers, batch)[..., None])[..., 0],
            "The norm's bias is missing: it moves logits too.": ranks(standardised(streams, eps) * weight),
            "The norm's weight and bias are missing.": ranks(standardised(streams, eps)),
            "The streams were not centred. This model has LayerNorm, not RMSNorm.": ranks(
                streams / (streams.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias
            ),
        },
        otherwise="The ranks differ: count the tokens whose logit, behind the final norm, is larger than the target's.",
        what="the ranks",
    )
