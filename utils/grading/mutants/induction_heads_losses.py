"""Answers about losses, needles and ablations: right ones written differently, and wrong ones that people give."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch.nn import functional

from utils.grading.mutants import Answers, Mutant

# --- copy_losses -----------------------------------------------------------------------------------------------------


def _losses(logits, tokens):
    return -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]


def losses_by_cross_entropy(logits, tokens, period):
    each = functional.cross_entropy(rearrange(logits[:, :-1], "b p v -> b v p"), tokens[:, 1:], reduction="none")
    return each[:, :period].mean(), each[:, period + 1 :].mean()


def losses_by_logsumexp(logits, tokens, period):
    batch = torch.arange(len(tokens))[:, None]
    position = torch.arange(tokens.shape[1] - 1)
    each = logits[:, :-1].logsumexp(-1) - logits[batch, position, tokens[:, 1:]]
    return [each[:, :period].mean().item(), each[:, -(period - 1) :].mean().item()]


def losses_unshifted(logits, tokens, period):
    each = -logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0][:, 1:]
    return each[:, :period].mean(), each[:, period + 1 :].mean()


def losses_shifted_back(logits, tokens, period):
    each = -logits[:, 1:].log_softmax(-1).gather(-1, tokens[:, :-1, None])[..., 0]
    return each[:, :period].mean(), each[:, period + 1 :].mean()


def losses_in_bits(logits, tokens, period):
    each = _losses(logits, tokens) / math.log(2)
    return each[:, :period].mean(), each[:, period + 1 :].mean()


def losses_from_period(logits, tokens, period):
    each = _losses(logits, tokens)
    return each[:, :period].mean(), each[:, period:].mean()


def losses_of_mean_probability(logits, tokens, period):
    chance = (-_losses(logits, tokens)).exp()
    return -chance[:, :period].mean().log(), -chance[:, period + 1 :].mean().log()


def losses_summed(logits, tokens, period):
    each = _losses(logits, tokens)
    return each[:, :period].sum(), each[:, period + 1 :].sum()


def losses_negative(logits, tokens, period):
    each = -_losses(logits, tokens)
    return each[:, :period].mean(), each[:, period + 1 :].mean()


def losses_underflow(logits, tokens, period):
    each = -logits[:, :-1].softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0].log()
    return each[:, :period].mean(), each[:, period + 1 :].mean()


def losses_ratio(logits, tokens, period):
    each = _losses(logits, tokens)
    return (each[:, period + 1 :].mean() / each[:, :period].mean()).item()


# --- in_context_learning_score ---------------------------------------------------------------------------------------


def icl_by_position(losses, early, late):
    position = torch.arange(losses.shape[1])
    per_token = losses.mean(0)

    def window(low, high):
        return per_token[(position >= low) & (position < high)].mean()

    return window(*late) - window(*early)


def icl_by_loop(losses, early, late):
    def window(bounds):
        columns = [losses[:, place].mean().item() for place in range(*bounds)]
        return sum(columns) / len(columns)

    return window(late) - window(early)


def _window(losses, bounds, shift=0):
    return losses[:, bounds[0] - shift : bounds[1] - shift].mean().item()


def icl_sign(losses, early, late):
    return _window(losses, early) - _window(losses, late)


def icl_shifted(losses, early, late):
    return _window(losses, late, 1) - _window(losses, early, 1)


def icl_inclusive(losses, early, late):
    return _window(losses, (late[0], late[1] + 1)) - _window(losses, (early[0], early[1] + 1))


def icl_single(losses, early, late):
    return (losses[:, late[0]] - losses[:, early[0]]).mean().item()


def icl_ratio(losses, early, late):
    return _window(losses, late) / _window(losses, early)


def icl_sums(losses, early, late):
    late_sum = losses[:, late[0] : late[1]].sum(1)
    return (late_sum - losses[:, early[0] : early[1]].sum(1)).mean().item()


def icl_late_only(losses, early, late):
    return _window(losses, late)


# --- needle_batch ----------------------------------------------------------------------------------------------------


def _place(length, depth):
    return 1 + round(depth * (length - 4))


def _planted(d_vocab, batch, length, bos, seed, place):
    """A right batch with the pair at `place`; the mutants spoil it."""
    g = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(batch):
        order = torch.randperm(d_vocab - 1, generator=g)
        order = order + (order >= bos)
        row = order[2:][torch.randint(d_vocab - 3, (length,), generator=g)]
        row[0], row[place], row[place + 1], row[-1] = bos, order[0], order[1], order[0]
        rows.append(row)
    return torch.stack(rows)


def needle_by_permutation(d_vocab, batch, length, depth, bos, seed):
    place = _place(length, depth)
    tokens = _planted(d_vocab, batch, length, bos, seed, place)
    return tokens, tokens[:, place + 1]


def needle_by_rejection(d_vocab, batch, length, depth, bos, seed):
    g = torch.Generator().manual_seed(seed)
    place = _place(length, depth)
    tokens = torch.zeros(batch, length, dtype=torch.long)
    answers = torch.zeros(batch, dtype=torch.long)

    def draw(forbidden):
        while (token := int(torch.randint(0, d_vocab, (1,), generator=g))) in forbidden:
            pass
        return token

    for row in range(batch):
        key = draw({bos})
        value = draw({bos, key})
        line = [bos] + [draw({bos, key, value}) for _ in range(length - 1)]
        line[place], line[place + 1], line[-1] = key, value, key
        tokens[row], answers[row] = torch.tensor(line), value
    return [tokens, answers]


def needle_returns_key(d_vocab, batch, length, depth, bos, seed):
    tokens = _planted(d_vocab, batch, length, bos, seed, _place(length, depth))
    return tokens, tokens[:, -1]


def needle_counts_from_0(d_vocab, batch, length, depth, bos, seed):
    place = 2 + round(depth * (length - 5))
    tokens = _planted(d_vocab, batch, length, bos, seed, place)
    return tokens, tokens[:, place + 1]


def needle_key_in_hay(d_vocab, batch, length, depth, bos, seed):
    place = _place(length, depth)
    tokens = _planted(d_vocab, batch, length, bos, seed, place)
    tokens[:, length // 2 + 3] = tokens[:, -1]
    return tokens, tokens[:, place + 1]


def needle_value_in_hay(d_vocab, batch, length, depth, bos, seed):
    place = _place(length, depth)
    tokens = _planted(d_vocab, batch, length, bos, seed, place)
    tokens[:, length // 2 + 3] = tokens[:, place + 1]
    return tokens, tokens[:, place + 1]


def needle_free_pair(d_vocab, batch, length, depth, bos, seed):
    """Key and value drawn independently, so that they meet now and then."""
    g, place = torch.Generator().manual_seed(seed), 1 + round(depth * (length - 4))
    tokens = torch.zeros(batch, length, dtype=torch.long)
    for row in tokens:
        key, value = torch.randint(d_vocab - 1, (2,), generator=g)
        hay = torch.tensor([token for token in range(d_vocab - 1) if token not in (int(key), int(value))])
        row[:] = hay[torch.randint(len(hay), (length,), generator=g)]
        row[place], row[place + 1], row[-1] = key, value, key
    tokens += tokens >= bos
    tokens[:, 0] = bos
    return tokens, tokens[:, place + 1]


def needle_draws_bos(d_vocab, batch, length, depth, bos, seed):
    place = _place(length, depth)
    tokens = _planted(d_vocab, batch, length, bos, seed, place)
    tokens[:, length // 2 + 3] = bos
    return tokens, tokens[:, place + 1]


def needle_same_for_all(d_vocab, batch, length, depth, bos, seed):
    place = _place(length, depth)
    tokens = _planted(d_vocab, 1, length, bos, seed, place).repeat(batch, 1)
    return tokens, tokens[:, place + 1]


def needle_no_final_key(d_vocab, batch, length, depth, bos, seed):
    place = _place(length, depth)
    tokens = _planted(d_vocab, batch, length, bos, seed, place)
    tokens[:, -1] = torch.where(tokens[:, 5] == tokens[:, place], tokens[:, 8], tokens[:, 5])
    return tokens, tokens[:, place + 1]


def needle_without_answers(d_vocab, batch, length, depth, bos, seed):
    return _planted(d_vocab, batch, length, bos, seed, _place(length, depth))


# --- mean_ablate -----------------------------------------------------------------------------------------------------


def ablate_by_where(z, reference, heads):
    chosen = torch.zeros(z.shape[2], dtype=torch.bool)
    chosen[heads] = True
    return torch.where(chosen[:, None], reference.mean((0, 1)), z)


def ablate_by_stacking(z, reference, heads):
    parts = []
    for head in range(z.shape[2]):
        mean = reference[:, :, head].reshape(-1, z.shape[3]).mean(0)
        parts.append(mean.expand(z.shape[0], z.shape[1], -1) if head in heads else z[:, :, head])
    return torch.stack(parts, dim=2)


def _with(z, heads, value):
    out = z.clone()
    out[:, :, heads] = value
    return out


def ablate_to_zero(z, reference, heads):
    return _with(z, heads, 0.0)


def ablate_own_mean(z, reference, heads):
    return _with(z, heads, z.mean((0, 1))[heads])


def ablate_to_number(z, reference, heads):
    return _with(z, heads, reference.mean((0, 1, 3))[heads][:, None])


def ablate_across_heads(z, reference, heads):
    return _with(z, heads, reference.mean((0, 1, 2)))


def ablate_others(z, reference, heads):
    others = [head for head in range(z.shape[2]) if head not in heads]
    return _with(z, others, reference.mean((0, 1))[others])


def ablate_positions(z, reference, heads):
    out = z.clone()
    out[:, heads] = reference.mean((0, 1))
    return out


def ablate_in_place(z, reference, heads):
    z[:, :, heads] = reference.mean((0, 1))[heads]
    return z


def ablate_first(z, reference, heads):
    return _with(z, heads[:1], reference.mean((0, 1))[heads[:1]])


def ablate_first_sequence(z, reference, heads):
    return _with(z, heads, reference[0].mean(0)[heads])


ANSWERS = {
    "induction_heads.copy_losses": Answers(
        alternatives=[losses_by_cross_entropy, losses_by_logsumexp],
        mutants=[
            Mutant(losses_unshifted, "on its own token"),
            Mutant(losses_shifted_back, "in the other direction"),
            Mutant(losses_in_bits, "Those are bits"),
            Mutant(losses_from_period, "starts with the first token of the second copy"),
            Mutant(losses_of_mean_probability, "logarithm of the mean probability"),
            Mutant(losses_summed, "take the mean per token"),
            Mutant(losses_negative, "The sign is wrong"),
            Mutant(losses_underflow, "underflows to infinity"),
            Mutant(losses_ratio, "Return two numbers"),
        ],
    ),
    "induction_heads.in_context_learning_score": Answers(
        alternatives=[icl_by_position, icl_by_loop],
        mutants=[
            Mutant(icl_sign, "The sign is turned round"),
            Mutant(icl_shifted, "one entry early"),
            Mutant(icl_inclusive, "include their upper end"),
            Mutant(icl_single, "Average over the window"),
            Mutant(icl_ratio, "That is a ratio"),
            Mutant(icl_sums, "the longer window weighs more"),
            Mutant(icl_late_only, "difference of two means"),
        ],
    ),
    "induction_heads.needle_batch": Answers(
        alternatives=[needle_by_permutation, needle_by_rejection],
        mutants=[
            Mutant(needle_returns_key, "The answers are the keys"),
            Mutant(needle_counts_from_0, "It stands 1 later"),
            Mutant(needle_key_in_hay, "A key stands somewhere else"),
            Mutant(needle_value_in_hay, "A value stands elsewhere"),
            Mutant(needle_free_pair, "A value equals its key"),
            Mutant(needle_draws_bos, "drawn again inside the sequence"),
            Mutant(needle_same_for_all, "the same needle"),
            Mutant(needle_no_final_key, "and at the end"),
            Mutant(needle_without_answers, "Return two tensors"),
        ],
    ),
    "induction_heads.mean_ablate": Answers(
        alternatives=[ablate_by_where, ablate_by_stacking],
        mutants=[
            Mutant(ablate_to_zero, "That is zero-ablation"),
            Mutant(ablate_own_mean, "mean of z itself"),
            Mutant(ablate_to_number, "by a single number"),
            Mutant(ablate_across_heads, "averaged over heads too"),
            Mutant(ablate_others, "kept those listed"),
            Mutant(ablate_positions, "You ablated positions"),
            Mutant(ablate_in_place, "in place"),
            Mutant(ablate_first, "left the others alone"),
            Mutant(ablate_first_sequence, "first sequence of the reference"),
        ],
    ),
}
