"""Checks of the chapter on experts: the loss that makes loads even."""

from __future__ import annotations

import torch
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.experts import even, picked, top
from utils.grading.checks.superposition import Student, expect_parts, fresh


@exercise(
    "experts.balance_loss",
    title="The tax on popularity",
    points=3,
    minutes=25,
    difficulty=2,
    hints=[
        "Two averages over all tokens of the batch, each with one number for an expert. f counts what was chosen, P is "
        "the mean of the probabilities. Test: even logits would give a loss of 1.",
        "f is made of whole decisions, so a small change of the logits leaves it as it is: for the gradient it is a "
        "constant. What remains is the derivative of a softmax, p_e (f_e − Σ_j p_j f_j), times N over the number of "
        "tokens. Or make the logits a leaf (detach().requires_grad_()) and ask autograd.",
        "p = logits.softmax(-1); f = one_hot(logits.topk(choices).indices, N).float().mean((0, 1, 2)); loss = N * (f * "
        "p.mean((0, 1))).sum(); gradient = N / tokens * p * (f - (p * f).sum(-1, keepdim=True)), where tokens is batch "
        "times pos",
    ],
)
def check_balance_loss(student: Student) -> None:
    g = fresh()
    while True:
        logits = _logits(g)
        table = _losses(logits, 3)
        if not crowded(*table.values()):
            break
    got = student(logits, 3)
    expect_parts(got, 2, "Return two things, (loss, gradient): a number and a tensor.")
    loss, gradient = got
    expect_close(
        loss,
        table.pop(""),
        mistakes=table,
        otherwise="loss differs: N · Σ f P over experts, where f and P are averages over all tokens and each adds up "
        "to 1.",
        what="loss",
    )
    expect_shape(gradient, logits.shape, "gradient")
    slopes = _slopes(logits, 3)
    expect_close(
        gradient,
        slopes.pop(""),
        mistakes=slopes,
        otherwise="gradient differs: the derivative of the loss by every logit, with f a constant.",
        what="gradient",
        atol=1e-6,
    )
    one = logits[:, :, :4]
    expect_close(
        student(one, 1)[0],
        _losses(one, 1)[""],
        otherwise="With another number of experts, and one choice instead of three, the loss differs. Both sizes are "
        "given: logits has an axis of experts, and choices is an argument.",
        what="loss",
    )


def _logits(g: torch.Generator) -> Tensor:
    """Logits of 5 sequences, 6 positions, 7 experts, some of which are more popular, in each sequence others."""
    return (
        torch.randn(5, 6, 7, generator=g) + 0.9 * torch.randn(7, generator=g) + 0.9 * torch.randn(5, 1, 7, generator=g)
    )


def _parts(logits: Tensor, choices: int) -> tuple[Tensor, Tensor]:
    """A token's share of each expert in its choices, and its probabilities."""
    return picked(top(logits, choices), logits.shape[-1]) / choices, logits.softmax(-1)


def _losses(logits: Tensor, choices: int) -> dict[str, Tensor]:
    """Mistake → the loss that it would give; the right one under no mistake."""
    n = logits.shape[-1]
    made, p = _parts(logits, choices)
    f, P = made.mean((0, 1)), p.mean((0, 1))
    first = picked(top(logits, 1), n).mean((0, 1))
    kept = even((made > 0) * p).mean((0, 1))
    return {
        "": n * (f * P).sum(),
        "The number of experts is missing in front, which makes an even load cost 1.": (f * P).sum(),
        "f is the share of tokens that chose the expert, and adds up to the number of choices. Here it is the share of "
        "choices and adds up to 1, so that an even load costs 1 (libraries do it both ways).": n
        * choices
        * (f * P).sum(),
        "f counts choices; divide by how many there are.": n * (f * P).sum() * made.shape[:2].numel() * choices,
        "f counts first choices only. Every choice is work for an expert.": n * (first * P).sum(),
        "P was averaged over the renormalised weights of the chosen experts. It is the mean of the full softmax: an "
        "expert that nobody chose must be able to feel that it may become likelier.": n * (f * kept).sum(),
        "Both factors are P. One of them is what was really chosen: f.": n * (P * P).sum(),
        "Both factors are f, which has no gradient: nothing would be learned from that.": n * (f * f).sum(),
        "You balanced every sequence by itself and averaged. Here f and P are those of the whole batch: a sequence may "
        "prefer some experts.": n * (made.mean(1) * p.mean(1)).sum(-1).mean(),
        "You multiplied token by token, and averaged then. Average f and P first: one token cannot be balanced.": n
        * (made * p).sum(-1).mean(),
        "The softmax went over positions. It goes over experts.": n * (f * logits.softmax(1).mean((0, 1))).sum(),
    }


def _slopes(logits: Tensor, choices: int) -> dict[str, Tensor]:
    """Mistake → the gradient that it would give; the right one under no mistake."""
    n, tokens = logits.shape[-1], logits.shape[:2].numel()
    made, p = _parts(logits, choices)

    def through(f: Tensor) -> Tensor:
        return n / tokens * p * (f - (p * f).sum(-1, keepdim=True))

    f, P = made.mean((0, 1)), p.mean((0, 1))
    right = through(f)
    return {
        "": right,
        "That is the derivative by the probabilities. One more step back: the logits go through a softmax.": (
            n / tokens * f.expand_as(p)
        ),
        "The derivative of a softmax has two terms: raising one logit also lowers every other probability.": n
        / tokens
        * p
        * f,
        "The sign is turned round: the gradient points to where the loss grows.": -right,
        "That is the gradient summed up as if each token were the whole batch. P is a mean: divide by the number of "
        "tokens.": right * tokens,
        "The number of experts is missing in the gradient.": right / n,
        "Both factors were differentiated as if f were P. f is a constant, which leaves half of that.": 2 * through(P),
        "f was replaced by P in the gradient. f is what was chosen.": through(P),
        "That is the gradient of a loss that balances each sequence by itself.": through(made.mean(1, keepdim=True)),
        "f in the gradient adds up to the number of choices. Here it adds up to 1.": right * choices,
    }
