"""Answers about experts' and features' names: other right ones, and wrong ones that people give."""

from __future__ import annotations

from itertools import permutations
from math import log

import networkx
import torch

from utils.grading.mutants import Answers, Mutant

# --- same_job --------------------------------------------------------------------------------------------------------


def _table(first, second, n):
    counts = torch.zeros(n, n, dtype=torch.long)
    for a, b in zip(first.flatten(0, 1).tolist(), second.flatten(0, 1).tolist(), strict=True):
        for e in a:
            for f in b:
                counts[e, f] += 1
    return counts


def _pairs(table, sign=1):
    """The best pairing of all, by trying every one."""
    n = len(table)
    rows = table.tolist()
    return torch.tensor(max(permutations(range(n)), key=lambda order: sign * sum(rows[a][order[a]] for a in range(n))))


def _by_graph(table):
    """The best pairing of all, by the library that the book uses."""
    n, graph = len(table), networkx.Graph()
    graph.add_weighted_edges_from((a, n + b, int(table[a, b])) for a in range(n) for b in range(n))
    found = dict(tuple(sorted(pair)) for pair in networkx.max_weight_matching(graph, maxcardinality=True))
    return torch.tensor([found[a] - n for a in range(n)])


def _greedy(table):
    left, order = table.clone(), [0] * len(table)
    for _ in order:
        a, b = divmod(int(left.argmax()), len(table))
        order[a] = b
        left[a], left[:, b] = -1, -1
    return torch.tensor(order)


def _in_turn(table):
    left, order = table.clone(), []
    for row in range(len(table)):
        order.append(int(left[row].argmax()))
        left[:, order[-1]] = -1
    return torch.tensor(order)


def _even(x):
    return x[::2]


def _odd(x):
    return x[1::2]


def _common(here, there):
    return (here[..., :, None] == there[..., None, :]).any(-1).float()


def _job(pair=_pairs, named=_even, compared=_odd, rename=None, count=None, score=None, trim=lambda x: x):
    """The right answer with one of its pieces replaced."""

    def answer(first, second, n):
        order = pair(_table(trim(named(first)), trim(named(second)), n))
        naming = rename(order) if rename else order.argsort()
        here, there = compared(first), naming[compared(second)]
        return order, score(here, there) if score else _common(here, there).mean()

    return answer


def job_turned(first, second, n):
    order, agreement = _job()(first, second, n)
    return order.argsort(), agreement


def job_by_set(first, second, n):
    """Sets of choices, and a dictionary of names."""
    order = _pairs(_table(first[::2], second[::2], n))
    name = {int(b): a for a, b in enumerate(order)}
    shared = total = 0
    for mine, theirs in zip(first[1::2].flatten(0, 1).tolist(), second[1::2].flatten(0, 1).tolist(), strict=True):
        shared += len(set(mine) & {name[b] for b in theirs})
        total += len(mine)
    return [order, shared / total]


# --- feature_spread --------------------------------------------------------------------------------------------------


def spread_by_loop(features, expert, n_experts):
    found = []
    for column in features.T:
        means = [float(column[expert == e].mean()) if (expert == e).any() else 0.0 for e in range(n_experts)]
        if sum(means) == 0:
            found.append(float("nan"))
            continue
        shares = [mean / sum(means) for mean in means]
        found.append(-sum(s * log(s) / log(2) for s in shares if s > 0))
    return torch.tensor(found)


def spread_by_matrix(features, expert, n_experts):
    member = torch.nn.functional.one_hot(expert, n_experts).double()
    mean = (member / member.sum(0).clamp(min=1)).T @ features.double()
    share = mean / mean.sum(0)
    return torch.special.entr(share).sum(0) / log(2)


def _spread(amounts=None, finish=None):
    """The right answer with other amounts for each expert and feature, or another end."""

    def answer(features, expert, n_experts):
        member = torch.nn.functional.one_hot(expert, n_experts).float()
        loads = member.sum(0).clamp(min=1)[:, None]
        values = amounts(member, features, loads) if amounts else member.T @ features / loads
        share = values / values.sum(0)
        entropy = torch.special.entr(share).sum(0) / log(2)
        return finish(share, entropy) if finish else entropy

    return answer


def spread_without_clamp(features, expert, n_experts):
    means = torch.stack([features[expert == e].mean(0) for e in range(n_experts)])
    share = means / means.sum(0)
    return torch.special.entr(share).sum(0) / log(2)


def spread_with_logs(features, expert, n_experts):
    member = torch.nn.functional.one_hot(expert, n_experts).float()
    mean = member.T @ features / member.sum(0).clamp(min=1)[:, None]
    share = mean / mean.sum(0)
    return -(share * share.log2()).sum(0)


def spread_softmax(features, expert, n_experts):
    member = torch.nn.functional.one_hot(expert, n_experts).float()
    mean = member.T @ features / member.sum(0).clamp(min=1)[:, None]
    entropy = torch.special.entr(mean.softmax(0)).sum(0) / log(2)
    return torch.where(mean.sum(0) > 0, entropy, torch.nan)


ANSWERS = {
    "experts.same_job": Answers(
        alternatives=[_job(), _job(pair=_by_graph), job_by_set],
        mutants=[
            Mutant(_job(pair=lambda table: table.argmax(1)), "some took the same one"),
            Mutant(lambda *given: (_job()(*given)[0] + 1, 0.5), "each expert of the second run once"),
            Mutant(job_turned, "order is turned round"),
            Mutant(_job(pair=_greedy), "You paired greedily"),
            Mutant(_job(pair=_in_turn), "You paired greedily"),
            Mutant(_job(pair=lambda table: _pairs(table, -1)), "the least in common"),
            Mutant(_job(named=_odd), "You named the experts on"),
            Mutant(_job(named=lambda x: x), "You named the experts on"),
            Mutant(_job(trim=lambda x: x[..., :1]), "first choices only"),
            Mutant(_job(compared=_even), "the naming has seen, which flatters"),
            Mutant(_job(compared=lambda x: x), "compared on all sequences"),
            Mutant(_job(rename=lambda order: torch.arange(len(order))), "were not renamed"),
            Mutant(_job(rename=lambda order: order), "renamed with order itself"),
            Mutant(_job(score=lambda a, b: (a[..., 0] == b[..., 0]).float().mean()), "first choices with first"),
            Mutant(_job(score=lambda a, b: (a == b).float().mean()), "place by place"),
            Mutant(_job(score=lambda a, b: _common(a, b).amin(-1).mean()), "with all choices in common"),
            Mutant(_job(score=lambda a, b: _common(a, b).amax(-1).mean()), "with any choice in common"),
            Mutant(lambda *given: _job()(*given)[0], "Return two things"),
        ],
    ),
    "experts.feature_spread": Answers(
        alternatives=[spread_by_loop, spread_by_matrix],
        mutants=[
            Mutant(_spread(lambda m, f, n: m.T @ f), "You used sums"),
            Mutant(_spread(lambda m, f, n: m.T @ (f > 0).float() / n), "Its strength counts too"),
            Mutant(_spread(lambda m, f, n: m.T @ (f > 0).float()), "however many tokens an expert"),
            Mutant(
                _spread(lambda m, f, n: m.T @ f / (m.T @ (f > 0).float()).clamp(min=1)), "averaged over the tokens on"
            ),
            Mutant(_spread(finish=lambda share, h: h * log(2)), "Those are nats"),
            Mutant(_spread(finish=lambda share, h: h * log(2) / log(len(share))), "largest possible entropy"),
            Mutant(_spread(finish=lambda share, h: 2**h), "effective number"),
            Mutant(_spread(finish=lambda share, h: share.amax(0)), "likes best"),
            Mutant(_spread(finish=lambda share, h: -h), "The sign is turned round"),
            Mutant(_spread(finish=lambda share, h: h.nan_to_num()), "lives nowhere"),
            Mutant(spread_without_clamp, "became NaN"),
            Mutant(spread_with_logs, "became NaN"),
            Mutant(spread_softmax, "A softmax was taken"),
            Mutant(_spread(finish=lambda share, h: share), "should have shape [6]"),
        ],
    ),
}
