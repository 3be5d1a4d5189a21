"""Answers about what the answer may look at, and what it finds there: right ones, and wrong ones that people give."""

from __future__ import annotations

import torch

from utils.grading.mutants import Answers, Mutant

# --- knock_out -------------------------------------------------------------------------------------------------------


def knock_by_loop(scores, values, queries, hidden):
    out = torch.zeros_like(values)
    for head in range(len(scores)):
        for q in range(scores.shape[1]):
            seen = [key for key in range(q + 1) if not (queries[q] and hidden[key])]
            out[head, q] = scores[head, q, seen].softmax(0) @ values[head, seen]
    return out


def knock_by_logsumexp(scores, values, queries, hidden):
    seen = torch.ones(scores.shape[1:]).tril() * ~(queries[:, None] & hidden)
    scores = torch.where(seen > 0, scores, -1e9)
    return torch.einsum("hqk,hkd->hqd", (scores - scores.logsumexp(-1, keepdim=True)).exp(), values)


def _masked(scores, pairs, causal=True):
    future = torch.ones(scores.shape[1:]).triu(1).bool()
    return scores.masked_fill((future & causal) | pairs, float("-inf"))


def _knock(pairs=lambda q, h: q[:, None] & h, causal=True):
    def answer(scores, values, queries, hidden):
        return _masked(scores, pairs(queries, hidden), causal).softmax(-1) @ values

    return answer


def _knock_after(change):
    """Attention whose pattern is changed after the softmax."""

    def answer(scores, values, queries, hidden):
        pattern = _masked(scores, torch.zeros(scores.shape[1:]).bool()).softmax(-1)
        return change(pattern, queries[:, None] & hidden) @ values

    return answer


def _renormalised(pattern, pairs):
    rest = pattern.masked_fill(pairs, 0)
    return rest / rest.sum(-1, keepdim=True)


def _renormalised_safely(pattern, pairs):
    rest = pattern.masked_fill(pairs, 0)
    return rest / rest.sum(-1, keepdim=True).clamp(min=1e-9)


def knock_to_zero(scores, values, queries, hidden):
    return _masked(scores.masked_fill(queries[:, None] & hidden, 0), torch.zeros(1).bool()).softmax(-1) @ values


def knock_over_queries(scores, values, queries, hidden):
    return _masked(scores, queries[:, None] & hidden).softmax(-2) @ values


def knock_first_head(scores, values, queries, hidden):
    right = _knock_after(lambda pattern, pairs: pattern)(scores, values, queries, hidden)
    right[0] = knock_by_loop(scores, values, queries, hidden)[0]
    return right


def knock_in_place(scores, values, queries, hidden):
    scores[:, queries[:, None] & hidden] = float("-inf")
    return _masked(scores, torch.zeros(1).bool()).softmax(-1) @ values


# --- swap_cache ------------------------------------------------------------------------------------------------------


def swap_by_loop(k, v, first, length, donor):
    old, new = (k, v), (k.clone(), v.clone())
    swapped = []
    for i, j in enumerate(donor.tolist()):
        same = bool(first[i] == first[j]) and bool(length[i] == length[j])
        if same:
            text = slice(int(first[i]), int(first[i]) + int(length[i]))
            for before, after in zip(old, new, strict=True):
                after[i, text] = before[j, text]
        swapped.append(same)
    return [*new, torch.tensor(swapped)]


def swap_by_index(k, v, first, length, donor):
    """For each position, the problem that its contents come from."""
    swapped = ((first == first[donor]) & (length == length[donor])).long()
    at = torch.arange(k.shape[1]).expand(k.shape[:2])
    here = (at - first[:, None] >= 0) & (at - first[:, None] < length[:, None] * swapped[:, None])
    own = torch.arange(len(k))[:, None].expand(k.shape[:2])
    source = donor[:, None] * here + own * ~here
    return k[source, at], v[source, at], swapped


def _swap(fits=None, here=None, keys=True, values=True, source=lambda donor: donor, report=lambda fits: fits):
    def answer(k, v, first, length, donor):
        ok = (first == first[donor]) & (length == length[donor])
        reported = report(ok)
        ok = fits(first, length, donor) if fits else ok
        at = torch.arange(k.shape[1])
        begin, end = (here or (lambda f, n: (f, f + n)))(first[:, None], length[:, None])
        chosen = ((at >= begin) & (at < end) & ok[:, None])[..., None, None]
        new = [torch.where(chosen, cache[source(donor)], cache) for cache in (k, v)]
        return new[0] if keys else k, new[1] if values else v, ok if fits and reported is None else reported

    return answer


def swap_chain(k, v, first, length, donor):
    k, v, (_, _, swapped) = k.clone(), v.clone(), swap_by_loop(k, v, first, length, donor)
    for i in swapped.nonzero()[:, 0].tolist():
        text = slice(int(first[i]), int(first[i] + length[i]))
        k[i, text], v[i, text] = k[donor[i], text], v[donor[i], text]
    return k, v, swapped


def swap_inverse(k, v, first, length, donor):
    new, (_, _, swapped) = (k.clone(), v.clone()), swap_by_loop(k, v, first, length, donor)
    for i in swapped.nonzero()[:, 0].tolist():
        text = slice(int(first[i]), int(first[i] + length[i]))
        for before, after in zip((k, v), new, strict=True):
            after[donor[i], text] = before[i, text]
    return *new, swapped


def swap_moved(k, v, first, length, donor):
    new, (_, _, swapped) = (k.clone(), v.clone()), swap_by_loop(k, v, first, length, donor)
    for i, j in enumerate(donor.tolist()):
        steps = torch.arange(int(length[i]))
        for before, after in zip((k, v), new, strict=True):
            after[i, first[i] + steps] = before[j, first[j] + steps]
    return *new, swapped


def swap_to_zero(k, v, first, length, donor):
    *new, swapped = swap_by_loop(k, v, first, length, donor)
    return new[0] * (new[0] == k), new[1] * (new[1] == v), swapped


def swap_in_place(k, v, first, length, donor):
    new, v_new, swapped = swap_by_loop(k, v, first, length, donor)
    k.copy_(new)
    return k, v_new, swapped


def swap_first_text(k, v, first, length, donor):
    at = torch.arange(k.shape[1])
    swapped = (first == first[donor]) & (length == length[donor])
    here = ((at >= first[0]) & (at < first[0] + length[0]) & swapped[:, None])[..., None, None]
    return torch.where(here, k[donor], k), torch.where(here, v[donor], v), swapped


ANSWERS = {
    "chain_of_thought.knock_out": Answers(
        alternatives=[knock_by_loop, knock_by_logsumexp],
        mutants=[
            Mutant(_knock_after(lambda pattern, pairs: pattern.masked_fill(pairs, 0)), "renormalise the row"),
            Mutant(_knock_after(_renormalised), "before the softmax"),
            Mutant(_knock_after(_renormalised_safely), "before the softmax"),
            Mutant(knock_to_zero, "scores became 0"),
            Mutant(_knock(lambda q, h: h & ~torch.eye(len(q)).bool()), "Nobody sees the hidden keys"),
            Mutant(_knock(lambda q, h: h.expand(len(q), len(q))), "All queries miss"),
            Mutant(_knock(causal=False), "future can be seen"),
            Mutant(_knock(lambda q, h: h[:, None] & q), "Queries and keys are exchanged"),
            Mutant(_knock(lambda q, h: q[:, None] & ~h), "nothing but the hidden keys"),
            Mutant(_knock(lambda q, h: q[:, None] | h), "Both must hold"),
            Mutant(_knock_after(lambda pattern, pairs: pattern), "Nothing is hidden"),
            Mutant(knock_over_queries, "softmax went over queries"),
            Mutant(knock_first_head, "Only the first head"),
            Mutant(knock_in_place, "changed its argument scores in place"),
            Mutant(lambda *given: knock_by_loop(*given).mean(0), "What the heads give should have shape"),
        ],
    ),
    "chain_of_thought.swap_cache": Answers(
        alternatives=[swap_by_loop, swap_by_index],
        mutants=[
            Mutant(lambda *given: swap_by_loop(*given)[:2], "Return three tensors"),
            Mutant(swap_in_place, "changed its argument k in place"),
            Mutant(_swap(report=lambda ok: ok | True), "swapped is True for all"),
            Mutant(_swap(fits=lambda f, n, donor: f == f[donor], report=lambda ok: None), "and not how long they are"),
            Mutant(_swap(fits=lambda f, n, donor: n == n[donor], report=lambda ok: None), "and not where they begin"),
            Mutant(
                _swap(fits=lambda f, n, donor: f + n == (f + n)[donor], report=lambda ok: None), "where the texts end"
            ),
            Mutant(_swap(report=lambda ok: ~ok), "swapped is turned round"),
            Mutant(_swap(report=lambda ok: ok.nonzero()[:, 0]), "Swapped should have shape [8]"),
            Mutant(_swap(values=False), "v is as it was"),
            Mutant(_swap(keys=False), "k is as it was"),
            Mutant(swap_inverse, "received instead of giving"),
            Mutant(swap_chain, "changed before it gave"),
            Mutant(_swap(fits=lambda f, n, donor: f > 0), "stand elsewhere than their donors'"),
            Mutant(swap_moved, "moved to other positions"),
            Mutant(_swap(here=lambda f, n: (0 * f, 0 * f + 99)), "all positions were swapped"),
            Mutant(_swap(here=lambda f, n: (0 * f, f + n)), "the problem as well"),
            Mutant(_swap(here=lambda f, n: (f, 0 * f + 99)), "what comes after it as well"),
            Mutant(_swap(here=lambda f, n: (f, f + n + 1)), "one position too many"),
            Mutant(_swap(here=lambda f, n: (f + 1, f + n)), "first position of the text is missing"),
            Mutant(_swap(here=lambda f, n: (f, f + n - 1)), "last position of the text is missing"),
            Mutant(swap_to_zero, "became 0"),
            Mutant(swap_first_text, "used for all"),
        ],
    ),
}
