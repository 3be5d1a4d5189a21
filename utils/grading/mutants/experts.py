"""Answers about the router and its experts: other right ones, and wrong ones that people give."""

from __future__ import annotations

import torch
from torch.nn.functional import gelu, silu

from utils.grading.mutants import Answers, Mutant

NOTEBOOK_CHOICES = 2  # a variable of the notebook

# --- route -----------------------------------------------------------------------------------------------------------


def route_by_loop(x, W_router, choices):
    weights, chosen = torch.zeros(len(x), len(W_router)), []
    for i, token in enumerate(x):
        logits = [float(token @ row) for row in W_router]
        best = sorted(range(len(logits)), key=lambda e: -logits[e])[:choices]
        parts = torch.tensor([logits[e] for e in best]).softmax(0)
        for e, part in zip(best, parts, strict=True):
            weights[i, e] = part
        chosen.append(best)
    return weights, torch.tensor(chosen)


def route_by_division(x, W_router, choices):
    p = (x.double() @ W_router.double().T).softmax(-1)
    best, chosen = p.topk(choices, dim=-1)
    return torch.zeros_like(p).scatter_(-1, chosen, best / best.sum(-1, keepdim=True)).float(), chosen


def _mask(logits, choices, largest=True):
    chosen = logits.topk(choices, dim=-1, largest=largest).indices
    return torch.zeros_like(logits).scatter(-1, chosen, 1.0), chosen


def _route(weigh, largest=True, order=lambda chosen: chosen):
    """Logits, the mask of the chosen experts, and another idea of the weights."""

    def answer(x, W_router, choices):
        logits = x @ W_router.T
        mask, chosen = _mask(logits, choices, largest)
        return weigh(logits, mask), order(chosen)

    return answer


def _unit(weights):
    return weights / weights.sum(-1, keepdim=True)


def route_with_exp(x, W_router, choices):
    logits = x @ W_router.T
    mask, chosen = _mask(logits, choices)
    return _unit(logits.exp() * mask), chosen


def route_in_place(x, W_router, choices):
    answer = route_by_division(x, W_router, choices)
    x *= 2
    return answer


def _right(logits, mask):
    return logits.masked_fill(mask == 0, -torch.inf).softmax(-1)


# --- run_experts -----------------------------------------------------------------------------------------------------


def experts_by_loop(x, W_gate, W_in, W_out, weights, chosen):
    hidden = torch.zeros(*chosen.shape, W_in.shape[2])
    written = torch.zeros_like(x)
    for t in range(len(x)):
        for c, e in enumerate(chosen[t].tolist()):
            gate = x[t] @ W_gate[e]
            hidden[t, c] = gate * torch.sigmoid(gate) * (x[t] @ W_in[e])
            written[t] += weights[t, e] * (hidden[t, c] @ W_out[e])
    return hidden, written


def experts_by_expert(x, W_gate, W_in, W_out, weights, chosen):
    """All experts on all tokens; then only what was chosen is looked up."""
    units = silu(torch.einsum("td,edh->teh", x, W_gate)) * torch.einsum("td,edh->teh", x, W_in)
    index = chosen[..., None].expand(*chosen.shape, units.shape[2])
    written = torch.einsum("te,teh,ehd->td", weights, units, W_out)  # the weights of the others are 0
    return [units.gather(1, index), written]


def _experts(unit=lambda gate, value: silu(gate) * value, combine=None, pick=lambda chosen: chosen, scale=False):
    """The right answer with one of its pieces replaced."""

    def answer(x, W_gate, W_in, W_out, weights, chosen):
        used = pick(chosen)
        gate, value = (torch.einsum("td,tcdh->tch", x, W[used]) for W in (W_gate, W_in))
        w = weights.gather(-1, chosen)[..., None]
        hidden = unit(gate, value) * (w if scale else 1)
        outputs = torch.einsum("tch,tchd->tcd", hidden, W_out[used])
        return hidden, combine(w, outputs, weights) if combine else (w * outputs).sum(1)

    return answer


def experts_weighted_inputs(x, W_gate, W_in, W_out, weights, chosen):
    written = torch.zeros_like(x)
    for t in range(len(x)):
        for e in chosen[t].tolist():
            read = weights[t, e] * x[t]
            written[t] += (silu(read @ W_gate[e]) * (read @ W_in[e])) @ W_out[e]
    return experts_by_loop(x, W_gate, W_in, W_out, weights, chosen)[0], written


def experts_all(x, W_gate, W_in, W_out, weights, chosen):
    return experts_by_expert(x, W_gate, W_in, W_out, weights, chosen)[0], experts_by_expert(
        x, W_gate, W_in, W_out, torch.ones_like(weights), chosen
    )[1]


def experts_weighted_twice(x, W_gate, W_in, W_out, weights, chosen):
    return experts_by_loop(x, W_gate, W_in, W_out, weights, chosen)[0], experts_by_loop(
        x, W_gate, W_in, W_out, weights**2, chosen
    )[1]


ANSWERS = {
    "experts.route": Answers(
        alternatives=[route_by_loop, route_by_division],
        mutants=[
            Mutant(_route(lambda logits, mask: mask * logits.softmax(-1)), "not renormalised"),
            Mutant(_route(lambda logits, mask: logits.softmax(-1)), "No expert was left out"),
            Mutant(_route(lambda logits, mask: (mask * logits).softmax(-1)), "with a logit of 0"),
            Mutant(_route(lambda logits, mask: mask * (mask * logits).softmax(-1)), "with their weights erased"),
            Mutant(_route(lambda logits, mask: mask / mask.sum(-1, keepdim=True)), "have the same weight"),
            Mutant(_route(_right, largest=False), "lowest logits"),
            Mutant(_route(lambda logits, mask: _unit(logits * mask)), "divided the logits by their sum"),
            Mutant(_route(lambda logits, mask: _unit(logits.sigmoid() * mask)), "used sigmoids"),
            Mutant(_route(lambda logits, mask: _unit(logits.softmax(0) * mask)), "The softmax went over tokens"),
            Mutant(lambda x, W, choices: (route_by_loop(x, W, 1)[0], route_by_loop(x, W, choices)[1]), "single expert"),
            Mutant(_route(_right, order=lambda chosen: chosen.sort(-1).values), "in the order of their numbers"),
            Mutant(_route(_right, order=lambda chosen: chosen.flip(-1)), "The last choice comes first"),
            Mutant(lambda x, W, choices: route_by_loop(x, W, NOTEBOOK_CHOICES), "should have shape [6, 3]"),
            Mutant(route_with_exp, "With large logits"),
            Mutant(lambda *given: route_by_loop(*given)[0], "Return two tensors"),
            Mutant(
                lambda x, W, choices: (lambda w, c: (w.gather(-1, c), c))(*route_by_loop(x, W, choices)),
                "Weights should have shape [6, 7]",
            ),
            Mutant(route_in_place, "changed its argument x in place"),
        ],
    ),
    "experts.run_experts": Answers(
        alternatives=[experts_by_loop, experts_by_expert],
        mutants=[
            Mutant(_experts(lambda gate, value: gate * silu(value)), "Gate and value are exchanged"),
            Mutant(_experts(lambda gate, value: gate.relu() * value), "The gate is a ReLU"),
            Mutant(_experts(lambda gate, value: gelu(gate) * value), "The gate is a GELU"),
            Mutant(_experts(lambda gate, value: gate.sigmoid() * value), "The gate is a sigmoid"),
            Mutant(_experts(lambda gate, value: silu(gate * value)), "around the product"),
            Mutant(_experts(lambda gate, value: gate * value), "The gate has no SiLU"),
            Mutant(_experts(lambda gate, value: silu(gate) + value), "are added"),
            Mutant(_experts(lambda gate, value: silu(value)), "The gate is missing"),
            Mutant(_experts(pick=lambda c: torch.arange(c.shape[1]).expand_as(c)), "the first experts for every token"),
            Mutant(_experts(pick=lambda c: c.sort(-1).values), "in the order of the experts' numbers"),
            Mutant(_experts(scale=True), "already in the hidden units"),
            Mutant(_experts(combine=lambda w, out, _: out.sum(1)), "The router's weights are missing"),
            Mutant(_experts(combine=lambda w, out, _: out.mean(1)), "mean of the outputs"),
            Mutant(_experts(combine=lambda w, out, _: (w / w.sum(1, keepdim=True) * out).sum(1)), "add up to 1"),
            Mutant(_experts(combine=lambda w, out, _: w[:, 0] * out[:, 0]), "Only the first choice"),
            Mutant(
                _experts(combine=lambda w, out, all_: (all_[:, : out.shape[1], None] * out).sum(1)), "wrong experts"
            ),
            Mutant(experts_weighted_inputs, "what the experts read"),
            Mutant(experts_all, "Every expert wrote something"),
            Mutant(experts_weighted_twice, "are squared"),
            Mutant(lambda *given: experts_by_loop(*given)[1], "Return two tensors"),
        ],
    ),
}
