"""Checks of the chapter on induction heads: what the heads are worth, in losses, needles and ablations."""

from __future__ import annotations

import math
import secrets
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape, fail
from utils.grading.checks.induction_heads import Student, fresh


@exercise(
    "induction_heads.copy_losses",
    title="The second time is cheap",
    points=2,
    minutes=15,
    difficulty=1,
    hints=[
        "Logits at position i are the model's opinion of token i + 1. Line them up first: how many losses are there "
        "for n tokens?",
        "losses = −log_softmax(logits[:, :-1])[token], one per token from 1 on, so the loss of token t stands in "
        "column t − 1. Then ask which tokens of the second copy can be known: the first of them cannot.",
        "log_probs = logits[:, :-1].log_softmax(-1); losses = -log_probs.gather(-1, tokens[:, 1:, None])[..., 0]; "
        "return losses[:, :period].mean().item(), losses[:, period + 1 :].mean().item()",
    ],
)
def check_copy_losses(student: Student) -> None:
    generator = fresh()
    for batch, period, d_vocab in ((2, 5, 11), (3, 8, 6)):
        logits = 2 * torch.randn(batch, 1 + 2 * period, d_vocab, generator=generator)
        once = torch.randint(1, d_vocab, (batch, period), generator=generator)
        tokens = torch.cat([torch.zeros(batch, 1, dtype=torch.long), once, once], dim=1)
        got = student(logits, tokens, period)
        if isinstance(got, (int, float)) or (isinstance(got, Tensor) and got.numel() == 1):
            fail("Return two numbers: the mean loss on the first copy, and on the second.")
        expect_close(
            got,
            _two_losses(_losses(logits, tokens), period),
            mistakes=_loss_mistakes(logits, tokens, period),
            otherwise="The losses differ. Average −log softmax(logits)[next token] over each copy.",
            what="the pair of losses",
        )
    loud = torch.tensor([[[0.0, 300.0, -300.0], [300.0, 0.0, -300.0], [0.0, 300.0, 0.0], [0.0] * 3, [0.0] * 3]])
    tokens = torch.tensor([[0, 2, 1, 2, 1]])
    want = _two_losses(_losses(loud, tokens), 2)
    expect_close(
        student(loud, tokens, 2),
        want,
        otherwise="With logits of ±300 the loss should stay exact: softmax and then log underflows to infinity. Use "
        "log_softmax or cross_entropy.",
        what="the pair of losses",
    )


def _losses(logits: Tensor, tokens: Tensor) -> Float[Tensor, "batch position-1"]:
    return -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]


def _two_losses(losses: Tensor, period: int) -> tuple[float, float]:
    return losses[:, :period].mean().item(), losses[:, period + 1 :].mean().item()


def _loss_mistakes(logits: Tensor, tokens: Tensor, period: int) -> dict[str, tuple[float, float]]:
    losses = _losses(logits, tokens)
    log_probs = logits.log_softmax(-1)
    here = -log_probs.gather(-1, tokens[..., None])[..., 0]
    first, second = _two_losses(losses, period)
    chance = (-losses).exp()
    return {
        "You scored each position's logits on its own token. Logits at position i predict token i + 1.": _two_losses(
            here[:, 1:], period
        ),
        "Your logits are one position off in the other direction: logits at position i predict token i + 1, not "
        "i − 1.": _two_losses(-log_probs[:, 1:].gather(-1, tokens[:, :-1, None])[..., 0], period),
        "Those are bits. Use the natural logarithm: the unit is nats.": (first / math.log(2), second / math.log(2)),
        "Your second mean starts with the first token of the second copy. Nothing before it says that the sequence "
        "starts again, so no copying can help there.": (first, losses[:, period:].mean().item()),
        "You took the logarithm of the mean probability; a loss is the mean of the logarithms.": (
            -chance[:, :period].mean().log().item(),
            -chance[:, period + 1 :].mean().log().item(),
        ),
        "You added the losses up: take the mean per token.": (
            losses[:, :period].sum().item(),
            losses[:, period + 1 :].sum().item(),
        ),
        "The two numbers are swapped: first copy first.": (second, first),
        "The sign is wrong: a loss is minus the log-probability.": (-first, -second),
    }


@exercise(
    "induction_heads.in_context_learning_score",
    title="The in-context-learning score",
    points=1,
    minutes=10,
    difficulty=1,
    hints=[
        "Who learns from the context has a lower loss late than early. Which way round gives a negative number?",
        "A window (lo, hi) is the slice lo:hi along axis 1. Average it over the batch and over the window.",
        "return (losses[:, late[0] : late[1]].mean() - losses[:, early[0] : early[1]].mean()).item()",
    ],
)
def check_in_context_learning_score(student: Student) -> None:
    generator = fresh()
    for batch, length, early, late in ((3, 41, (4, 9), (25, 37)), (2, 20, (1, 3), (15, 19))):
        losses = 3 + torch.rand(batch, length, generator=generator) * torch.linspace(4, 1, length)

        def mean(window: tuple[int, int], shift: int = 0, losses: Tensor = losses) -> float:
            return losses[:, window[0] - shift : window[1] - shift].mean().item()

        longer = (late[0], late[1] + 1)
        expect_close(
            student(losses, early, late),
            mean(late) - mean(early),
            mistakes={
                "The sign is turned round: late minus early, so that learning in context is negative.": mean(early)
                - mean(late),
                "Your windows are one entry early. They count along the losses, where entry i is already the "
                "prediction of token i + 1: subtract nothing.": mean(late, 1) - mean(early, 1),
                "Your windows include their upper end; hi is the first token left out.": mean(longer)
                - mean((early[0], early[1] + 1)),
                "You took one token of each window. Average over the window: single tokens are far too noisy.": (
                    losses[:, late[0]].mean() - losses[:, early[0]].mean()
                ).item(),
                "That is a ratio. Subtract: nats are a logarithm already.": mean(late) / mean(early),
                "You added the losses of each window up, so the longer window weighs more. Take means.": (
                    losses[:, late[0] : late[1]].sum(1).mean() - losses[:, early[0] : early[1]].sum(1).mean()
                ).item(),
                "You left out the mean over the early window: the score is a difference of two means.": mean(late),
            },
            otherwise="The score differs: mean loss over the late tokens minus mean loss over the early ones.",
            what="the score",
        )


@exercise(
    "induction_heads.needle_batch",
    title="A needle in a haystack",
    points=2,
    minutes=20,
    difficulty=2,
    hints=[
        "Per row you need a key, a different value, and hay that contains neither. What is the easiest way to draw "
        "numbers that are guaranteed to differ?",
        "A random order of all tokens but BOS gives a key, a value and everything the hay may use: "
        "torch.randperm(d_vocab − 1), stepped over bos. The pair goes to place and place + 1, the key to the end.",
        "For each row: order = torch.randperm(d_vocab - 1, generator=g); order += (order >= bos).long(); key, value, "
        "hay = order[0], order[1], order[2:]; row = hay[torch.randint(len(hay), (length,), generator=g)]; row[0] = "
        "bos; place = 1 + round(depth * (length - 4)); row[place], row[place + 1], row[-1] = key, value, key.",
    ],
)
def check_needle_batch(student: Student) -> None:
    generator = fresh()
    batch, d_vocab = 12, 11
    for length, depth in ((60, 0.0), (60, 1.0), (41, 0.3), (23, 0.72)):
        bos = int(torch.randint(0, d_vocab, (1,), generator=generator))
        seed = secrets.randbits(30)
        got = student(d_vocab, batch, length, depth, bos, seed)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            fail("Return two tensors: the tokens [batch length] and the answers [batch].")
        tokens, answers = got
        expect_shape(tokens, (batch, length), "the tokens")
        expect_shape(answers, (batch,), "the answers")
        _expect_needle(tokens, answers, 1 + round(depth * (length - 4)), d_vocab, bos)
        again = student(d_vocab, batch, length, depth, bos, seed)
        if not torch.equal(tokens, again[0]):
            fail("The same seed gave two different batches. Draw from torch.Generator().manual_seed(seed).")
        if torch.equal(tokens, student(d_vocab, batch, length, depth, bos, seed + 1)[0]):
            fail("Another seed gave the same batch, so the seed is not used.")


def _expect_needle(
    tokens: Int[Tensor, "batch length"], answers: Int[Tensor, "batch"], place: int, d_vocab: int, bos: int
) -> None:
    if not (tokens[:, 0] == bos).all():
        fail(f"Position 0 should hold the beginning token, {bos} here.")
    key = tokens[:, -1]
    if (answers == key).all():
        fail("The answers are the keys. What the model should say is the value that stood after the key.")
    if (answers == key).any():
        fail(
            "A value equals its key. Then repeating the last token would look like looking it up: draw two that differ."
        )
    if (tokens[:, 1:] == bos).any():
        fail("The beginning token is drawn again inside the sequence. It should stand at position 0 and nowhere else.")
    if tokens.min() < 0 or tokens.max() >= d_vocab:
        fail(f"Tokens should lie from 0 to {d_vocab - 1} when d_vocab is {d_vocab}, and one of yours does not.")
    found = tokens[:, place] == key
    if not found.all():
        inside = [step for step in (-2, -1, 1, 2) if 0 < place + step < tokens.shape[1] - 1]
        beside = [step for step in inside if (tokens[:, place + step] == key).all()]
        off = f" It stands {abs(beside[0])} {'later' if beside[0] > 0 else 'earlier'}." if beside else ""
        fail(f"The key should stand at position 1 + round(depth · (length − 4)), {place} here, and at the end.{off}")
    value = tokens[:, place + 1]
    if not (value == answers).all():
        fail("The answer should be the token that stands right after the first key.")
    if ((tokens == key[:, None]).sum(1) > 2).any():
        fail("A key stands somewhere else in the hay too, so two tokens have a claim to be the answer.")
    if ((tokens == value[:, None]).sum(1) > 1).any():
        fail("A value stands elsewhere in the hay too. A model that repeats frequent tokens would get credit.")
    if (key == key[0]).all() and (value == value[0]).all():
        fail("Every row hides the same needle. Draw a fresh pair for each row.")
    if all(len(row.unique()) <= 4 for row in tokens):
        fail("The hay is one token over and over. Draw it at random.")


@exercise(
    "induction_heads.mean_ablate",
    title="Silence a head, gently",
    points=1,
    minutes=10,
    difficulty=1,
    hints=[
        "A mean activation of a head is one vector of d_head numbers. Over which axes of the reference is it taken?",
        "reference.mean(dim=(0, 1)) is [head d_head]. Work on a clone, so that the caller's activations survive.",
        "out = z.clone(); out[:, :, heads] = reference.mean((0, 1))[heads]; return out",
    ],
)
def check_mean_ablate(student: Student) -> None:
    generator = fresh()
    z = 1 + torch.randn(2, 7, 5, 3, generator=generator)
    reference = 2 + torch.randn(4, 6, 5, 3, generator=generator)
    for heads in ([1, 3], [4], []):
        got = student(z, reference, list(heads))
        expect_shape(got, (2, 7, 5, 3), "the ablated activations")
        expect_close(
            got,
            _replaced(z, reference.mean((0, 1)), heads),
            mistakes=_ablation_mistakes(z, reference, heads) if heads else {},
            otherwise="The activations differ. Only the listed heads change, and each becomes its own mean over the "
            "reference's batch and positions."
            if heads
            else "With no heads to ablate, z should come back as it was.",
        )


def _replaced(z: Tensor, by: Tensor, heads: list[int]) -> Tensor:
    out = z.clone()
    for head in heads:
        out[:, :, head] = by[head]
    return out


def _ablation_mistakes(z: Tensor, reference: Tensor, heads: list[int]) -> dict[str, Any]:
    mean = reference.mean((0, 1))
    others = [head for head in range(z.shape[2]) if head not in heads]
    mistakes = {
        "That is zero-ablation. Zero is not neutral: later layers expect the head's usual output.": _replaced(
            z, torch.zeros_like(mean), heads
        ),
        "You took the mean of z itself. The mean comes from the reference.": _replaced(z, z.mean((0, 1)), heads),
        "You replaced the heads by a single number. Keep the d_head axis: the mean is a vector.": _replaced(
            z, reference.mean((0, 1, 3))[:, None].expand_as(mean), heads
        ),
        "You averaged over heads too. Each head has a mean of its own.": _replaced(
            z, reference.mean((0, 1, 2)).expand_as(mean), heads
        ),
        "You ablated the other heads and kept those listed.": _replaced(z, mean, others),
        "You ablated positions. The axes are [batch position head d_head].": _positions_replaced(z, mean, heads),
        "You averaged over the first sequence of the reference alone.": _replaced(z, reference[0].mean(0), heads),
    }
    if len(heads) > 1:
        mistakes["You ablated the first of the heads and left the others alone."] = _replaced(z, mean, heads[:1])
    return mistakes


def _positions_replaced(z: Tensor, mean: Tensor, positions: list[int]) -> Tensor:
    out = z.clone()
    out[:, positions] = mean
    return out
