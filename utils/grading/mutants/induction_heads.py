"""Answers about attention patterns: right ones written differently, and wrong ones that people give."""

from __future__ import annotations

from collections import defaultdict

import torch
from einops import einsum, reduce, repeat
from torch import Tensor

from utils.grading.mutants import Answers, Mutant

# --- repeated_batch --------------------------------------------------------------------------------------------------


def _allowed(d_vocab: int, bos: int) -> Tensor:
    return torch.tensor([token for token in range(d_vocab) if token != bos])


def batch_by_indexing(d_vocab, batch, period, copies, bos, seed):
    g = torch.Generator().manual_seed(seed)
    allowed = _allowed(d_vocab, bos)
    once = allowed[torch.randint(len(allowed), (batch, period), generator=g)]
    body = repeat(once, "batch period -> batch (copies period)", copies=copies)
    return torch.nn.functional.pad(body, (1, 0), value=bos)


def batch_by_modulo(d_vocab, batch, period, copies, bos, seed):
    g = torch.Generator().manual_seed(seed)
    out = torch.full((batch, 1 + copies * period), bos)
    out[:, 1 : 1 + period] = (bos + torch.randint(1, d_vocab, (batch, period), generator=g)) % d_vocab
    for copy in range(1, copies):
        out[:, 1 + copy * period : 1 + (copy + 1) * period] = out[:, 1 : 1 + period]
    return out


def _once(d_vocab, batch, period, bos, seed):
    draw = torch.randint(0, d_vocab - 1, (batch, period), generator=torch.Generator().manual_seed(seed))
    return draw + (draw >= bos).long()


def _with_bos(body, bos):
    return torch.cat([torch.full((len(body), 1), bos), body], dim=1)


def batch_draws_bos(d_vocab, batch, period, copies, bos, seed):
    once = torch.randint(0, d_vocab, (batch, period), generator=torch.Generator().manual_seed(seed))
    return _with_bos(once.repeat(1, copies), bos)


def batch_assumes_bos_0(d_vocab, batch, period, copies, bos, seed):
    once = torch.randint(1, d_vocab, (batch, period), generator=torch.Generator().manual_seed(seed))
    once = torch.where(once == bos, 1 if bos != 1 else 2, once)
    return _with_bos(once.repeat(1, copies), bos)


def batch_patches_bos(d_vocab, batch, period, copies, bos, seed):
    once = torch.randint(0, d_vocab, (batch, period), generator=torch.Generator().manual_seed(seed))
    once = torch.where(once == bos, (bos + 1) % d_vocab, once)
    return _with_bos(once.repeat(1, copies), bos)


def batch_misses_last(d_vocab, batch, period, copies, bos, seed):
    allowed = _allowed(d_vocab, bos)[:-1]
    g = torch.Generator().manual_seed(seed)
    return _with_bos(allowed[torch.randint(len(allowed), (batch, period), generator=g)].repeat(1, copies), bos)


def batch_redraws(d_vocab, batch, period, copies, bos, seed):
    return _with_bos(_once(d_vocab, batch, period * copies, bos, seed), bos)


def batch_interleaves(d_vocab, batch, period, copies, bos, seed):
    return _with_bos(_once(d_vocab, batch, period, bos, seed).repeat_interleave(copies, dim=1), bos)


def batch_one_row(d_vocab, batch, period, copies, bos, seed):
    return _with_bos(_once(d_vocab, 1, period, bos, seed).repeat(batch, copies), bos)


def batch_no_seed(d_vocab, batch, period, copies, bos, seed):
    draw = torch.randint(0, d_vocab - 1, (batch, period))
    return _with_bos((draw + (draw >= bos)).repeat(1, copies), bos)


def batch_fixed_seed(d_vocab, batch, period, copies, bos, seed):
    return _with_bos(_once(d_vocab, batch, period, bos, 0).repeat(1, copies), bos)


def batch_without_bos(d_vocab, batch, period, copies, bos, seed):
    return _once(d_vocab, batch, period, bos, seed).repeat(1, copies)


def batch_repeats_bos(d_vocab, batch, period, copies, bos, seed):
    return _with_bos(_once(d_vocab, batch, period, bos, seed), bos).repeat(1, copies)


def batch_of_floats(d_vocab, batch, period, copies, bos, seed):
    return _with_bos(_once(d_vocab, batch, period, bos, seed).repeat(1, copies), bos).float()


# --- previous_token_score and induction_score ------------------------------------------------------------------------


def previous_by_loop(pattern):
    batch, head, length, _ = pattern.shape
    total = torch.zeros(head)
    for query in range(2, length):
        total += pattern[:, :, query, query - 1].sum(0)
    return total / (batch * (length - 2))


def previous_by_mask(pattern):
    length = pattern.shape[-1]
    mask = torch.diag(torch.ones(length - 1), -1)
    mask[1] = 0
    return einsum(pattern, mask, "b h q k, q k -> h") / (len(pattern) * (length - 2))


def previous_with_bos(pattern):
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1).mean((0, -1))


def previous_is_self(pattern):
    return pattern.diagonal(offset=0, dim1=-2, dim2=-1)[..., 1:].mean((0, -1))


def previous_is_next(pattern):
    return pattern.diagonal(offset=1, dim1=-2, dim2=-1)[..., 1:].mean((0, -1))


def previous_per_row(pattern):
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1)[..., 1:].mean(-1)


def previous_summed(pattern):
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1)[..., 1:].mean(0).sum(-1)


def previous_over_everything(pattern):
    kept = pattern.tril(-1) - pattern.tril(-2)
    kept[:, :, 1] = 0
    return kept.mean((0, 2, 3))


def previous_mixes_heads(pattern):
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1)[..., 1:].mean((1, -1))


def induction_by_loop(pattern, period):
    found = [pattern[:, :, query, query - period + 1] for query in range(period + 1, pattern.shape[-1])]
    return torch.stack(found).mean((0, 1))


def induction_by_gather(pattern, period):
    query = torch.arange(period + 1, pattern.shape[-1])
    return reduce(pattern[:, :, query, query + 1 - period], "b h q -> h", "mean")


def induction_duplicate(pattern, period):
    return pattern.diagonal(offset=-period, dim1=-2, dim2=-1)[..., 1:].mean((0, -1))


def induction_wrong_way(pattern, period):
    return pattern.diagonal(offset=-(period + 1), dim1=-2, dim2=-1).mean((0, -1))


def induction_whole_stripe(pattern, period):
    return pattern.diagonal(offset=-(period - 1), dim1=-2, dim2=-1).mean((0, -1))


def induction_forgets_bos(pattern, period):
    return pattern.diagonal(offset=-(period - 1), dim1=-2, dim2=-1)[..., 1:].mean((0, -1))


def induction_second_copy(pattern, period):
    return pattern.diagonal(offset=-(period - 1), dim1=-2, dim2=-1)[..., 2 : 2 + period].mean((0, -1))


def induction_over_all_queries(pattern, period):
    stripe = pattern.diagonal(offset=-(period - 1), dim1=-2, dim2=-1)[..., 2:]
    return stripe.sum(-1).mean(0) / pattern.shape[-1]


def induction_best(pattern, period):
    return pattern.diagonal(offset=-(period - 1), dim1=-2, dim2=-1)[..., 2:].amax((0, -1))


def induction_per_row(pattern, period):
    return pattern.diagonal(offset=-(period - 1), dim1=-2, dim2=-1)[..., 2:].mean(-1)


def induction_negative_slice(pattern, period):
    rows = torch.arange(pattern.shape[-1])[period + 1 :]
    if period == 1:  # the slice [:-0] is empty, and so is everything after it
        return torch.zeros(pattern.shape[1])
    return pattern[:, :, rows, torch.arange(pattern.shape[-1])[: -(period - 1)][2:]].mean((0, -1))


# --- classify_heads --------------------------------------------------------------------------------------------------


def _at(pattern, back):
    return pattern.diagonal(offset=-back, dim1=-2, dim2=-1)[..., 1:].mean((0, -1))


def _stripe(pattern, period):
    return pattern.diagonal(offset=1 - period, dim1=-2, dim2=-1)[..., 2:].mean((0, -1))


def _label(patterns, periods, induction, positional):
    """Labels from two rules: `induction(scores)` and `positional(scores, steady)`, both per head."""
    scores = torch.stack([_stripe(p, n) for p, n in zip(patterns, periods, strict=True)])  # [period head]
    steady = torch.stack([torch.stack([_at(p, n - 1) for p in patterns]).amin(0) for n in periods])  # [distance head]
    labels = []
    for head in range(scores.shape[1]):
        if induction(scores[:, head]):
            labels.append("induction")
        else:
            labels.append("positional" if positional(scores[:, head], steady[:, head]) else "neither")
    return labels


def _fixed(threshold):
    return lambda scores, steady: bool((steady > threshold).any())


def classify_directly(patterns, periods, threshold):
    return _label(patterns, periods, lambda s: bool((s > threshold).all()), _fixed(threshold))


def classify_by_distance(patterns, periods, threshold):
    """Finds each head's favourite distance in every pattern, then asks whether it follows the period."""
    labels = []
    for head in range(patterns[0].shape[1]):
        favourites = []
        for pattern in patterns:
            reach = [float(_at(pattern, back)[head]) for back in range(1, pattern.shape[-1] // 2)]
            best = max(range(len(reach)), key=reach.__getitem__)
            favourites.append(best + 1 if reach[best] > threshold else None)
        if favourites == [period - 1 for period in periods]:
            labels.append("induction")
        elif len(set(favourites)) == 1 and favourites[0] in [period - 1 for period in periods]:
            labels.append("positional")
        else:
            labels.append("neither")
    return labels


def classify_one_period(patterns, periods, threshold):
    return _label(patterns, periods, lambda s: bool(s[0] > threshold), _fixed(threshold))


def classify_any(patterns, periods, threshold):
    return _label(patterns, periods, lambda s: bool((s > threshold).any()), lambda s, steady: False)


def classify_mean(patterns, periods, threshold):
    bar = threshold * (len(periods) - 1) / len(periods)
    return _label(patterns, periods, lambda s: bool(s.mean() > bar), _fixed(threshold))


def classify_not_all(patterns, periods, threshold):
    return _label(
        patterns, periods, lambda s: bool((s > threshold).all()), lambda s, steady: bool((s > threshold).any())
    )


def classify_positional_first(patterns, periods, threshold):
    plain = classify_directly(patterns, periods, threshold)
    steady = _label(patterns, periods, lambda s: False, _fixed(threshold))
    return ["positional" if second == "positional" else first for first, second in zip(plain, steady, strict=True)]


def classify_never_positional(patterns, periods, threshold):
    return _label(patterns, periods, lambda s: bool((s > threshold).all()), lambda s, steady: False)


def classify_low_bar(patterns, periods, threshold):
    return _label(patterns, periods, lambda s: bool((s > 0.2).all()), _fixed(threshold))


def classify_any_distance(patterns, periods, threshold):
    def positional(head):
        steady = [min(float(_at(p, back)[head]) for p in patterns) for back in range(1, max(periods) + 4)]
        return max(steady) > threshold

    plain = classify_directly(patterns, periods, threshold)
    return ["positional" if label == "neither" and positional(head) else label for head, label in enumerate(plain)]


def classify_short(patterns, periods, threshold):
    return [label for label in classify_directly(patterns, periods, threshold) if label != "neither"]


def classify_flags(patterns, periods, threshold):
    return [label == "induction" for label in classify_directly(patterns, periods, threshold)]


# --- prefix_matching_score -------------------------------------------------------------------------------------------


def _match(tokens, first=-1):
    start = torch.full((len(tokens), 1), first)
    before = torch.cat([start, tokens[:, :-1]], dim=1)
    return (tokens[:, :, None] == before[:, None, :]).tril()


def _mean_over_pairs(pattern, match):
    found = einsum(pattern, match.float(), "b h q k, b q k -> b h q")
    counts = match.any(-1)
    return einsum(found, counts.float(), "b h q, b q -> h") / counts.sum().clamp(min=1)


def prefix_by_loop(pattern, tokens):
    batch, heads, length, _ = pattern.shape
    total, count = torch.zeros(heads), 0
    for row in range(batch):
        places = defaultdict(list)
        for query in range(length):
            if query:
                places[int(tokens[row, query - 1])].append(query)
            keys = places[int(tokens[row, query])]
            if keys:
                total += pattern[row, :, query, keys].sum(-1)
                count += 1
    return total / max(count, 1)


def prefix_by_padding(pattern, tokens):
    return _mean_over_pairs(pattern, _match(tokens))


def prefix_duplicate(pattern, tokens):
    return _mean_over_pairs(pattern, (tokens[:, :, None] == tokens[:, None, :]).tril(-1))


def prefix_rolls(pattern, tokens):
    before = tokens.roll(1, dims=1)
    return _mean_over_pairs(pattern, (tokens[:, :, None] == before[:, None, :]).tril())


def prefix_wrong_side(pattern, tokens):
    after = torch.cat([tokens[:, 1:], torch.full((len(tokens), 1), -1)], dim=1)
    return _mean_over_pairs(pattern, (tokens[:, :, None] == after[:, None, :]).tril(-1))


def prefix_all_queries(pattern, tokens):
    return einsum(pattern, _match(tokens).float(), "b h q k, b q k -> b h q").mean((0, 2))


def prefix_row_means(pattern, tokens):
    match = _match(tokens)
    found = einsum(pattern, match.float(), "b h q k, b q k -> b h q")
    return (found.sum(-1) / match.any(-1).sum(-1, keepdim=True).clamp(min=1)).mean(0)


def prefix_best_key(pattern, tokens):
    match = _match(tokens)
    counts = match.any(-1)
    best = (pattern * match[:, None]).amax(-1)
    return (best * counts[:, None]).sum((0, 2)) / counts.sum().clamp(min=1)


def prefix_latest(pattern, tokens):
    match = _match(tokens)
    place = torch.arange(tokens.shape[1]) * match
    return _mean_over_pairs(pattern, match & (place == place.amax(-1, keepdim=True)))


def prefix_not_itself(pattern, tokens):
    return _mean_over_pairs(pattern, _match(tokens).tril(-1))


def prefix_nan(pattern, tokens):
    match = _match(tokens)
    found = einsum(pattern, match.float(), "b h q k, b q k -> b h q")
    return found.sum((0, 2)) / match.any(-1).sum()


ANSWERS = {
    "induction_heads.repeated_batch": Answers(
        alternatives=[batch_by_indexing, batch_by_modulo],
        mutants=[
            Mutant(batch_draws_bos, "drawn again inside the sequence"),
            Mutant(batch_assumes_bos_0, "whatever its id"),
            Mutant(batch_patches_bos, "not uniform"),
            Mutant(batch_misses_last, "upper end of torch.randint is exclusive"),
            Mutant(batch_redraws, "The copies differ"),
            Mutant(batch_interleaves, "repeat_interleave"),
            Mutant(batch_one_row, "Every row of the batch"),
            Mutant(batch_no_seed, "The same seed gave two different batches"),
            Mutant(batch_fixed_seed, "the seed is not used"),
            Mutant(batch_without_bos, "should have shape"),
            Mutant(batch_repeats_bos, "should have shape"),
            Mutant(batch_of_floats, "Token ids are whole numbers"),
        ],
    ),
    "induction_heads.previous_token_score": Answers(
        alternatives=[previous_by_loop, previous_by_mask],
        mutants=[
            Mutant(previous_with_bos, "You kept query 1"),
            Mutant(previous_is_self, "main diagonal"),
            Mutant(previous_is_next, "above the diagonal"),
            Mutant(previous_per_row, "average over the batch too"),
            Mutant(previous_summed, "a score is a mean"),
            Mutant(previous_over_everything, "all queries and keys"),
            Mutant(previous_mixes_heads, "keep the head axis"),
        ],
    ),
    "induction_heads.induction_score": Answers(
        alternatives=[induction_by_loop, induction_by_gather],
        mutants=[
            Mutant(induction_duplicate, "a duplicate-token head"),
            Mutant(induction_wrong_way, "period + 1 back"),
            Mutant(induction_whole_stripe, "begins in the first copy"),
            Mutant(induction_forgets_bos, "one query too early"),
            Mutant(induction_second_copy, "lost the later ones"),
            Mutant(induction_over_all_queries, "A perfect head should score 1"),
            Mutant(induction_best, "One lucky token"),
            Mutant(induction_per_row, "average over the batch too"),
            Mutant(induction_negative_slice, "period of 1"),
        ],
    ),
    "induction_heads.classify_heads": Answers(
        alternatives=[classify_directly, classify_by_distance],
        mutants=[
            Mutant(classify_one_period, "You were fooled"),
            Mutant(classify_any, "You were fooled"),
            Mutant(classify_mean, "all periods but one"),
            Mutant(classify_not_all, "Failing at one period is not enough"),
            Mutant(classify_positional_first, "that question comes first"),
            Mutant(classify_never_positional, "is the impostor"),
            Mutant(classify_low_bar, "0.3 was called induction"),
            Mutant(classify_any_distance, "positional"),
            Mutant(classify_short, "you returned"),
            Mutant(classify_flags, "list of strings"),
        ],
    ),
    "induction_heads.prefix_matching_score": Answers(
        alternatives=[prefix_by_loop, prefix_by_padding],
        mutants=[
            Mutant(prefix_duplicate, "query's own token"),
            Mutant(prefix_rolls, "torch.roll"),
            Mutant(prefix_wrong_side, "token after the key"),
            Mutant(prefix_all_queries, "has nothing to find"),
            Mutant(prefix_row_means, "within each row first"),
            Mutant(prefix_best_key, "add it up over all"),
            Mutant(prefix_latest, "latest match alone"),
            Mutant(prefix_not_itself, "left out the key at the query itself"),
            Mutant(prefix_nan, "the mean of nothing"),
        ],
    ),
}
