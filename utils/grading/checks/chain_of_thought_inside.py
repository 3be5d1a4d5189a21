"""Checks of the chapter on chains of thought: a text that the answer may not look at, and one with other contents."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from utils.grading import exercise, expect_close, expect_equal, expect_shape
from utils.grading.checks.chain_of_thought import pick
from utils.grading.checks.superposition import Student, expect_parts, fresh

HEADS, POSITIONS, D_HEAD = 3, 11, 5


@exercise(
    "chain_of_thought.knock_out",
    title="Do not look there",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "An attention row is a probability distribution. What is it over the keys that are left? And which (query, "
        "key) pairs are concerned: some rows, and in them some columns.",
        "forbidden = queries[:, None] & hidden: those pairs, beside the future. A score of −inf before the softmax "
        "takes a key out, and the softmax itself gives the others a sum of 1.",
        "n = len(queries); future = torch.ones(n, n).triu(1).bool(); blocked = future | (queries[:, None] & hidden); "
        "return scores.masked_fill(blocked, float('-inf')).softmax(-1) @ values",
    ],
)
def check_knock_out(student: Student) -> None:
    scores, values, queries, hidden = _head(fresh())
    got = student(scores, values, queries, hidden)
    expect_shape(got, values.shape, "what the heads give")
    expect_close(
        got,
        knocked(scores, values, queries, hidden),
        mistakes=_wrong_knocks(scores, values, queries, hidden),
        otherwise="What the heads give differs: causal attention, in which the chosen queries miss the hidden keys.",
        what="what the heads give",
    )
    strong = scores + 400.0 * hidden
    expect_close(
        student(strong, values, queries, hidden),
        knocked(strong, values, queries, hidden),
        otherwise="Wrong where a query had looked at hidden keys and nowhere else. What is left of its row after the "
        "softmax is rounded to 0, and cannot be divided by its sum: take the keys out before the softmax.",
        what="what the heads give",
    )


def _head(g: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores, values, which queries are concerned, and which keys they may not see; the first key can be seen."""
    scores = 2 * torch.randn(HEADS, POSITIONS, POSITIONS, generator=g)
    values = torch.randn(HEADS, POSITIONS, D_HEAD, generator=g)
    first = int(torch.randint(2, 5, (), generator=g))
    hidden = torch.zeros(POSITIONS, dtype=torch.bool)
    hidden[first : first + 4] = True
    queries = torch.zeros(POSITIONS, dtype=torch.bool)
    queries[[first + 3, first + 5]] = True  # one of the hidden positions is a query, too
    return scores, values, queries, hidden


def _future() -> Bool[Tensor, "query key"]:
    return torch.ones(POSITIONS, POSITIONS).triu(1).bool()


def knocked(
    scores: Tensor, values: Tensor, queries: Tensor, hidden: Tensor, pairs: Tensor | None = None, causal: bool = True
) -> Float[Tensor, "head query d_head"]:
    """What the heads give if those pairs are taken out before the softmax."""
    blocked = queries[:, None] & hidden if pairs is None else pairs
    blocked = blocked | _future() if causal else blocked
    return scores.masked_fill(blocked, float("-inf")).softmax(-1) @ values


def _wrong_knocks(scores: Tensor, values: Tensor, queries: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    """Mistake → what the heads would give."""
    pairs, future = queries[:, None] & hidden, _future()
    minus = scores.masked_fill(future, float("-inf"))
    whole = minus.softmax(-1)
    by_query = minus.masked_fill(pairs, float("-inf")).softmax(-2).nan_to_num()
    return {
        "The hidden keys got the weight 0 and the rest of the row was left as it was. Its sum is then less than 1, and "
        "the head gives less of everything: renormalise the row.": whole.masked_fill(pairs, 0) @ values,
        "The hidden keys' scores became 0. A score of 0 is looked at like any other: −inf is not.": (
            minus.masked_fill(pairs & ~future, 0).softmax(-1) @ values
        ),
        "Nobody sees the hidden keys in yours. Only the chosen queries should miss them: the text itself goes on "
        "reading itself.": knocked(scores, values, queries, hidden, hidden & ~torch.eye(POSITIONS).bool()),
        "All queries miss the hidden keys in yours, even those that have nothing else to see.": (
            knocked(scores, values, queries, hidden, hidden.expand(POSITIONS, POSITIONS))
        ),
        "The future can be seen. The scores come before the causal mask: apply it as well.": (
            knocked(scores, values, queries, hidden, causal=False)
        ),
        "Queries and keys are exchanged: rows are queries, and columns are keys.": (
            knocked(scores, values, queries, hidden, hidden[:, None] & queries)
        ),
        "The chosen queries see nothing but the hidden keys. It should be the other way round.": (
            knocked(scores, values, queries, hidden, queries[:, None] & ~hidden)
        ),
        "Nothing is hidden: that is the usual attention.": whole @ values,
        "A pair was taken out if its query is chosen or its key is hidden. Both must hold.": (
            knocked(scores, values, queries, hidden, queries[:, None] | hidden)
        ),
        "The softmax went over queries. Each query's row adds up to 1: the last axis.": by_query @ values,
        "Only the first head was changed. All heads are.": torch.cat(
            [knocked(scores, values, queries, hidden)[:1], (whole @ values)[1:]]
        ),
    }


@exercise(
    "chain_of_thought.swap_cache",
    title="The same words, another memory",
    points=3,
    minutes=25,
    difficulty=3,
    hints=[
        "Two questions for every problem: may it be swapped at all, and which positions are swapped? Everything that "
        "is read, is read from the tensors as they were given.",
        "swapped = (first[donor] == first) & (length[donor] == length). Positions first … first + length − 1 are those "
        "of the text, a table [problem pos]. k[donor] are the donors' keys, row by row.",
        "swapped = (first[donor] == first) & (length[donor] == length); at = torch.arange(k.shape[1]); text = (at >= "
        "first[:, None]) & (at < (first + length)[:, None]); here = (text & swapped[:, None])[..., None, None]; return "
        "torch.where(here, k[donor], k), torch.where(here, v[donor], v), swapped",
    ],
)
def check_swap_cache(student: Student) -> None:
    k, v, first, length, donor = _caches(fresh())
    got = student(k, v, first, length, donor)
    expect_parts(got, 3, "Return three tensors, (k, v, swapped).")
    fits = (first[donor] == first) & (length[donor] == length)
    expect_shape(got[2], (len(k),), "swapped")
    expect_equal(
        got[2].to(torch.bool),
        fits,
        mistakes={
            "swapped is True for all. Where text and donor's text do not stand at the same positions, leave the "
            "problem as it is.": fits | True,
            "swapped compares where the texts begin, and not how long they are.": first[donor] == first,
            "swapped compares how long the texts are, and not where they begin.": length[donor] == length,
            "swapped compares where the texts end. They have to begin together as well.": (
                (first + length)[donor] == first + length
            ),
            "swapped is turned round: it marks the problems that cannot be swapped.": ~fits,
        },
        otherwise="swapped differs: True where donor's text begins where the problem's does and is as long.",
        what="swapped",
    )
    for name, part, cache in (("k", got[0], k), ("v", got[1], v)):
        expect_shape(part, cache.shape, name)
        expect_close(
            part,
            _swapped(cache, first, length, donor, fits),
            mistakes=_wrong_swaps(name, cache, first, length, donor, fits),
            otherwise=f"{name} differs: the donor's at the positions of the text, and the problem's own elsewhere.",
            what=name,
        )


def _caches(g: torch.Generator) -> tuple[Tensor, ...]:
    """Keys, values, where texts begin, how long they are, and whose contents each problem gets.

    Three problems give to each other in a ring, and two, with texts at other positions, exchange. Three have a donor
    whose text is as long but begins elsewhere, begins there but is shorter, or only ends there.
    """
    begin, words = pick((2, 3), g), pick((4, 5), g)
    first = torch.tensor([begin] * 3 + [begin + 1] * 3 + [begin, begin - 1])
    length = torch.tensor([words] * 3 + [words + 1] * 2 + [words, words + 1, words + 1])
    donor = torch.tensor([1, 2, 0, 4, 3, 0, 2, 1])
    order = torch.randperm(8, generator=g)
    place = order.argsort()
    k, v = torch.randn(2, 8, POSITIONS, HEADS, D_HEAD, generator=g)
    return k, v, first[order], length[order], place[donor[order]]


def _text(cache: Tensor, first: Tensor, length: Tensor, before: int = 0, after: int = 0) -> Bool[Tensor, "problem pos"]:
    """The positions of the texts, with some before them or after them."""
    at = torch.arange(cache.shape[1])
    return (at >= first[:, None] - before) & (at < (first + length)[:, None] + after)


def _swapped(
    cache: Tensor, first: Tensor, length: Tensor, donor: Tensor, fits: Tensor, before: int = 0, after: int = 0
) -> Tensor:
    here = _text(cache, first, length, before, after) & fits[:, None]
    return torch.where(here[..., None, None], cache[donor], cache)


def _wrong_swaps(
    name: str, cache: Tensor, first: Tensor, length: Tensor, donor: Tensor, fits: Tensor
) -> dict[str, Tensor]:
    """Mistake → the keys, or values, that it would give."""
    giving = torch.where(fits, donor, torch.arange(len(donor)))
    inverse = giving.argsort()
    chain, moved = cache.clone(), cache.clone()
    text = _text(cache, first, length)
    for i in range(len(cache)):
        if fits[i]:
            chain[i, text[i]] = chain[donor[i], text[i]]
        at = first[donor[i]] + torch.arange(int(length[i]))
        moved[i, text[i]] = cache[donor[i], at]
    other = "Keys" if name == "v" else "Values"
    return {
        f"{name} is as it was. {other} alone are half of the memory: a position is found by its key, and read by its "
        "value.": cache,
        f"{name}: the donor received instead of giving. Problem i gets the contents of donor[i].": (
            _swapped(cache, first, length, inverse, fits)
        ),
        f"{name}: one donor had been changed before it gave. Read everything from the tensors as they were given.": (
            chain
        ),
        f"{name}: problems were swapped whose texts stand elsewhere than their donors'.": (
            _swapped(cache, first, length, donor, fits | True)
        ),
        f"{name}: contents were moved to other positions. A key holds its position, so leave such problems alone.": (
            moved
        ),
        f"{name}: all positions were swapped, the problem with the text. Then the model simply reads the other problem."
        "": torch.where(fits[:, None, None, None], cache[donor], cache),
        f"{name}: everything up to the end of the text was swapped, the problem as well.": (
            _swapped(cache, first, length, donor, fits, before=POSITIONS)
        ),
        f"{name}: everything from the beginning of the text on was swapped, what comes after it as well.": (
            _swapped(cache, first, length, donor, fits, after=POSITIONS)
        ),
        f"{name}: one position too many was swapped, the one after the text.": (
            _swapped(cache, first, length, donor, fits, after=1)
        ),
        f"{name}: the first position of the text is missing.": _swapped(cache, first, length, donor, fits, before=-1),
        f"{name}: the last position of the text is missing.": _swapped(cache, first, length, donor, fits, after=-1),
        f"{name}: the text's positions became 0. Put the donor's there.": (
            torch.where((text & fits[:, None])[..., None, None], 0.0, cache)
        ),
        f"{name}: the positions of the first problem's text were used for all.": torch.where(
            (text[:1] & fits[:, None])[..., None, None], cache[donor], cache
        ),
    }
