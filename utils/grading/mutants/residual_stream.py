"""Answers about norms, attention and the writes of heads: other right ones, and wrong ones that people give."""

from __future__ import annotations

import torch
from einops import einsum, rearrange

from utils.grading.mutants import Answers, Mutant

# --- layer_norm ------------------------------------------------------------------------------------------------------


def norm_by_library(x, weight, bias, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def norm_by_var(x, weight, bias, eps):
    variance, mean = torch.var_mean(x, dim=-1, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(variance + eps) * weight + bias


def norm_by_loop(x, weight, bias, eps):
    out = torch.empty_like(x)
    for row in range(x.shape[0]):
        for pos in range(x.shape[1]):
            vector = x[row, pos] - x[row, pos].mean()
            out[row, pos] = vector / ((vector**2).mean() + eps) ** 0.5 * weight + bias
    return out


def norm_by_variance(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + eps) * weight + bias


def norm_eps_outside(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True, unbiased=False) + eps) * weight + bias


def norm_without_eps(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True, unbiased=False) * weight + bias


def norm_without_centring(x, weight, bias, eps):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias


def norm_centred_late(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias


def norm_unbiased(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() * weight + bias


def norm_over_positions(x, weight, bias, eps):
    return (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + eps).sqrt() * weight + bias


def norm_of_everything(x, weight, bias, eps):
    return (x - x.mean()) / (x.var(unbiased=False) + eps).sqrt() * weight + bias


def norm_bias_first(x, weight, bias, eps):
    return (torch.nn.functional.layer_norm(x, x.shape[-1:], eps=eps) + bias) * weight


def norm_without_weight(x, weight, bias, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], None, bias, eps)


def norm_without_bias(x, weight, bias, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, None, eps)


def norm_bare(x, weight, bias, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], eps=eps)


def norm_in_place(x, weight, bias, eps):
    x -= x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias


# --- rms_norm --------------------------------------------------------------------------------------------------------


def _lost(x):
    return x.mean(-1).pow(2) / x.pow(2).mean(-1)


def rms_by_length(x, weight, eps):
    lengths = (x.pow(2).sum(-1, keepdim=True) / x.shape[-1] + eps).sqrt()
    ones = torch.ones(x.shape[-1]) / x.shape[-1] ** 0.5
    return x / lengths * weight, (x @ ones) ** 2 / (x**2).sum(-1)


def rms_by_library(x, weight, eps):
    centred = x - x.mean(-1, keepdim=True)
    kept = centred.pow(2).sum(-1) / x.pow(2).sum(-1)
    return [torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps), 1 - kept]


def rms_normed_only(x, weight, eps):
    return rms_by_library(x, weight, eps)[0]


def rms_with_centring(x, weight, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, None, eps), _lost(x)


def rms_by_std(x, weight, eps):
    return x / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt() * weight, _lost(x)


def rms_without_root(x, weight, eps):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps) * weight, _lost(x)


def rms_by_norm(x, weight, eps):
    return torch.nn.functional.normalize(x, dim=-1) * weight, _lost(x)


def rms_eps_outside(x, weight, eps):
    return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * weight, _lost(x)


def rms_without_weight(x, weight, eps):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt(), _lost(x)


def rms_keeps(x, weight, eps):
    return rms_by_length(x, weight, eps)[0], 1 - _lost(x)


def rms_lengths(x, weight, eps):
    return rms_by_length(x, weight, eps)[0], x.mean(-1).abs() / x.pow(2).mean(-1).sqrt()


def rms_forgets_width(x, weight, eps):
    return rms_by_length(x, weight, eps)[0], x.mean(-1).pow(2) / x.pow(2).sum(-1)


def rms_of_normed(x, weight, eps):
    normed = rms_by_length(x, weight, eps)[0]
    return normed, _lost(normed)


# --- causal_pattern --------------------------------------------------------------------------------------------------


def _scores(q, k):
    return einsum(q, k, "b query h d, b key h d -> b h query key")


def _future(q, diagonal=1):
    return torch.ones(q.shape[1], q.shape[1]).triu(diagonal).bool()


def pattern_by_matmul(q, k):
    scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / q.shape[-1] ** 0.5
    return scores.masked_fill(~torch.ones_like(scores).tril().bool(), -1e9).softmax(-1)


def pattern_by_exp(q, k):
    scores = _scores(q, k / q.shape[-1] ** 0.5)
    weights = (scores - scores.amax(-1, keepdim=True)).exp().tril()
    return weights / weights.sum(-1, keepdim=True)


def pattern_by_loop(q, k):
    batch, length, heads, d_head = q.shape
    out = torch.zeros(batch, heads, length, length)
    for row in range(length):
        seen = einsum(q[:, row], k[:, : row + 1], "b h d, b key h d -> b h key") / d_head**0.5
        out[:, :, row, : row + 1] = seen.softmax(-1)
    return out


def pattern_masked_late(q, k):
    return (_scores(q, k) / q.shape[-1] ** 0.5).softmax(-1).tril()


def pattern_without_mask(q, k):
    return (_scores(q, k) / q.shape[-1] ** 0.5).softmax(-1)


def pattern_masked_with_zero(q, k):
    return (_scores(q, k) / q.shape[-1] ** 0.5).tril().softmax(-1)


def pattern_upside_down(q, k):
    return (_scores(q, k) / q.shape[-1] ** 0.5).masked_fill(_future(q).T, float("-inf")).softmax(-1)


def pattern_hides_itself(q, k):
    return (_scores(q, k) / q.shape[-1] ** 0.5).masked_fill(_future(q, 0), float("-inf")).softmax(-1)


def pattern_over_queries(q, k):
    return (_scores(q, k) / q.shape[-1] ** 0.5).masked_fill(_future(q), float("-inf")).softmax(-2)


def pattern_undivided(q, k):
    return _scores(q, k).masked_fill(_future(q), float("-inf")).softmax(-1)


def pattern_divided_by_width(q, k):
    return (_scores(q, k) / q.shape[-1]).masked_fill(_future(q), float("-inf")).softmax(-1)


def pattern_divided_by_all_heads(q, k):
    width = q.shape[-1] * q.shape[-2]
    return (_scores(q, k) / width**0.5).masked_fill(_future(q), float("-inf")).softmax(-1)


def pattern_swapped(q, k):
    return (_scores(k, q) / q.shape[-1] ** 0.5).masked_fill(_future(q), float("-inf")).softmax(-1)


def pattern_transposed(q, k):
    return pattern_by_matmul(q, k).transpose(-1, -2)


def pattern_over_heads(q, k):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # [batch pos head head]: mixes heads, not positions
    return scores.softmax(-1)


# --- head_writes -----------------------------------------------------------------------------------------------------


def writes_by_slices(z, W_O):
    d_head = z.shape[-1]
    return torch.stack([z[:, :, h] @ W_O[h * d_head : (h + 1) * d_head] for h in range(z.shape[2])], dim=2)


def writes_by_silence(z, W_O):
    alone = z[:, :, None] * torch.eye(z.shape[2])[:, :, None]  # one copy per head, the others silenced
    return rearrange(alone, "b p h k d -> b p h (k d)") @ W_O


def _by_head(z, W_O):
    return W_O.reshape(z.shape[2], z.shape[3], -1)


def writes_added(z, W_O):
    return z.flatten(2) @ W_O


def writes_interleaved(z, W_O):
    return einsum(z, rearrange(W_O, "(d h) m -> h d m", h=z.shape[2]), "b p h d, h d m -> b p h m")


def writes_with_first_rows(z, W_O):
    return z @ W_O[: z.shape[-1]]


def writes_averaged(z, W_O):
    return einsum(z, _by_head(z, W_O), "b p h d, h d m -> b p h m") / z.shape[2]


def writes_everything_each(z, W_O):
    return writes_added(z, W_O)[:, :, None].repeat(1, 1, z.shape[2], 1)


def writes_shuffled(z, W_O):
    return einsum(z, W_O.reshape(z.shape[2], -1, z.shape[3]), "b p h d, h m d -> b p h m")


def writes_head_first(z, W_O):
    return einsum(z, _by_head(z, W_O), "b p h d, h d m -> b h p m")


ANSWERS = {
    "residual_stream.layer_norm": Answers(
        alternatives=[norm_by_library, norm_by_var, norm_by_loop],
        mutants=[
            Mutant(norm_by_variance, "not its square root"),
            Mutant(norm_eps_outside, "added it to the standard deviation"),
            Mutant(norm_without_eps, "left eps out"),
            Mutant(norm_without_centring, "mean was never subtracted"),
            Mutant(norm_centred_late, "root mean square of the uncentred values"),
            Mutant(norm_unbiased, "width − 1"),
            Mutant(norm_over_positions, "normalised along the positions"),
            Mutant(norm_of_everything, "one variance for the whole tensor"),
            Mutant(norm_bias_first, "The bias comes last"),
            Mutant(norm_without_weight, "The weight is missing"),
            Mutant(norm_without_bias, "The bias is missing"),
            Mutant(norm_bare, "Weight and bias are missing"),
            Mutant(norm_in_place, "changed its argument x in place"),
        ],
    ),
    "residual_stream.rms_norm": Answers(
        alternatives=[rms_by_length, rms_by_library],
        mutants=[
            Mutant(rms_normed_only, "Return two tensors"),
            Mutant(rms_with_centring, "that is LayerNorm"),
            Mutant(rms_by_std, "measured from zero"),
            Mutant(rms_without_root, "without taking its root"),
            Mutant(rms_by_norm, "length of the vector"),
            Mutant(rms_eps_outside, "eps goes under the root"),
            Mutant(rms_without_weight, "The weight is missing"),
            Mutant(rms_keeps, "1 minus that"),
            Mutant(rms_lengths, "compares squared lengths"),
            Mutant(rms_forgets_width, "d_model · mean²"),
            Mutant(rms_of_normed, "before weight and eps"),
        ],
    ),
    "residual_stream.causal_pattern": Answers(
        alternatives=[pattern_by_matmul, pattern_by_exp, pattern_by_loop],
        mutants=[
            Mutant(pattern_masked_late, "masked after the softmax"),
            Mutant(pattern_without_mask, "There is no mask"),
            Mutant(pattern_masked_with_zero, "Set them to −inf"),
            Mutant(pattern_upside_down, "upside down"),
            Mutant(pattern_hides_itself, "may look at itself"),
            Mutant(pattern_over_queries, "softmax runs over queries"),
            Mutant(pattern_undivided, "yours are not"),
            Mutant(pattern_divided_by_width, "not by d_head"),
            Mutant(pattern_divided_by_all_heads, "root of heads · d_head"),
            Mutant(pattern_swapped, "changed places"),
            Mutant(pattern_transposed, "Your axes are"),
            Mutant(pattern_over_heads, "should have shape [2, 3, 7, 7]"),
        ],
    ),
    "residual_stream.head_writes": Answers(
        alternatives=[writes_by_slices, writes_by_silence],
        mutants=[
            Mutant(writes_added, "already added up"),
            Mutant(writes_interleaved, "wrong order"),
            Mutant(writes_with_first_rows, "head 0's rows"),
            Mutant(writes_averaged, "not averaged"),
            Mutant(writes_everything_each, "the whole attention output"),
            Mutant(writes_shuffled, "shuffles its numbers"),
            Mutant(writes_head_first, "look at which axis is which"),
        ],
    ),
}
