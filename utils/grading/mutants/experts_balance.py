"""Answers about the balancing loss: other right ones, and wrong ones that people give."""

from __future__ import annotations

import torch
from torch.nn.functional import one_hot

from utils.grading.mutants import Answers, Mutant


def _autograd(loss):
    """A loss of logits and choices, with its gradient by autograd."""

    def answer(logits, choices):
        leaf = logits.detach().clone().requires_grad_()
        value = loss(leaf, choices)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    return answer


def _loss(share=None, probability=None, mean=(0, 1), size=None, product=None):
    """The right loss with one of its pieces replaced."""

    def loss(logits, choices):
        p = logits.softmax(-1)
        chosen = logits.topk(choices, dim=-1).indices
        made = one_hot(chosen, logits.shape[-1]).float()
        f = share(made, p) if share else made.mean((0, 1, 2))
        P = probability(logits, made, p) if probability else p.mean((0, 1))
        return (size(logits) if size else logits.shape[-1]) * (product(f, P) if product else (f * P).sum())

    return loss


def balance_by_hand(logits, choices):
    n, tokens = logits.shape[-1], logits[..., 0].numel()
    p = logits.softmax(-1)
    f = torch.bincount(logits.topk(choices).indices.flatten(), minlength=n) / (tokens * choices)
    gradient = n / tokens * (p * f - p * (p @ f)[..., None])
    return float(n * (f @ p.flatten(0, 1).mean(0))), gradient


def balance_by_loop(logits, choices):
    batch, pos, n = logits.shape
    counts, likely = [0.0] * n, [0.0] * n
    for row in logits.flatten(0, 1):
        for e in row.topk(choices).indices.tolist():
            counts[e] += 1 / (batch * pos * choices)
        for e, p in enumerate(row.softmax(0).tolist()):
            likely[e] += p / (batch * pos)
    return n * sum(a * b for a, b in zip(counts, likely, strict=True)), balance_by_hand(logits, choices)[1]


def balance_by_sequence(logits, choices):
    p = logits.softmax(-1)
    f = one_hot(logits.topk(choices).indices, logits.shape[-1]).float().mean((1, 2))
    return logits.shape[-1] * (f * p.mean(1)).sum(-1).mean()


def balance_by_token(logits, choices):
    made = one_hot(logits.topk(choices).indices, logits.shape[-1]).float().mean(2)
    return logits.shape[-1] * (made * logits.softmax(-1)).sum(-1).mean()


def _kept(logits, made, p):
    few = made.sum(-2) * p
    return (few / few.sum(-1, keepdim=True)).mean((0, 1))


def _gradient(change):
    """The right loss, with another gradient made of the right one, f, p and the number of experts."""

    def answer(logits, choices):
        loss, gradient = balance_by_hand(logits, choices)
        f = one_hot(logits.topk(choices).indices, logits.shape[-1]).float().mean((0, 1, 2))
        return loss, change(gradient, f, logits.softmax(-1), logits.shape[-1])

    return answer


def _soft(factor):
    return _gradient(
        lambda right, f, p, n: factor * n / p[..., 0].numel() * p * (p.mean((0, 1)) - p @ p.mean((0, 1))[:, None])
    )


def balance_sequence_gradient(logits, choices):
    return balance_by_hand(logits, choices)[0], _autograd(balance_by_sequence)(logits, choices)[1]


def balance_notebook_sizes(logits, choices):
    return _autograd(_loss(size=lambda logits: 7))(logits, choices)


ANSWERS = {
    "experts.balance_loss": Answers(
        alternatives=[balance_by_hand, balance_by_loop, _autograd(_loss())],
        mutants=[
            Mutant(_autograd(_loss(size=lambda logits: 1)), "number of experts is missing in front"),
            Mutant(
                _autograd(_loss(share=lambda made, p: made.sum(2).mean((0, 1)))), "adds up to the number of choices"
            ),
            Mutant(_autograd(_loss(share=lambda made, p: made.sum((0, 1, 2)))), "f counts choices; divide"),
            Mutant(_autograd(_loss(share=lambda made, p: made[:, :, 0].mean((0, 1)))), "first choices only"),
            Mutant(_autograd(_loss(probability=_kept)), "renormalised weights of the chosen"),
            Mutant(_autograd(_loss(share=lambda made, p: p.mean((0, 1)))), "Both factors are P"),
            Mutant(
                lambda logits, choices: (
                    _loss(probability=lambda logits, made, p: made.mean((0, 1, 2)))(logits, choices),
                    torch.zeros_like(logits),
                ),
                "Both factors are f",
            ),
            Mutant(_autograd(balance_by_sequence), "balanced every sequence by itself"),
            Mutant(_autograd(balance_by_token), "multiplied token by token"),
            Mutant(
                _autograd(_loss(probability=lambda logits, made, p: logits.softmax(1).mean((0, 1)))), "over positions"
            ),
            Mutant(lambda *given: balance_by_hand(*given)[0], "Return two things"),
            Mutant(_gradient(lambda right, f, p, n: n / p[..., 0].numel() * f.expand_as(p)), "by the probabilities"),
            Mutant(_gradient(lambda right, f, p, n: n / p[..., 0].numel() * f * p), "has two terms"),
            Mutant(_gradient(lambda right, f, p, n: -right), "sign is turned round"),
            Mutant(_gradient(lambda right, f, p, n: right * p[..., 0].numel()), "divide by the number of tokens"),
            Mutant(_gradient(lambda right, f, p, n: right / n), "missing in the gradient"),
            Mutant(_soft(2), "as if f were P"),
            Mutant(_soft(1), "f was replaced by P"),
            Mutant(balance_sequence_gradient, "balances each sequence by itself"),
            Mutant(_gradient(lambda right, f, p, n: right * 3), "f in the gradient adds up"),
            Mutant(_gradient(lambda right, f, p, n: right.mean(1)), "Gradient should have shape [5, 6, 7]"),
            Mutant(balance_notebook_sizes, "With another number of experts"),
        ],
    ),
}
