"""Checks of the chapter on induction heads: what heads do, seen in their attention patterns.

The exercises about losses are checked in `induction_heads_losses`, those about weights in `induction_heads_weights`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape, fail

Student = Callable[..., Any]


def fresh() -> torch.Generator:
    """A generator that no submission can foresee."""
    return torch.Generator().manual_seed(secrets.randbits(62))


def random_patterns(batch: int, head: int, length: int, generator: torch.Generator) -> Float[Tensor, "b h query key"]:
    """Attention as a causal softmax makes it: rows sum to 1, nothing lies above the diagonal."""
    scores = 2 * torch.randn(batch, head, length, length, generator=generator)
    return scores.masked_fill(torch.ones(length, length).triu(1).bool(), float("-inf")).softmax(-1)


def _expect_one_per_head(got: Any, batch: int, head: int) -> None:
    if isinstance(got, Tensor) and got.shape == (batch, head):
        fail("There is one score per sequence and head here; average over the batch too, so that one per head is left.")
    if isinstance(got, Tensor) and got.shape == (batch,):
        fail("There is one score per sequence here. The axes are [batch head query key]: keep the head axis.")
    expect_shape(got, (head,), "the scores")


# --- Repeated random tokens ------------------------------------------------------------------------------------------


@exercise(
    "induction_heads.repeated_batch",
    title="Random tokens, said twice",
    points=1,
    minutes=10,
    difficulty=1,
    hints=[
        "Draw the first copy alone, [batch period]. Everything else is put beside it. For a vocabulary without BOS, "
        "ask how many tokens are left, and how to step over the hole.",
        "Draw numbers from 0 to d_vocab − 2 and add 1 to those that are at or above bos: the hole closes and every "
        "other token stays equally likely. `Tensor.repeat(1, copies)` lays whole copies end to end.",
        "once = torch.randint(0, d_vocab - 1, (batch, period), generator=g); once = once + (once >= bos); then "
        "torch.cat([torch.full((batch, 1), bos), once.repeat(1, copies)], dim=1), with "
        "g = torch.Generator().manual_seed(seed).",
    ],
)
def check_repeated_batch(student: Student) -> None:
    generator = fresh()
    d_vocab, batch, period, copies = 9, 6, 200, 3
    for bos in (int(torch.randint(1, d_vocab - 1, (1,), generator=generator)), d_vocab - 1, 0):
        seed = secrets.randbits(30)
        got = student(d_vocab, batch, period, copies, bos, seed)
        expect_shape(got, (batch, 1 + period * copies), "the batch")
        if got.dtype not in (torch.int64, torch.int32):
            fail(f"Token ids are whole numbers, and these are {got.dtype}. An embedding cannot look them up.")
        _expect_copies(got, batch, period, copies, bos)
        _expect_all_drawn(got[:, 1 : 1 + period], d_vocab, bos)
        if not torch.equal(got, student(d_vocab, batch, period, copies, bos, seed)):
            fail("The same seed gave two different batches. Draw from torch.Generator().manual_seed(seed).")
        if torch.equal(got, student(d_vocab, batch, period, copies, bos, seed + 1)):
            fail("Another seed gave the same batch, so the seed is not used.")


def _expect_copies(got: Tensor, batch: int, period: int, copies: int, bos: int) -> None:
    if not (got[:, 0] == bos).all():
        fail(f"Position 0 should hold the beginning token, {bos} here.")
    body = got[:, 1:]
    if (body == bos).any():
        fail("The beginning token is drawn again inside the sequence. It should stand at position 0 and nowhere else.")
    if (body[0] == body).all():
        fail("Every row of the batch holds the same tokens. Draw each row afresh.")
    in_place = body.reshape(batch, period, copies)
    if (in_place == in_place[..., :1]).all():
        fail("Each token is repeated where it stands (repeat_interleave). Whole copies should follow one another.")
    in_turn = body.reshape(batch, copies, period)
    if not (in_turn == in_turn[:, :1]).all():
        fail("The copies differ: draw one copy and repeat it, rather than drawing each.")


def _expect_all_drawn(once: Tensor, d_vocab: int, bos: int) -> None:
    if once.min() < 0 or once.max() >= d_vocab:
        fail(f"Tokens should lie from 0 to {d_vocab - 1} when d_vocab is {d_vocab}, and one of yours does not.")
    count = torch.bincount(once.flatten(), minlength=d_vocab)
    missing = [token for token in range(d_vocab) if count[token] == 0 and token != bos]
    if missing == [0]:
        fail(f"Token 0 is never drawn although BOS is {bos} here. Leave out bos, whatever its id.")
    if missing:
        fail(f"Token {missing[-1]} is never drawn. The upper end of torch.randint is exclusive.")
    even = once.numel() / (d_vocab - 1)  # 150 expected, standard deviation below 12
    if count.max() > 1.5 * even:
        fail(f"Token {int(count.argmax())} comes far too often. Replacing a drawn BOS by a fixed token is not uniform.")


# --- Scores of a pattern ---------------------------------------------------------------------------------------------


@exercise(
    "induction_heads.previous_token_score",
    title="Who looks one back?",
    points=1,
    minutes=10,
    difficulty=1,
    hints=[
        "One step back is a diagonal of the query × key matrix. Which one, and where does it start?",
        "pattern.diagonal(offset=-1, dim1=-2, dim2=-1) has one entry per query from 1 on. The first of them looks at "
        "position 0, and that one you were asked to leave out.",
        "return pattern.diagonal(offset=-1, dim1=-2, dim2=-1)[..., 1:].mean(dim=(0, -1))",
    ],
)
def check_previous_token_score(student: Student) -> None:
    generator = fresh()
    for batch, head, length in ((2, 3, 7), (1, 5, 4), (4, 2, 3)):
        pattern = random_patterns(batch, head, length, generator)
        got = student(pattern)
        _expect_one_per_head(got, batch, head)
        expect_close(
            got,
            _below(pattern, 1)[..., 1:].mean((0, -1)),
            mistakes=_previous_mistakes(pattern),
            otherwise="The scores differ. Average pattern[b, h, q, q − 1] over the batch and over queries from 2 on.",
        )


def _below(pattern: Tensor, back: int) -> Float[Tensor, "batch head query-back"]:
    """Attention `back` positions back; the first entry belongs to query `back`."""
    return pattern.diagonal(offset=-back, dim1=-2, dim2=-1)


def _previous_mistakes(pattern: Tensor) -> dict[str, Tensor]:
    batch, head, length, _ = pattern.shape
    kept = _below(pattern, 1)[..., 1:]
    return {
        "You kept query 1, whose previous token is BOS: heads rest there for other reasons.": (
            _below(pattern, 1).mean((0, -1))
        ),
        "That is the main diagonal: attention from each token to itself.": _below(pattern, 0)[..., 1:].mean((0, -1)),
        "These are zeros: offset +1 lies above the diagonal, in the future. Keys come last, so one step back is "
        "offset −1.": torch.zeros(head),
        "You added the attention up; a score is a mean, so that length does not matter.": kept.mean(0).sum(-1),
        "You averaged over all queries and keys. Only the entries one step back belong in the mean.": (
            kept.sum((0, -1)) / (batch * length * length)
        ),
        "That is attention two steps back.": _below(pattern, 2).mean((0, -1)),
    }


@exercise(
    "induction_heads.induction_score",
    title="The induction stripe",
    points=2,
    minutes=15,
    difficulty=1,
    hints=[
        "Write the positions of a short case on paper: BOS a b c a b c. From the second `a`, where does an induction "
        "head look, and how far back is that?",
        "The earlier copy is `period` back; what followed it is one step nearer: offset period − 1. A diagonal of "
        "that offset starts at query period − 1, inside the first copy, where there is nothing to find yet.",
        "stripe = pattern.diagonal(offset=1 - period, dim1=-2, dim2=-1) has its first entry at query period − 1; the "
        "second copy begins at query period + 1. So return stripe[..., 2:].mean(dim=(0, -1)).",
    ],
)
def check_induction_score(student: Student) -> None:
    generator = fresh()
    for batch, head, period, copies in ((2, 3, 4, 3), (3, 5, 6, 2), (2, 4, 1, 5)):
        pattern = random_patterns(batch, head, 1 + period * copies, generator)
        want = _below(pattern, period - 1)[..., 2:].mean((0, -1))
        got = student(pattern, period)
        _expect_one_per_head(got, batch, head)
        short = " This was a period of 1: the offset is 0 then." if period == 1 else ""
        expect_close(
            got,
            want,
            mistakes=_unlike(want, _induction_mistakes(pattern, period)),
            otherwise=f"The scores differ. Average pattern[b, h, q, q − period + 1] over q > period.{short}",
        )


def _induction_mistakes(pattern: Tensor, period: int) -> dict[str, Tensor]:
    stripe = _below(pattern, period - 1)
    later = stripe[..., 2:]
    return {
        "You looked `period` back. That is the same token's earlier copy (a duplicate-token head); an induction head "
        "looks at what came after it.": _below(pattern, period)[..., 1:].mean((0, -1)),
        "You looked period + 1 back. Back to the earlier copy, then one step forward: period − 1.": (
            _below(pattern, period + 1).mean((0, -1))
        ),
        "Your mean begins in the first copy, where no token has an earlier copy. Start at query period + 1: BOS takes "
        "position 0.": stripe.mean((0, -1)),
        "Your mean begins one query too early: BOS takes position 0, so the second copy starts at period + 1.": (
            stripe[..., 1:].mean((0, -1))
        ),
        "You divided by all queries, the first copy's too. A perfect head should score 1.": (
            later.sum((0, -1)) / (len(pattern) * pattern.shape[-1])
        ),
        "You kept the second copy and lost the later ones.": later[..., :period].mean((0, -1)),
        "You took the largest attention on the stripe. One lucky token would make a head; take the mean.": (
            later.amax((0, -1))
        ),
    }


def _unlike(want: Tensor, mistakes: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mistakes that show on these inputs: those whose value is not the right one by chance."""
    return {text: wrong for text, wrong in mistakes.items() if not torch.allclose(wrong, want, atol=1e-3)}


@exercise(
    "induction_heads.classify_heads",
    title="The impostor",
    points=3,
    minutes=25,
    difficulty=2,
    hints=[
        "What stays the same when the period changes? For an induction head, the score. For a positional head, the "
        "distance it looks back.",
        "Two questions per head. Is its induction score above the threshold at every period? If not: is there a "
        "distance, period − 1 for one of the periods, at which it looks above the threshold in every pattern?",
        "ind = torch.stack([induction_score(p, n) for p, n in zip(patterns, periods)]) is [period head], and "
        "(ind > threshold).all(0) is the first answer. For the second, for each n stack "
        "diagonal_score(p, n - 1) over all patterns, take (… > threshold).all(0), and combine over n with any.",
    ],
)
def check_classify_heads(student: Student) -> None:
    generator = fresh()
    for periods, copies in (([6, 9, 13], 4), ([11, 5], 5)):
        kinds = ["induction", "impostor", "previous", "sometimes", "weak", "duplicate", "elsewhere", "faint"]
        order = torch.randperm(len(kinds), generator=generator).tolist()
        kinds = ["induction", *(kinds[i] for i in order)]
        lengths = [1 + period * copies for period in periods]
        patterns = [_staged(kinds, p, periods, n, generator) for p, n in zip(periods, lengths, strict=True)]
        right = {"induction": "induction", "impostor": "positional"}
        want = [right.get(kind, "neither") for kind in kinds]
        got = student(patterns, list(periods), 0.5)
        if not isinstance(got, (list, tuple)) or not all(isinstance(label, str) for label in got):
            fail('Return a list of strings, one per head: "induction", "positional" or "neither".')
        if len(got) != len(want):
            fail(f"There are {len(want)} heads in these patterns, and you returned {len(got)} labels.")
        if unknown := sorted(set(got) - {"induction", "positional", "neither"}):
            fail(f'{unknown[0]!r} is no label here: use "induction", "positional" or "neither".')
        wrong = {(kind, label) for kind, label, expected in zip(kinds, got, want, strict=True) if label != expected}
        for case, sentence in _MISTAKEN.items():
            if case in wrong:
                fail(sentence)
    if list(student([_both(period, 6) for period in (6, 9)], [6, 9], 0.4)) != ["induction"]:
        fail(
            "A head that looks both where the repetition says and a fixed distance back, each with more than the "
            'threshold, is "induction": that question comes first, and "positional" only if its answer is no.'
        )


def _both(period: int, fixed: int) -> Float[Tensor, "batch head query key"]:
    """A head that gives 0.55 of its attention to the induction stripe and 0.42 to a fixed distance."""
    query = torch.arange(1 + 4 * period)
    pattern = torch.zeros(1, 1, len(query), len(query))
    pattern[..., 0] = 0.03
    for share, back in ((0.55, period - 1), (0.42, fixed - 1)):
        pattern[0, 0, query, (query - back).clamp(min=0)] += share
    return pattern


_MISTAKEN = {  # in the order in which to mention them
    ("induction", "positional"): "A head that follows the repetition at every period was called positional. The "
    "distance it looks back changes with the period; a positional head's does not.",
    ("induction", "neither"): "A head with a score of about 0.8 at every period should be called induction.",
    ("impostor", "induction"): "You were fooled: a head that always looks the same distance back was called induction, "
    "because its stripe is high at one period. Ask for a high score at every period.",
    ("impostor", "neither"): "A head that looks the same distance back in every pattern, and so scores high at one "
    "period, is the impostor: call it positional.",
    ("previous", "induction"): "A previous-token head was called induction.",
    ("previous", "positional"): "A previous-token head was called positional. Only a head whose fixed distance is "
    "period − 1 for one of the periods can pass for induction; mind the distance you test.",
    ("sometimes", "induction"): "A head with the induction stripe at all periods but one was called induction. The "
    "mean or the best over the periods forgives that; the smallest does not.",
    ("sometimes", "positional"): "A head was called positional although it does not look the same distance back in "
    "every pattern. Failing at one period is not enough: test the distance.",
    ("weak", "induction"): "A head with a score of about 0.3 was called induction at a threshold of 0.5.",
    ("weak", "positional"): "A head with a weak stripe at every period was called positional. Test its distance.",
    ("duplicate", "induction"): "A duplicate-token head, which looks `period` back, was called induction. What follows "
    "the earlier copy is period − 1 back.",
    ("duplicate", "positional"): "A duplicate-token head, which looks `period` back, was called positional.",
    ("elsewhere", "induction"): "A head with a fixed distance that fits none of the periods was called induction.",
    ("elsewhere", "positional"): "A head with a fixed distance that fits none of the periods was called positional. It "
    "fools nobody at these periods: neither.",
    ("faint", "induction"): "A head that gives 0.3 of its attention to a fixed distance was called induction.",
    ("faint", "positional"): "A head that gives 0.3 of its attention to a fixed distance was called positional at a "
    "threshold of 0.5.",
}


def _staged(
    kinds: list[str], period: int, periods: list[int], length: int, generator: torch.Generator
) -> Float[Tensor, "batch head query key"]:
    """Patterns of heads whose nature is known: most of the attention `back` positions back, the rest anywhere."""
    fixed = periods[0] - 1
    nowhere = max(periods) + 2
    back = {
        "induction": (0.8, period - 1),
        "impostor": (0.95, fixed),
        "previous": (0.9, 1),
        "sometimes": (0.97, period - 1) if period != periods[-1] else (0.9, 1),
        "weak": (0.3, period - 1),
        "duplicate": (0.9, period),
        "elsewhere": (0.9, nowhere),
        "faint": (0.3, fixed),
    }
    pattern = random_patterns(2, len(kinds), length, generator)
    pattern = 0.5 * pattern + 0.5 * torch.ones(length, length).tril() / torch.arange(1, length + 1)[:, None]
    for head, kind in enumerate(kinds):
        share, distance = back[kind]
        query = torch.arange(distance, length)
        pattern[:, head, distance:] *= 1 - share
        pattern[:, head, query, query - distance] += share
    return pattern


@exercise(
    "induction_heads.prefix_matching_score",
    title="Induction on any text",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "For every row, query and key there is a yes or no: did the token before this key equal the token at this "
        "query? Build that mask first; it does not depend on the head.",
        "before[b, k] = tokens[b, k − 1] exists for k ≥ 1 only, so compare tokens[:, 1:, None]-like slices or give "
        "key 0 an id that no token has. Keys after the query do not count. A query counts if it has at least one yes.",
        "before = torch.cat([torch.full((batch, 1), -1), tokens[:, :-1]], 1); match = (tokens[:, :, None] == "
        "before[:, None, :]).tril(); found = (pattern * match[:, None]).sum(-1), which is [batch head query]; average "
        "it over the (row, query) pairs where match.any(-1).",
    ],
)
def check_prefix_matching_score(student: Student) -> None:
    generator = fresh()
    for batch, head, length, d_vocab in ((3, 4, 19, 15), (1, 2, 30, 12), (2, 5, 12, 9)):
        pattern = random_patterns(batch, head, length, generator)
        tokens = torch.randint(1, d_vocab, (batch, length), generator=generator)
        tokens[0] = 1 + tokens[0] % 3  # many earlier copies in the first row, few in the last
        tokens[-1, : length // 2] = torch.arange(length // 2)
        tokens[0, 3:6] = tokens[0, -1]  # adjacent repeats, and the last token comes earlier too
        tokens[:, 0] = 0
        got = student(pattern, tokens)
        _expect_one_per_head(got, batch, head)
        want = _mean_found(pattern, _matches(tokens, torch.full((batch,), -1)))
        expect_close(
            got,
            want,
            mistakes=_unlike(want, _prefix_mistakes(pattern, tokens)),
            otherwise="The scores differ. For each query with at least one match, add the attention to all keys k ≤ q "
            "with tokens[k − 1] == tokens[q]; then average over those (row, query) pairs.",
        )
    alone = torch.arange(6).repeat(2, 1)
    got = student(random_patterns(2, 3, 6, generator), alone)
    if isinstance(got, Tensor) and got.isnan().any():
        fail("Where no token comes twice, no query counts and the mean of nothing is nan. Return zeros then.")
    expect_shape(got, (3,), "the scores of a text without repeats")
    expect_close(got, torch.zeros(3), mistakes={}, otherwise="Where no token comes twice, every score should be 0.")


def _matches(tokens: Int[Tensor, "batch position"], missing: Int[Tensor, "batch"]) -> Bool[Tensor, "batch query key"]:
    """Where the token before the key equals the token at the query; `missing` is what stands before key 0."""
    before = torch.cat([missing[:, None], tokens[:, :-1]], dim=1)
    return (tokens[:, :, None] == before[:, None, :]).tril()


def _mean_found(pattern: Tensor, match: Tensor) -> Float[Tensor, "head"]:
    """Attention to matches, averaged over the (row, query) pairs that have one; zeros if none has."""
    found = (pattern * match[:, None]).sum(-1)  # [batch head query]
    counts = match.any(-1)
    return (found * counts[:, None]).sum((0, 2)) / counts.sum().clamp(min=1)


def _prefix_mistakes(pattern: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    match = _matches(tokens, torch.full((len(tokens),), -1))
    found, counts = (pattern * match[:, None]).sum(-1), match.any(-1)
    same = (tokens[:, :, None] == tokens[:, None, :]).tril(-1)
    position = torch.arange(tokens.shape[1])
    latest = match & (position == (match * position).amax(-1, keepdim=True))
    rows = (found * counts[:, None]).sum(2) / counts.sum(1, keepdim=True).clamp(min=1)
    best = (pattern * match[:, None]).amax(-1)
    after = torch.cat([tokens[:, 1:], torch.full((len(tokens), 1), -1)], dim=1)
    ahead = (tokens[:, :, None] == after[:, None, :]).tril(-1)
    every = counts.sum().clamp(min=1)
    return {
        "You matched keys that hold the query's own token (a duplicate-token head). The match is with the token before "
        "the key.": _mean_found(pattern, same),
        "Your match looks at the token after the key. An induction head lands one step after the earlier copy: compare "
        "with tokens[k − 1].": _mean_found(pattern, ahead),
        "Key 0 has no token before it: torch.roll brings the last token round to the front.": (
            _mean_found(pattern, _matches(tokens, tokens[:, -1]))
        ),
        "You averaged over all queries. A query without an earlier copy has nothing to find and does not count.": (
            found.mean((0, 2))
        ),
        "You averaged within each row first. Every (row, query) pair should count once, however many its row has.": (
            rows.mean(0)
        ),
        "You counted the latest match alone. Several earlier copies all count: add their attention.": (
            _mean_found(pattern, latest)
        ),
        "You took the largest attention among the matches; add it up over all of them.": (
            (best * counts[:, None]).sum((0, 2)) / every
        ),
        "You left out the key at the query itself. When a token comes twice in a row, what followed the earlier copy "
        "is the query's own position.": _mean_found(pattern, match.tril(-1)),
    }
