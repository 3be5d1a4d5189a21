"""Answers about nulls for topics: other right ones, and wrong ones that people give."""

from __future__ import annotations

import random
from collections import Counter
from math import log, log2

import torch

from utils.grading.mutants import Answers, Mutant

# --- given_token -----------------------------------------------------------------------------------------------------


def _new(token):
    """Places whose token does not come earlier in its row."""
    kept = torch.zeros(token.shape, dtype=torch.bool)
    for row, tokens in enumerate(token.tolist()):
        for i, x in enumerate(tokens):
            kept[row, i] = x not in tokens[:i]
    return kept


def _old(token):
    return _new(token.flip(1)).flip(1)


def _everywhere(token):
    return torch.ones(token.shape, dtype=torch.bool)


def _h(*columns):
    counts = torch.tensor(list(Counter(zip(*(c.tolist() for c in columns), strict=True)).values()), dtype=torch.float64)
    share = counts / counts.sum()
    return float(-(share * share.log2()).sum())


def _told(t, x, e):
    return _h(x, t) + _h(x, e) - _h(x, t, e) - _h(x)


def _plainly(t, x, e):
    return _h(t) + _h(e) - _h(t, e)


def _evenly(t, x, e):
    """The mean over tokens with all of them weighing the same."""
    return sum(_plainly(t[x == a], None, e[x == a]) for a in x.unique()) / len(x.unique())


def _within(t, x, e, s, g):
    """Topics in another order at each token."""
    t = t.clone()
    for a in x.unique():
        at = (x == a).nonzero()[:, 0]
        t[at] = t[at[torch.randperm(len(at), generator=g)]]
    return t, x, e


def _experts_within(t, x, e, s, g):
    """The same null: it is the pairing that is made anew."""
    e, _, _ = _within(e, x, t, s, g)
    return t, x, e


def _replaced(t, x, e, s, g):
    t = t.clone()
    for a in x.unique():
        at = (x == a).nonzero()[:, 0]
        t[at] = t[at[torch.randint(0, len(at), (len(at),), generator=g)]]
    return t, x, e


def _anywhere(t, x, e, s, g):
    return t[torch.randperm(len(t), generator=g)], x, e


def _experts_anywhere(t, x, e, s, g):
    return t, x, e[torch.randperm(len(e), generator=g)]


def _rows(t, x, e, s, g):
    """Whole sequences get another topic."""
    names = torch.stack([t[s == row][0] for row in range(int(s.max()) + 1)])
    return names[torch.randperm(len(names), generator=g)][s], x, e


def _in_rows(t, x, e, s, g):
    order = (s + torch.rand(len(s), generator=g)).argsort()
    back = s.argsort(stable=True)
    return torch.empty_like(t).index_copy_(0, back, t[order]), x, e


def _thrice_dealt(t, x, e, s, g):
    """A new generator in every draw, and with few seeds."""
    return _within(t, x, e, s, torch.Generator().manual_seed(int(torch.randint(0, 3, (), generator=g))))


def _given(
    keep=_new,
    value=_told,
    deal=_within,
    added=lambda value, null: value - null.mean(),
    generator=lambda seed: torch.Generator().manual_seed(seed),
    null_keep=None,
):
    """The right answer with one of its pieces replaced."""

    def answer(topic, token, expert, draws, seed):
        def columns(keep):
            rows = torch.arange(len(token))[:, None].expand_as(token)
            return [of[keep(token)] for of in (topic[:, None].expand_as(token), token, expert, rows)]

        g, dealt_from = generator(seed), columns(null_keep or keep)
        found = value(*columns(keep)[:3])
        null = torch.tensor([value(*deal(*dealt_from, g)) for _ in range(draws)], dtype=torch.float64)
        return found, null, float(added(found, null))

    return answer


def given_by_lists(topic, token, expert, draws, seed):
    """Python's own shuffle, and the definition: at each token the information in its little table."""
    dice = random.Random(seed)
    at: dict[int, list[tuple[int, int]]] = {}
    for name, words, routes in zip(topic.tolist(), token.tolist(), expert.tolist(), strict=True):
        for i, (word, e) in enumerate(zip(words, routes, strict=True)):
            if word not in words[:i]:
                at.setdefault(word, []).append((name, e))
    n = sum(map(len, at.values()))

    def bits(places):
        cells, m = Counter(places), len(places)
        rows, columns = Counter(a for a, _ in places), Counter(b for _, b in places)
        return sum(c / n * log2(c * m / (rows[a] * columns[b])) for (a, b), c in cells.items())

    def deal(places):
        names = [name for name, _ in places]
        dice.shuffle(names)
        return list(zip(names, [e for _, e in places], strict=True))

    value = sum(map(bits, at.values()))
    null = [sum(bits(deal(places)) for places in at.values()) for _ in range(draws)]
    return value, torch.tensor(null), value - sum(null) / draws


# --- topic_null ------------------------------------------------------------------------------------------------------


def _bits(topic, expert):
    n = int(expert.max()) + 1
    counts = torch.bincount((topic * n + expert).flatten(), minlength=(int(topic.max()) + 1) * n).view(-1, n)
    share = counts.double() / counts.sum()
    parts = [torch.special.entr(of).sum() for of in (share.sum(0), share.sum(1), share)]
    return (parts[0] + parts[1] - parts[2]) / log(2)


def _whole(topic, g):
    return topic[torch.randperm(len(topic), generator=g)]


def _null(deal=_whole, bits=_bits, p=None, generator=lambda seed: torch.Generator().manual_seed(seed), pair=None):
    """The right answer with one of its pieces replaced."""

    def answer(topic, expert, draws, seed):
        g = generator(seed)
        value = bits(topic, expert)
        dealt = pair or (lambda g: bits(deal(topic, g), expert))
        null = torch.stack([dealt(g) for _ in range(draws)])
        reached = int((null >= value - 1e-9).sum())
        return value, null, p(reached, draws) if p else (1 + reached) / (1 + draws)

    return answer


def null_by_lists(topic, expert, draws, seed):
    """Python's own shuffle, and the definition of mutual information."""
    dice, names, routes = random.Random(seed), topic[:, 0].tolist(), expert.tolist()

    def bits(names):
        cells = Counter((name, e) for name, route in zip(names, routes, strict=True) for e in route)
        rows = Counter(name for name, route in zip(names, routes, strict=True) for _ in route)
        columns, n = Counter(e for route in routes for e in route), cells.total()
        return sum(c / n * log2(c * n / (rows[a] * columns[b])) for (a, b), c in cells.items())

    value, null = bits(names), []
    for _ in range(draws):
        dice.shuffle(names)
        null.append(bits(names))
    return value, torch.tensor(null), (1 + sum(v >= value - 1e-9 for v in null)) / (1 + draws)


def null_of_routes(topic, expert, draws, seed):
    """Deals the routes out instead: the same thing."""
    g = torch.Generator().manual_seed(seed)
    null = torch.stack([_bits(topic, _whole(expert, g)) for _ in range(draws)]).float()
    value = _bits(topic, expert).float()
    return value, null, (1 + (null >= value - 1e-6).sum()) / (1 + draws)


def _tokens(topic, g):
    return topic.flatten()[torch.randperm(topic.numel(), generator=g)].view_as(topic)


def _inside(topic, g):
    orders = torch.rand(topic.shape, generator=g).argsort(1)
    return topic.gather(1, orders)


def _by_position(topic, g):
    return topic.gather(0, torch.rand(topic.shape, generator=g).argsort(0))


def _again(topic, g):
    return topic[torch.randint(0, len(topic), (len(topic),), generator=g)]


def _turned(topic, g):
    return topic.roll(int(torch.randint(1, len(topic), (), generator=g)), 0)


def _one_swap(topic, g):
    a, b = torch.randperm(len(topic), generator=g)[:2].tolist()
    order = list(range(len(topic)))
    order[a], order[b] = order[b], order[a]
    return topic[order]


def _once(topic, g):
    return topic[torch.randperm(len(topic), generator=torch.Generator().manual_seed(7))]


def _unused(seed):
    return torch.Generator().manual_seed(0)


def _unseeded(seed):
    return None


ANSWERS = {
    "experts.given_token": Answers(
        alternatives=[_given(), _given(deal=_experts_within), given_by_lists],
        mutants=[
            Mutant(_given(value=lambda *places: _told(*places) * log(2)), "Those are nats"),
            Mutant(_given(_everywhere), "You counted every place"),
            Mutant(_given(_old), "the last place of a token"),
            Mutant(_given(value=_plainly), "whatever the token"),
            Mutant(_given(value=lambda t, x, e: _told(x, t, e)), "for who knows the topic"),
            Mutant(_given(value=_evenly), "weigh the same"),
            Mutant(_given(value=lambda t, x, e: _plainly(t, x, e) - _plainly(x, t, e)), "something else"),
            Mutant(_given(value=lambda t, x, e: _told(t, x, e) + _plainly(x, t, e)), "token and topic say together"),
            Mutant(_given(deal=_anywhere), "You dealt topics out over all places"),
            Mutant(_given(deal=_experts_anywhere), "You dealt experts out over all places"),
            Mutant(_given(deal=_rows), "to whole sequences"),
            Mutant(_given(deal=_replaced), "with replacement"),
            Mutant(_given(deal=_in_rows), "Every draw"),
            Mutant(_given(deal=_thrice_dealt), "Your draws repeat themselves"),
            Mutant(_given(null_keep=_everywhere), "every draw is as large as value"),
            Mutant(_given(generator=lambda seed: torch.Generator().manual_seed(0)), "Another seed gives the same null"),
            Mutant(_given(generator=lambda seed: None), "The same seed gives another null"),
            Mutant(_given(added=lambda value, null: value), "Nothing was subtracted"),
            Mutant(_given(added=lambda value, null: null.mean()), "the mean of null. Subtract it"),
            Mutant(_given(added=lambda value, null: null.mean() - value), "The sign is turned round"),
            Mutant(_given(added=lambda value, null: value - null.max()), "the largest draw"),
            Mutant(_given(added=lambda value, null: value / null.mean()), "You divided"),
            Mutant(_given(added=lambda value, null: max(0, value - null.mean())), "Negative values were set to 0"),
            Mutant(lambda *given: _given()(*given)[::2], "Return three things"),
            Mutant(lambda t, x, e, draws, seed: _given()(t, x, e, 7, seed), "Null should have shape [300]"),
        ],
    ),
    "experts.topic_null": Answers(
        alternatives=[_null(), null_by_lists, null_of_routes],
        mutants=[
            Mutant(_null(_tokens), "to tokens one by one"),
            Mutant(_null(_by_position), "to tokens one by one"),
            Mutant(_null(_inside), "Every draw gives the value itself"),
            Mutant(_null(_again), "Do not draw with replacement"),
            Mutant(_null(_turned), "different values"),
            Mutant(_null(_one_swap), "different values"),
            Mutant(_null(_once), "different values"),
            Mutant(_null(generator=_unused), "Another seed gives the same null"),
            Mutant(_null(generator=_unseeded), "The same seed gives another null"),
            Mutant(_null(bits=lambda topic, expert: _bits(topic, expert) * log(2)), "Those are nats"),
            Mutant(_null(p=lambda reached, draws: reached / draws), "above and below"),
            Mutant(_null(p=lambda reached, draws: reached / (1 + draws)), "missing in the numerator"),
            Mutant(_null(p=lambda reached, draws: (1 + reached) / draws), "missing in the denominator"),
            Mutant(_null(p=lambda reached, draws: 1 - reached / draws), "stay below the value"),
            Mutant(_null(p=lambda reached, draws: 2 * (1 + reached) / (1 + draws)), "You doubled it"),
            Mutant(_null(p=lambda reached, draws: reached), "number of draws"),
            Mutant(lambda *given: _null()(*given)[::2], "Return three things"),
            Mutant(lambda t, e, draws, seed: _null()(t, e, draws // 2, seed), "Null should have shape [300]"),
        ],
    ),
}
