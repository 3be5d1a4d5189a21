"""Checks of the chapter on experts: which expert is which in another run, and where a feature lives."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from utils.grading import exercise, expect_close, expect_equal, expect_shape, fail
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.experts_counted import LN2
from utils.grading.checks.superposition import Student, expect_parts, fresh

N = 5  # experts


@exercise(
    "experts.same_job",
    title="Who does whose work",
    points=3,
    minutes=30,
    difficulty=2,
    hints=[
        "Count first: for every pair of an expert here and an expert there, how many tokens chose both? Then every "
        "expert needs a partner of its own. The best partner of two experts may be the same one, so taking the largest "
        "number of each row is not enough.",
        "With five experts there are 120 ways to pair them, and you may try them all (itertools.permutations). To "
        "compare, rename the second run's experts: if order[a] = b, then b is called a, which is order.argsort()[b].",
        "table[a, b] = ((first[::2] == a).any(-1) & (second[::2] == b).any(-1)).sum(); order = the permutation with "
        "the largest sum of table[a, order[a]]; renamed = order.argsort()[second[1::2]]; agreement = (first[1::2][..., "
        ":, None] == renamed[..., None, :]).any(-1).float().mean()",
    ],
)
def check_same_job(student: Student) -> None:
    g = fresh()
    first, second = _two_runs(g)
    while _unclear(first, second):
        first, second = _two_runs(g)
    got = student(first, second, N)
    expect_parts(got, 2, "Return two things, (order, agreement): a tensor and a number.")
    order, right = got[0], _orders(first, second)
    expect_shape(order, (N,), "order")
    best = right.pop("")
    if sorted(order.long().tolist()) != list(range(N)) or bool((order != order.long()).any()):
        if same_values(order, _common(first[::2], second[::2]).argmax(1)):
            fail(
                "Each expert took the partner it has most in common with, and some took the same one. Pair them all, "
                "each with another, so that the sum is largest."
            )
        fail("order should hold each expert of the second run once.")
    expect_equal(
        order,
        best,
        mistakes=right,
        otherwise="order differs: the pairing whose experts chose the most tokens in common, on sequences 0, 2, 4, …",
        what="order",
    )
    scores = _agreements(first, second, best)
    expect_close(
        got[1],
        scores.pop(""),
        mistakes=scores,
        otherwise="agreement differs: the share of choices in common on sequences 1, 3, 5, …, with experts renamed.",
        what="agreement",
    )


def same_values(a: Tensor, b: Tensor) -> bool:
    """Whether two rows of numbers are equal."""
    return bool((a.double() == b.double()).all())


def _two_runs(g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two runs' choices; who does whose work depends on the choice and on whether the sequence is an odd one."""
    batch, pos = 8, 20
    first = torch.multinomial((0.3 * torch.randn(batch * pos, N, generator=g)).exp(), 2, generator=g).view(
        batch, pos, 2
    )
    alike = (2.0 * torch.randn(2, 2, N, N, generator=g)).softmax(-1)  # [odd choice expert other]
    odd = (torch.arange(batch) % 2)[:, None].expand(batch, pos)
    one = torch.multinomial(alike[odd, 0, first[..., 0]].flatten(0, 1), 1, generator=g).view(batch, pos, 1)
    left = (alike[odd, 1, first[..., 1]] + 1e-3).scatter(-1, one, 0.0)
    two = torch.multinomial(left.flatten(0, 1), 1, generator=g).view(batch, pos, 1)
    return first, torch.cat([one, two], -1)


def _common(first: Tensor, second: Tensor) -> Int[Tensor, "expert other"]:
    one, two = (one_hot(chosen, N).sum(-2).flatten(0, -2) for chosen in (first, second))
    return one.T @ two


@cache
def _pairings() -> Int[Tensor, "pairing expert"]:
    return torch.tensor(list(permutations(range(N))))


def _sums(table: Tensor) -> tuple[Tensor, Tensor]:
    """Every pairing, and how much it has in common."""
    every = _pairings()
    return every, table.gather(1, every.T).sum(0)


def _best(table: Tensor) -> Int[Tensor, "expert"]:
    every, sums = _sums(table)
    return every[sums.argmax()]


def _tied(table: Tensor) -> bool:
    """Whether two pairings have the most in common."""
    most = _sums(table)[1].topk(2).values
    return bool(most[0] == most[1])


def _greedy(table: Tensor) -> Int[Tensor, "expert"]:
    """The largest number first, then the largest of those that are left."""
    left, order = table.double().clone(), torch.zeros(N, dtype=torch.long)
    for _ in range(N):
        a, b = divmod(int(left.argmax()), N)
        order[a] = b
        left[a], left[:, b] = -1, -1
    return order


def _by_row(table: Tensor) -> Int[Tensor, "expert"]:
    """Each expert in turn takes the best partner that is left."""
    left, order = table.double().clone(), torch.zeros(N, dtype=torch.long)
    for a in range(N):
        order[a] = left[a].argmax()
        left[:, order[a]] = -1
    return order


def _orders(first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """Mistake → the order that it would give; the right one under no mistake."""
    table = _common(first[::2], second[::2])
    best = _best(table)
    return {
        "": best,
        "order is turned round: for each expert of the first run it says who of the second does its work.": (
            best.argsort()
        ),
        "You paired greedily: the largest number first, then the largest of what was left. That can spoil the pairs "
        "after it, and the sum over all pairs is to be the largest.": _greedy(table),
        "You paired greedily: one expert after the other took the best partner that was left. The sum over all pairs "
        "is to be the largest.": _by_row(table),
        "That is the pairing with the least in common.": _best(-table),
        "You named the experts on sequences 1, 3, 5, … Keep these for the comparison, and use the others.": _best(
            _common(first[1::2], second[1::2])
        ),
        "You named the experts on all sequences. Keep sequences 1, 3, 5, … for the comparison.": _best(
            _common(first, second)
        ),
        "You counted first choices only. Every choice is work.": _best(_common(first[::2, :, :1], second[::2, :, :1])),
    }


def _unclear(first: Tensor, second: Tensor) -> bool:
    """Whether two pairings are equally good, or two mistakes would give the same one."""
    table = _common(first[::2], second[::2])
    ramp = 1e-3 * torch.arange(N * N).sqrt().view(N, N)
    higher, lower = table + ramp, table - ramp  # ties are broken one way and the other
    if len(table.argmax(1).unique()) == N or not torch.equal(higher.argmax(1), lower.argmax(1)):
        return True
    best = _best(table)
    if torch.equal(best, best.argsort()) or torch.equal(best, _greedy(table)):
        return True
    orders = [tuple(order.tolist()) for order in _orders(first, second).values()]
    right, turned, greedy, in_turn, worst, odd, every, firsts = orders
    if len({right, turned, greedy, worst, odd, firsts}) < 6 or {in_turn, every} & {right, turned, worst, firsts}:
        return True
    if {greedy, in_turn} & {odd, every}:
        return True
    parts = [(first[i], second[i]) for i in (slice(0, None, 2), slice(1, None, 2), slice(None))]
    for some, other in [*parts, (first[::2, :, :1], second[::2, :, :1])]:
        if _tied(_common(some, other)):
            return True
    if _tied(-table):
        return True
    for pair in (_greedy, _by_row):
        if not torch.equal(pair(higher), pair(lower)):
            return True
    return crowded(*_agreements(first, second, torch.tensor(right)).values())


def _agreements(first: Tensor, second: Tensor, order: Tensor) -> dict[str, Tensor]:
    """Mistake → the agreement that it would give; the right one under no mistake."""

    def share(part: slice, naming: Tensor, whole: bool = False) -> Tensor:
        here, there = first[part], naming[second[part]]
        common = (here[..., :, None] == there[..., None, :]).any(-1)
        return (common.all(-1) if whole else common).float().mean()

    new, odd = order.argsort(), slice(1, None, 2)
    here, there = first[odd], new[second[odd]]
    return {
        "": share(odd, new),
        "You compared on the sequences that the naming has seen, which flatters it. Use the others.": share(
            slice(0, None, 2), new
        ),
        "You compared on all sequences, half of which the naming has seen.": share(slice(None), new),
        "The experts were not renamed: the same number means nothing in two runs.": share(odd, torch.arange(N)),
        "You renamed with order itself. It leads from the first run to the second; to rename the second's experts you "
        "need the way back.": share(odd, order),
        "You compared first choices with first choices. An expert in common counts wherever it stands.": (
            (here[..., 0] == there[..., 0]).float().mean()
        ),
        "You compared choices place by place. An expert in common counts wherever it stands.": (
            (here == there).float().mean()
        ),
        "That is the share of tokens with all choices in common. Count choices.": share(odd, new, whole=True),
        "That is the share of tokens with any choice in common. Count choices.": (
            (here[..., :, None] == there[..., None, :]).any(-1).any(-1).float().mean()
        ),
    }


@exercise(
    "experts.feature_spread",
    title="Where a feature lives",
    points=2,
    minutes=15,
    difficulty=1,
    hints=[
        "An expert that gets more tokens sees more of everything. So ask how strong a feature is on an expert's "
        "average token, and not how much of it the expert sees in all.",
        "One mean for each expert and feature, [expert feature]. Divide by the sum over experts to have shares, then "
        "take −Σ share · log₂ share over experts. Shares of 0 contribute nothing, and an expert without tokens has the "
        "share 0.",
        "sums = zeros(n_experts, features).index_add_(0, expert, features); tokens = bincount(expert, "
        "minlength=n_experts).clamp(min=1); mean = sums / tokens[:, None]; share = mean / mean.sum(0); return "
        "-torch.special.xlogy(share, share).sum(0) / log(2)",
    ],
)
def check_feature_spread(student: Student) -> None:
    g = fresh()
    tokens, n_features, n_experts = 43, 6, 5
    load = torch.tensor([0.45, 0.25, 0.2, 0.1, 0.0])[torch.randperm(n_experts, generator=g)]
    expert = torch.multinomial(load, tokens, replacement=True, generator=g)
    homes = torch.rand(n_experts, n_features, generator=g) ** 2
    features = (torch.rand(tokens, n_features, generator=g) < homes[expert]) * torch.rand(
        tokens, n_features, generator=g
    ).exp()
    features[0] += 0.1  # each is active somewhere
    features[:, 4] = 0.7 * (expert == expert[0])  # one lives with a single expert
    features[:, 5] = 0  # and one nowhere
    got = student(features, expert, n_experts)
    expect_shape(got, (n_features,), "the result")
    table = _spreads(features, expert, n_experts)
    right = table.pop("")
    if not bool(torch.isnan(got[5])):
        fail("A feature that is never active lives nowhere: its spread is 0/0, not a number (NaN), and not a result.")
    if bool(torch.isnan(got[:4]).any()):
        fail(
            "Features that are active became NaN. An expert without tokens has the share 0, and a share of 0 "
            "contributes nothing: 0 · log 0 counts as 0."
        )
    expect_close(
        got,
        right,
        mistakes=table,
        otherwise="The spread differs: the entropy, in bits, of a feature's mean activations over experts.",
        what="the result",
    )


def _spreads(features: Float[Tensor, "token feature"], expert: Tensor, n: int) -> dict[str, Tensor]:
    """Mistake → what it would give; the right one under no mistake."""
    member = one_hot(expert, n).float()
    loads = member.sum(0).clamp(min=1)[:, None]
    sums, counts = member.T @ features, member.T @ (features > 0).float()
    active = sums / counts.clamp(min=1)

    def spread(amounts: Tensor, axis: int = 0) -> Tensor:
        share = amounts / amounts.sum(axis, keepdim=True)
        return -torch.special.xlogy(share, share).sum(axis) / LN2

    mean = sums / loads
    share = mean / mean.sum(0)
    return {
        "": spread(mean),
        "You used sums: an expert with many tokens then looks like the home of everything. Use means over the expert's "
        "tokens.": spread(sums),
        "You counted on how many tokens the feature is active. Its strength counts too.": spread(counts / loads),
        "You counted tokens on which the feature is active, whatever its strength and however many tokens an expert "
        "has.": spread(counts),
        "You averaged over the tokens on which the feature is active. Those on which it is not are the expert's tokens "
        "as well.": spread(active),
        "Those are nats. Bits have base 2.": spread(mean) * LN2,
        "You divided by the largest possible entropy. The entropy itself is asked for, in bits.": spread(mean)
        / (torch.tensor(float(n)).log() / LN2),
        "That is the effective number of experts, 2 to the entropy.": 2 ** spread(mean),
        "That is the share of the expert it likes best.": share.amax(0),
        "The sign is turned round.": -spread(mean),
        "A softmax was taken over the means. Divide them by their sum.": torch.where(
            torch.isnan(share).any(0), torch.nan, spread(mean.softmax(0))
        ),
    }
