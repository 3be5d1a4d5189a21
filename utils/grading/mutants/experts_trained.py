"""Answers to the hour-long exercise: a mixture trained by autograd or by hand, and the places to go wrong."""

from __future__ import annotations

from math import log

import torch
from torch.nn.functional import one_hot

from utils.grading.mutants import Answers, Mutant

NOTEBOOK_STEPS = 3  # a variable of the notebook


def _bits(topic, chosen, n):
    counts = one_hot(topic).double().T @ one_hot(chosen, n).double()
    share = counts / counts.sum()
    parts = [torch.special.entr(of).sum() for of in (share.sum(0), share.sum(1), share)]
    return float((parts[0] + parts[1] - parts[2]) / log(2))


def _weigh(logits, chosen):
    return torch.zeros_like(logits).scatter(-1, chosen, logits.gather(-1, chosen).softmax(-1))


def _tax(p, chosen):
    n = p.shape[-1]
    return n * (one_hot(chosen, n).float().mean((0, 1)) * p.mean(0)).sum()


def _squares(error):
    return error.pow(2).sum(-1).mean()


def _train(
    weigh=_weigh, tax=_tax, strength=lambda s: s, error=_squares, fresh=True, more=0, up=False, frozen=None,
    turns=False, k=lambda choices: choices, load=None, bits=None,
):  # fmt: skip
    """The right answer with one of its pieces replaced."""

    def answer(x, y, topic, W_router, W_experts, choices, s, steps, lr):
        R, E = W_router.clone().requires_grad_(), W_experts.clone().requires_grad_()
        before = W_router

        def loss():
            logits = x @ R.T
            chosen = logits.topk(k(choices), dim=-1).indices
            out = torch.einsum("te,td,edo->to", weigh(logits, chosen), x, E)
            return error(out - y) + strength(s) * tax(logits.softmax(-1), chosen)

        def step(*weights):
            loss().backward()
            for W in (R, E):
                if W.grad is not None and any(W is chosen for chosen in weights):
                    W.data += (lr if up else -lr) * W.grad
                if fresh:
                    W.grad = None

        for _ in range(steps + more):
            before = R.detach().clone()
            if turns:
                step(E)
                step(R)
            else:
                step(*(W for W in (R, E) if W is not {"router": R, "experts": E}.get(frozen)))
        R, E = R.detach(), E.detach()
        n = len(R)
        chosen = (x @ R.T).topk(choices, dim=-1).indices
        early = (x @ before.T).topk(choices, dim=-1).indices
        start = (x @ W_router.T).topk(choices, dim=-1).indices
        share = one_hot(chosen, n).float().mean((0, 1))
        return (
            R, E,
            load(chosen, early, start, (x @ R.T).softmax(-1)) if load else share,
            bits(topic, chosen, early, start, n) if bits else _bits(topic, chosen[:, 0], n),
        )  # fmt: skip

    return answer


def _share(chosen, n):
    return one_hot(chosen, n).float().flatten(0, -2).mean(0)


def train_by_hand(x, y, topic, W_router, W_experts, choices, strength, steps, lr):
    """Every gradient on paper."""
    R, E, n, tokens = W_router.double(), W_experts.double(), len(W_router), len(x)
    x, y = x.double(), y.double()
    for _ in range(steps):
        logits = x @ R.T
        p = logits.softmax(-1)
        chosen = logits.topk(choices, dim=-1).indices
        mask = torch.zeros_like(p).scatter(-1, chosen, 1.0)
        w = p * mask / (p * mask).sum(-1, keepdim=True)
        written = torch.einsum("td,edo->teo", x, E)
        error = 2 * ((w[..., None] * written).sum(1) - y) / tokens
        by_weight = (written * error[:, None]).sum(-1)
        by_logit = w * (by_weight - (w * by_weight).sum(-1, keepdim=True))
        f = mask.mean(0) / choices
        by_logit = by_logit + strength * n / tokens * p * (f - (p @ f)[:, None])
        step = torch.einsum("te,td,to->edo", w, x, error)
        R, E = R - lr * by_logit.T @ x, E - lr * step
    chosen = (x @ R.T).topk(choices, dim=-1).indices
    load = torch.bincount(chosen.flatten(), minlength=n) / chosen.numel()
    return [R.float(), E.float(), load, _bits(topic, chosen[:, 0], n)]


def train_in_place(x, y, topic, W_router, W_experts, choices, strength, steps, lr):
    answer = _train()(x, y, topic, W_router, W_experts, choices, strength, steps, lr)
    W_router.copy_(answer[0])
    return answer


def _no_unit(logits, chosen):
    return logits.softmax(-1) * torch.zeros_like(logits).scatter(-1, chosen, 1.0)


def _kept(p, chosen):
    n = p.shape[-1]
    few = p * one_hot(chosen, n).sum(1)
    return n * (one_hot(chosen, n).float().mean((0, 1)) * (few / few.sum(-1, keepdim=True)).mean(0)).sum()


ANSWERS = {
    "experts.train_mixture": Answers(
        alternatives=[_train(), train_by_hand],
        mutants=[
            Mutant(_train(strength=lambda s: 0.0), "balance loss has no effect"),
            Mutant(_train(tax=lambda p, chosen: _tax(p, chosen).detach()), "balance loss has no effect"),
            Mutant(_train(strength=lambda s: -s), "balance loss was subtracted"),
            Mutant(_train(strength=lambda s: 1.0), "at its full strength"),
            Mutant(_train(tax=lambda p, chosen: _tax(p, chosen) / p.shape[-1]), "lacks its N"),
            Mutant(_train(tax=lambda p, chosen: _tax(p, chosen) * chosen.shape[-1]), "share of all choices"),
            Mutant(_train(tax=lambda p, chosen: p.shape[-1] * p.mean(0).square().sum()), "mean of the probabilities"),
            Mutant(_train(tax=lambda p, chosen: _tax(p, chosen[:, :1])), "first choices only"),
            Mutant(_train(tax=_kept), "renormalised weights of the chosen"),
            Mutant(_train(weigh=_no_unit), "do not add up to 1"),
            Mutant(_train(weigh=lambda logits, chosen: logits.softmax(-1)), "Every expert writes something"),
            Mutant(
                _train(weigh=lambda logits, c: torch.zeros_like(logits).scatter(-1, c, 1 / c.shape[-1])),
                "all count the same",
            ),
            Mutant(_train(weigh=lambda logits, c: _weigh(logits, c).detach()), "does not reach the router"),
            Mutant(
                _train(weigh=lambda logits, c: _weigh(logits, c[:, :1]), tax=lambda p, c: _tax(p, c[:, :1])),
                "went to one expert only",
            ),
            Mutant(_train(error=lambda e: e.pow(2).sum()), "The error was summed over tokens"),
            Mutant(_train(error=lambda e: e.pow(2).mean()), "the mean over outputs"),
            Mutant(_train(frozen="router"), "The router was not trained"),
            Mutant(_train(frozen="experts"), "The experts were not trained"),
            Mutant(_train(turns=True), "The experts took their step first"),
            Mutant(_train(more=1), "One step too many"),
            Mutant(_train(more=-1), "One step is missing"),
            Mutant(_train(fresh=False), "Gradients add up"),
            Mutant(_train(up=True), "went uphill"),
            Mutant(train_in_place, "changed its argument W_router in place"),
            Mutant(_train(load=lambda c, early, start, p: _share(early, p.shape[1])), "load before the last step"),
            Mutant(_train(load=lambda c, early, start, p: _share(start, p.shape[1])), "load before training"),
            Mutant(_train(load=lambda c, early, start, p: _share(c[:, :1], p.shape[1])), "load of first choices"),
            Mutant(_train(load=lambda c, early, start, p: 2 * _share(c, p.shape[1])), "share of tokens"),
            Mutant(_train(load=lambda c, early, start, p: p.mean(0)), "mean probability"),
            Mutant(_train(load=lambda c, early, start, p: _share(c, p.shape[1]) * c.numel()), "number of choices"),
            Mutant(_train(bits=lambda topic, c, early, start, n: _bits(topic, c[:, 0], n) * log(2)), "are nats"),
            Mutant(
                _train(bits=lambda topic, c, e, s, n: _bits(topic.repeat_interleave(2), c.flatten(), n)),
                "All choices were counted",
            ),
            Mutant(_train(bits=lambda topic, c, e, s, n: _bits(topic, e[:, 0], n)), "That is before the last step"),
            Mutant(_train(bits=lambda topic, c, e, s, n: _bits(topic, s[:, 0], n)), "information before training"),
            Mutant(lambda *given: _train()(*given)[:2], "Return four things"),
        ],
    ),
}
