"""Checks of the chapter on experts: nulls in which the topics are dealt out anew, and to whom."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from utils.grading import exercise, expect_close, expect_shape, fail
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.experts_counted import LN2, informed
from utils.grading.checks.superposition import Student, expect_parts, fresh
from utils.grading.student import same

DRAWS = 300
Places = tuple[Tensor, Tensor, Tensor]  # the topic, the token and the expert of every place that counts


@exercise(
    "experts.given_token",
    title="What the token had already said",
    points=3,
    minutes=30,
    difficulty=3,
    hints=[
        "Bring everything to three columns first: topic, token and expert of the places that count. A place counts if "
        "its token does not stand earlier in the same sequence. Then write the conditional information as a function "
        "of the three.",
        "Conditional information: for each token the mutual information in its own little table, weighted by how many "
        "of all places are that token; or H(token, topic) + H(token, expert) − H(token, topic, expert) − H(token). A "
        "draw puts the topics of one token's places in a random order, and does so for every token.",
        "first = ~(token[:, :, None] == token[:, None, :]).tril(-1).any(-1); label, expert, token = (of[first] for of "
        "in (topic[:, None].expand_as(token), expert, token)), all three then sorted by token; order = "
        "torch.randperm(len(token), generator=g); order = order[token[order].argsort(stable=True)] leaves the tokens "
        "as they are, and label[order] is dealt within each; added = value - null.mean()",
    ],
)
def check_given_token(student: Student) -> None:
    g = fresh()
    seed = int(torch.randint(0, 2**31, (), generator=g))
    for plant in ("token", "topic"):
        drawn = _sequences(g, plant)
        while _unclear(drawn, plant, g):
            drawn = _sequences(g, plant)
        got = student(*drawn, DRAWS, seed)
        expect_parts(got, 3, "Return three things, (value, null, added): a number, a tensor and a number.")
        values = _conditional(*drawn)
        right = values.pop("")
        expect_close(
            got[0],
            right,
            mistakes=values,
            otherwise="value differs: the plug-in information of topic and expert at each token, over first places, "
            "averaged with the weight of how often the token occurs there.",
            what="value",
            atol=1e-4,
        )
        null = got[1]
        expect_shape(null, (DRAWS,), "null")
        _expect_exchanged(student, seed, g)
        _expect_dealt(null.double(), right, _dealt(drawn, g))
        added = _added(right, null.double())
        expect_close(
            got[2],
            added.pop(""),
            mistakes=added,
            otherwise="added differs: value minus the mean of null.",
            what="added",
        )
    if not same(student(*drawn, DRAWS, seed)[1], null):
        fail("The same seed gives another null. Make a generator with it and draw from nothing else.")
    if same(student(*drawn, DRAWS, seed + 1)[1], null):
        fail("Another seed gives the same null. Make a generator with the argument seed.")


def _sequences(g: torch.Generator, plant: str) -> Places:
    """Topics that prefer some tokens, and routes by the token or by the topic, with noise; some numbers are not used.

    The topic of every sequence; the token and the expert of every place.
    """
    sequences, pos, topics, tokens, experts = 12, 9, 3, 7, 4
    topic = torch.arange(sequences)[torch.randperm(sequences, generator=g)] % topics
    own = 2 * topic[:, None] + torch.randint(0, 2, (sequences, pos), generator=g)
    anything = torch.randint(0, tokens, (sequences, pos), generator=g)
    token = torch.where(torch.rand(sequences, pos, generator=g) < 0.5, own, anything)
    home = token % experts if plant == "token" else topic[:, None].expand_as(token)
    lost = torch.randint(0, experts, (sequences, pos), generator=g)
    return topic, 2 * token + 1, torch.where(torch.rand(sequences, pos, generator=g) < 0.6, home, lost)


def _pairs(g: torch.Generator) -> Places:
    """Sequences in pairs of the same tokens and of different topics; some tokens come again in their sequence.

    At 20 of the 36 tokens the two experts differ, too, and such a token seems to tell a bit.
    """
    pairs, pos, experts = 3, 12, 5
    topic = torch.tensor([[0, 1], [1, 2], [2, 0]])[torch.randperm(pairs, generator=g)]
    token = torch.arange(pairs * pos).view(pairs, 1, pos).expand(pairs, 2, pos)
    here = torch.randint(0, experts, (pairs * pos,), generator=g)
    differs = torch.randperm(pairs * pos, generator=g) < 20
    there = (here + torch.randint(1, experts, here.shape, generator=g) * differs) % experts
    expert = torch.stack([here.view(pairs, pos), there.view(pairs, pos)], 1)
    order = torch.rand(token.shape, generator=g).argsort(2)
    again = torch.randint(0, pos, (pairs, 2, 3), generator=g)
    token, expert = token.gather(2, order), expert.gather(2, order)
    token = torch.cat([token, token.gather(2, again)], 2).flatten(0, 1)
    expert = torch.cat([expert, torch.randint(0, experts, again.shape, generator=g)], 2).flatten(0, 1)
    return topic.flatten(), token, expert


def _unclear(drawn: Places, plant: str, g: torch.Generator) -> bool:
    """Whether two mistakes look alike, or the value is on the wrong side of its null."""
    values = _conditional(*drawn)
    more = values[""] - float(_dealt(drawn, g).mean())
    return crowded(*values.values()) or (more > -0.03 if plant == "token" else more < 0.03)


def _repeated(token: Int[Tensor, "sequence pos"]) -> Tensor:
    """Whether a place's token stands earlier in its sequence."""
    return (token[:, :, None] == token[:, None, :]).tril(-1).any(-1)


def _first(topic: Tensor, token: Tensor, expert: Tensor) -> Places:
    """The places that count."""
    first = ~_repeated(token)
    return topic[:, None].expand_as(token)[first], token[first], expert[first]


def _every(topic: Tensor, token: Tensor, expert: Tensor) -> Places:
    return topic[:, None].expand_as(token).flatten(), token.flatten(), expert.flatten()


def _tables(topic: Tensor, token: Tensor, expert: Tensor) -> Tensor:
    """Counts `[*draw token topic expert]` of places `[*draw place]`."""
    sizes = [int(of.max()) + 1 for of in (token, topic, expert)]
    cells = (token * sizes[1] + topic) * sizes[2] + expert
    counts = torch.zeros(*cells.shape[:-1], sizes[0] * sizes[1] * sizes[2])
    return counts.scatter_add(-1, cells, torch.ones(cells.shape)).unflatten(-1, sizes)


def _conditional(topic: Tensor, token: Tensor, expert: Tensor) -> dict[str, float]:
    """Mistake → the value that it would give; the right one under no mistake."""
    table, everywhere = (_tables(*of(topic, token, expert)) for of in (_first, _every))
    last = _tables(*_first(topic, token.flip(1), expert.flip(1)))
    by_token, by_topic = table.sum(1), table.sum(0)
    right, plain = float(informed(table)), float(informed(by_topic[None]))
    return {
        "": right,
        "Those are nats. Bits have base 2.": right * LN2,
        "You counted every place. Where a token comes again in its sequence, only its first place counts.": float(
            informed(everywhere)
        ),
        "You counted the last place of a token in its sequence. Take the first.": float(informed(last)),
        "That is what the topic tells about the expert, whatever the token. Compare only places with the same token.": (
            plain
        ),
        "That is what the token adds for who knows the topic. It is the other way round.": float(
            informed(table.transpose(0, 1))
        ),
        "All tokens weigh the same in yours, the rare ones too. Weight each by how often it occurs.": float(
            informed(table[table.sum((1, 2)) > 0][:, None]).mean()
        ),
        "You subtracted what the token says about the expert from what the topic says. They overlap, so that is "
        "something else: compare only places with the same token.": plain - float(informed(by_token[None])),
        "That is what token and topic say together. What the token says has to be taken off.": right
        + float(informed(by_token[None])),
    }


def _measured(label: Tensor, token: Tensor, expert: Tensor) -> Float[Tensor, "draw"]:
    """The value of every draw; what is the same for all draws has only one axis."""
    return informed(_tables(*torch.broadcast_tensors(label, token, expert)))


def _dealt(drawn: Places, g: torch.Generator) -> Float[Tensor, "draw"]:
    """The null: topics in another order among the places of each token."""
    label, token, expert = _first(*drawn)
    place = token.argsort(stable=True).expand(DRAWS, -1)
    order = (token + torch.rand(DRAWS, len(token), generator=g)).argsort(1)  # by token, at random within it
    return _measured(torch.empty_like(place).scatter_(1, place, label[order]), token, expert)


def _wrongly_dealt(drawn: Places, g: torch.Generator) -> dict[str, Float[Tensor, "draw"]]:
    """Mistake → a null that it would give, for tokens that have two places each."""
    label, token, expert = _first(*drawn)
    order = torch.rand(DRAWS, len(token), generator=g).argsort(1)
    sequences = torch.rand(DRAWS, len(drawn[0]), generator=g).argsort(1)
    sequence = torch.arange(len(drawn[0]))[:, None].expand_as(drawn[1])[~_repeated(drawn[1])]
    partners = token.argsort(stable=True).view(-1, 2)[token]
    either = torch.randint(0, 2, order.shape, generator=g)
    return {
        "You dealt topics out over all places. A token then gets topics that it never has: deal them out among the "
        "places of the same token.": _measured(label[order], token, expert),
        "You dealt experts out over all places. What the token says about the expert is then lost as well: deal out "
        "among the places of the same token.": _measured(label, token, expert[order]),
        "You dealt topics out to whole sequences, so that tokens got other topics than they have. That is the next "
        "exercise; here deal out among the places of the same token.": _measured(
            drawn[0][sequences][:, sequence], token, expert
        ),
        "Topics were drawn with replacement. Each token keeps the topics that it has, each as often.": _measured(
            label[partners.expand(DRAWS, -1, -1).gather(2, either[..., None])[..., 0]], token, expert
        ),
    }


def _expect_exchanged(student: Student, seed: int, g: torch.Generator) -> None:
    """Where every token has two places, and they differ in topic, dealing out can only exchange the two."""
    drawn = _pairs(g)
    wrong = _wrongly_dealt(drawn, g)
    while any(_alike(one, other) for one, other in combinations(wrong.values(), 2)):
        drawn = _pairs(g)
        wrong = _wrongly_dealt(drawn, g)
    null = student(*drawn, DRAWS, seed)[1]
    expect_shape(null, (DRAWS,), "null")
    if bool((null.double() - _conditional(*drawn)[""]).abs().max() < 1e-4):
        return
    nearest = min(wrong, key=lambda sentence: float((null.double().mean() - wrong[sentence].mean()).abs()))
    if _alike(null.double(), wrong[nearest]):
        fail(nearest)
    fail(
        "Where every token comes in two sequences, with two topics, dealing out within a token can only exchange the "
        "two, and every draw is as large as value. Yours are not."
    )


def _expect_dealt(null: Float[Tensor, "draw"], value: float, right: Float[Tensor, "draw"]) -> None:
    if torch.isnan(null).any():
        fail("null contains NaN (not a number): an empty cell of a table contributes 0.")
    if bool((null - value).abs().max() < 1e-4):
        fail(
            "Every draw gives the value itself. All tokens of a sequence have its topic, so shuffling inside of a "
            "sequence changes nothing: deal topics out among the places of the same token, which are in different "
            "sequences."
        )
    if len(null.mul(1e5).round().unique()) < 10:  # 30 to 60 is usual
        fail("Your draws repeat themselves. Deal the topics of each token out anew for every draw.")
    if not _alike(null, right):
        fail(
            "The draws of null are, on average, not as large as they should be: put the topics of each token's first "
            "places in a random order, each token for itself, and measure as you did for value."
        )


def _alike(one: Float[Tensor, "draw"], other: Float[Tensor, "draw"]) -> bool:
    """Whether two nulls have the same mean, as far as draws can tell."""
    error = (one.var() / len(one) + other.var() / len(other)).sqrt()
    return bool((one.mean() - other.mean()).abs() < 6 * error)


def _added(value: float, null: Float[Tensor, "draw"]) -> dict[str, float]:
    """Mistake → what it would say is added; the right answer under no mistake."""
    mean = float(null.mean())
    found = {
        "": value - mean,
        "Nothing was subtracted: added is value less the mean of null.": value,
        "That is the mean of null. Subtract it from value.": mean,
        "The sign is turned round.": mean - value,
        "You subtracted the largest draw. On average chance does as well as the mean.": value - float(null.max()),
        "You divided by the mean of null. Subtract it.": value / mean,
    }
    if value < mean:
        found["Negative values were set to 0. Then nothing is estimated as more than nothing, on average: let it be "
              "negative."] = 0.0  # fmt: skip
    return found


SIZES = (4, 3, 2)  # sequences of each topic: 1,260 ways to deal the topics out


@exercise(
    "experts.topic_null",
    title="What must stay together",
    points=3,
    minutes=25,
    difficulty=3,
    hints=[
        "What would be different if topics had nothing to do with routes? Any sequence might have had any topic. But "
        "it would still be one sequence: its tokens would still share one topic, and still resemble each other.",
        "topic[order] with order = torch.randperm(number of sequences) moves whole rows. A new order for every draw, "
        "from one generator with the given seed. The real value counts as one more draw, in the numerator and in the "
        "denominator.",
        "g = torch.Generator().manual_seed(seed); null = torch.stack([bits(topic[torch.randperm(len(topic), "
        "generator=g)], expert) for _ in range(draws)]), where bits is information_in of the table of counts; p = (1 + "
        "(null >= value - 1e-9).sum()) / (1 + draws)",
    ],
)
def check_topic_null(student: Student) -> None:
    g = fresh()
    topic, expert = _routes(g)
    exact, value = _every_deal(expert), _value(topic, expert)
    while not 0.02 < float((exact >= value - 1e-9).double().mean()) < 0.6:
        topic, expert = _routes(g)
        exact, value = _every_deal(expert), _value(topic, expert)
    seed = int(torch.randint(0, 2**31, (), generator=g))
    got = student(topic, expert, DRAWS, seed)
    expect_parts(got, 3, "Return three things, (value, null, p): a number, a tensor and a number.")
    expect_close(
        got[0],
        value,
        mistakes={
            "Those are nats. Bits have base 2.": value * LN2,
        },
        otherwise="value differs: the plug-in mutual information of topic and expert over all tokens, in bits.",
        what="value",
        atol=1e-4,
    )
    null = got[1]
    expect_shape(null, (DRAWS,), "null")
    _expect_null(null.double(), float(value), exact, _tokens_dealt(topic, expert, g))
    if not same(student(topic, expert, DRAWS, seed)[1], null):
        fail("The same seed gives another null. Make a generator with it and draw from nothing else.")
    if same(student(topic, expert, DRAWS, seed + 1)[1], null):
        fail("Another seed gives the same null. Make a generator with the argument seed.")
    for other in range(2, 40):
        if not bool(((got[1] - value).abs() < 1e-6).any()):
            break
        got = student(topic, expert, DRAWS, seed + other)  # there was a tie, which rounding may decide either way
    _expect_p(got[2], int((got[1] > value).sum()))


def _routes(g: torch.Generator) -> tuple[Int[Tensor, "sequence pos"], Int[Tensor, "sequence pos"]]:
    """Sequences that prefer experts of their own, whatever their topic."""
    sequences, pos, experts = sum(SIZES), 14, 4
    of = torch.repeat_interleave(torch.randperm(3, generator=g), torch.tensor(SIZES))
    topic = of[torch.randperm(sequences, generator=g)][:, None].expand(sequences, pos).clone()
    likes = torch.randn(sequences, experts, generator=g).mul(1.3).softmax(-1)
    return topic, torch.multinomial(likes, pos, replacement=True, generator=g)


def _value(topic: Tensor, expert: Tensor) -> Tensor:
    counts = torch.zeros(1, int(topic.max()) + 1, int(expert.max()) + 1)
    ones = torch.ones(topic.numel())
    counts[0].index_put_((topic.flatten(), expert.flatten()), ones, accumulate=True)
    return informed(counts)


@cache
def _deals() -> Int[Tensor, "deal sequence topic"]:
    """Every way to deal the topics out to the sequences, 1 for the topic that a sequence gets."""
    rows, deals = range(sum(SIZES)), []
    for first in combinations(rows, SIZES[0]):
        for second in combinations([row for row in rows if row not in first], SIZES[1]):
            deals.append([0 if row in first else 1 if row in second else 2 for row in rows])
    return one_hot(torch.tensor(deals))


def _every_deal(expert: Int[Tensor, "sequence pos"]) -> Float[Tensor, "deal"]:
    """The value that each deal would give."""
    by_sequence = one_hot(expert).sum(1).double()
    return informed((_deals().double().mT @ by_sequence)[:, None])


def _tokens_dealt(topic: Tensor, expert: Tensor, g: torch.Generator) -> float:
    """The mean value if topics are dealt out to tokens."""
    flat = topic.flatten()
    values = [_value(flat[torch.randperm(len(flat), generator=g)], expert) for _ in range(20)]
    return float(torch.stack(values).mean())


def _expect_null(null: Float[Tensor, "draw"], value: float, exact: Float[Tensor, "deal"], loose: float) -> None:
    if torch.isnan(null).any():
        fail("null contains NaN (not a number): an empty cell of a table contributes 0.")
    if bool((null - value).abs().max() < 1e-4):
        fail(
            "Every draw gives the value itself. All tokens of a sequence have its topic, so shuffling inside of a "
            "sequence changes nothing: deal topics out to other sequences."
        )
    ordered = exact.sort().values
    place = torch.searchsorted(ordered, null).clamp(1, len(ordered) - 1)
    known = torch.minimum((null - ordered[place]).abs(), (null - ordered[place - 1]).abs()) < 1e-5
    if not bool(known.all()):
        if abs(float(null.mean()) - loose) < abs(float(null.mean()) - float(exact.mean())):
            fail(
                "You dealt topics out to tokens one by one, as if the tokens of a sequence were independent. They are "
                "not, and your null is far too narrow: move whole sequences."
            )
        fail(
            "Some draws cannot be had by dealing out the topics that were given: each topic has to stay with as many "
            "sequences as it had, and every sequence with one topic. Do not draw with replacement."
        )
    different = len(null.mul(1e5).round().unique())
    if different < 60:
        fail(f"Your draws have only {different} different values. Put the sequences in a random order for each draw.")
    error = float(exact.std()) / DRAWS**0.5
    if abs(float(null.mean()) - float(exact.mean())) > 6 * error:
        fail("Your draws stay too near to the topics as they were. Put all sequences in a random order each time.")


def _expect_p(got: object, reached: int) -> None:
    expect_close(
        got,
        (1 + reached) / (1 + DRAWS),
        mistakes={
            "The real value belongs to the draws as well: add 1 above and below. A p of 0 would claim more than draws "
            "can show.": reached / DRAWS,
            "The 1 is missing in the numerator: the real value reaches itself.": reached / (1 + DRAWS),
            "The 1 is missing in the denominator.": (1 + reached) / DRAWS,
            "That is the share of draws that stay below the value. Count those that reach it.": 1 - reached / DRAWS,
            "You counted the draws that stay below the value. Count those that reach it.": (1 + DRAWS - reached)
            / (1 + DRAWS),
            "You doubled it. Mutual information is large in one direction only.": 2 * (1 + reached) / (1 + DRAWS),
            "That is a number of draws. Divide by 1 + draws.": float(reached),
        },
        otherwise="p differs: one more than the draws that reach the value, over one more than all draws.",
        what="p",
        rtol=1e-6,
        atol=1e-6,
    )
