"""Answers about experts cut out of a dense network: other right ones, and wrong ones that people give."""

from __future__ import annotations

import torch
from torch.nn.functional import gelu, one_hot, relu

from utils.grading.mutants import Answers, Mutant


def pseudo_by_loop(x, W_in, b_in, W_out, b_out, group, n_groups, choices):
    hidden, written, lengths = gelu(x @ W_in + b_in), [], []
    for g in range(n_groups):
        units = group == g
        written.append(hidden[:, units] @ W_out[units])
        lengths.append(written[-1].norm(dim=1))
    order = torch.stack(lengths, 1).argsort(1, descending=True)[:, :choices]
    return torch.stack([part + b_out / n_groups for part in written]), order


def pseudo_by_units(x, W_in, b_in, W_out, b_out, group, n_groups, choices):
    """Every unit's own output, added up by group."""
    each = gelu(x @ W_in + b_in).T[:, :, None] * W_out[:, None, :]  # [unit token d_model]
    written = torch.zeros(n_groups, *x.shape).index_add(0, group, each)
    chosen = written.square().sum(-1).T.topk(choices).indices
    return [written + b_out / n_groups, chosen]


def _pseudo(
    act=gelu, late=None, bias_in=True, members=None, bias=None, scale=None, score=None,
):  # fmt: skip
    """The right answer with one of its pieces replaced."""

    def answer(x, W_in, b_in, W_out, b_out, group, n_groups, choices):
        mask = one_hot(members(group, n_groups) if members else group, n_groups).float()
        hidden = act(x @ W_in + (b_in if bias_in else 0))
        written = torch.einsum("th,hg,hd->gtd", hidden, mask, W_out)
        written = late(written) if late else written
        part = bias(b_out, n_groups, mask) if bias else b_out / n_groups
        outputs = (scale(written, mask) if scale else written) + part
        scores = score(written, outputs, hidden, mask) if score else written.norm(dim=-1).T
        return outputs, scores.topk(choices, dim=-1).indices

    return answer


def _none(z):
    return z


def _first(b_out, n, mask):
    return torch.cat([b_out[None, None], torch.zeros(n - 1, 1, len(b_out))])


ANSWERS = {
    "experts.pseudo_experts": Answers(
        alternatives=[pseudo_by_loop, pseudo_by_units, _pseudo()],
        mutants=[
            Mutant(_pseudo(bias=lambda b, n, mask: b), "several times over"),
            Mutant(_pseudo(bias=lambda b, n, mask: 0 * b), "b_out is missing"),
            Mutant(_pseudo(bias=_first), "to the first group alone"),
            Mutant(_pseudo(bias=lambda b, n, mask: b * mask.mean(0)[:, None, None]), "by the number of units"),
            Mutant(_pseudo(bias_in=False), "b_in is missing"),
            Mutant(_pseudo(act=_none, late=gelu), "after the groups' outputs"),
            Mutant(_pseudo(act=_none), "The GELU is missing"),
            Mutant(_pseudo(act=relu), "The GELU is a ReLU"),
            Mutant(_pseudo(members=lambda group, n: group.sort().values), "blocks of neighbours"),
            Mutant(_pseudo(members=lambda group, n: torch.arange(len(group)) * n // len(group)), "into equal blocks"),
            Mutant(_pseudo(members=lambda group, n: torch.arange(len(group)) % n), "dealt the units out in turn"),
            Mutant(_pseudo(scale=lambda w, mask: w / mask.sum(0)[:, None, None]), "divided by the number of the group"),
            Mutant(_pseudo(scale=lambda w, mask: 1.1 * w), "do not add up to the MLP's output"),
            Mutant(_pseudo(score=lambda w, out, hidden, mask: out.norm(dim=-1).T), "with b_out in them"),
            Mutant(_pseudo(score=lambda w, out, hidden, mask: -w.norm(dim=-1).T), "that write least"),
            Mutant(_pseudo(score=lambda w, out, hidden, mask: hidden.abs() @ mask), "how active the units are"),
            Mutant(
                _pseudo(score=lambda w, out, hidden, mask: hidden.square() @ mask), "the length of the hidden units"
            ),
            Mutant(_pseudo(score=lambda w, out, hidden, mask: w.sum(-1).T), "which have both signs"),
            Mutant(
                _pseudo(score=lambda w, out, hidden, mask: w.norm(dim=-1).T / mask.sum(0)), "by the size of the group"
            ),
            Mutant(
                _pseudo(score=lambda w, out, hidden, mask: w.norm(dim=-1).mean(1).expand(w.shape[1], -1)),
                "The same groups were chosen",
            ),
            Mutant(
                lambda *given: (lambda out, chosen: (out, chosen.flip(-1)))(*pseudo_by_loop(*given)),
                "The last choice comes first",
            ),
            Mutant(
                lambda *given: (lambda out, chosen: (out.transpose(0, 1), chosen))(*pseudo_by_loop(*given)),
                "in another order",
            ),
            Mutant(lambda *given: pseudo_by_loop(*given)[0], "Return two tensors"),
        ],
    ),
}
