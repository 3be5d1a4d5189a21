"""Answers about logits and the norm in front of them: other right ones, and wrong ones that people give."""

from __future__ import annotations

import torch
from einops import einsum
from torch.nn.functional import layer_norm

from utils.grading.mutants import Answers, Mutant


def _centred(x):
    return x - x.mean(-1, keepdim=True)


def _scale(x, eps):
    return (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt()


# --- attribute_logit -------------------------------------------------------------------------------------------------


def _with_bias(rows, bias, direction):
    return torch.cat([rows, (bias @ direction).expand(1, rows.shape[1])])


def attribution_by_einsum(parts, weight, bias, W_U, token, eps):
    scale = _scale(parts.sum(0), eps)[..., 0]
    rows = einsum(_centred(parts), weight * W_U[:, token], 1 / scale, "c b m, m, b -> c b")
    return _with_bias(rows, bias, W_U[:, token])


def attribution_folded(parts, weight, bias, W_U, token, eps):
    direction = weight * W_U[:, token]
    direction = direction - direction.mean()  # centring the reader instead of what it reads
    rows = parts @ direction / _scale(parts.sum(0), eps)[..., 0]
    return _with_bias(rows, bias, W_U[:, token])


def attribution_by_removal(parts, weight, bias, W_U, token, eps):
    """The norm is affine once its divisor is held: what a part gives is what goes with it."""
    full = parts.sum(0)
    scale = _scale(full, eps)
    logit = (_centred(full) / scale * weight + bias) @ W_U[:, token]
    rows = [logit - (_centred(full - part) / scale * weight + bias) @ W_U[:, token] for part in parts]
    return torch.stack([*rows, (bias @ W_U[:, token]).expand(parts.shape[1])])


def attribution_just_unembedded(parts, weight, bias, W_U, token, eps):
    return parts @ W_U[:, token]


def attribution_just_unembedded_plus_bias(parts, weight, bias, W_U, token, eps):
    return _with_bias(parts @ W_U[:, token], bias, W_U[:, token])


def attribution_without_bias(parts, weight, bias, W_U, token, eps):
    return attribution_by_einsum(parts, weight, bias, W_U, token, eps)[:-1]


def attribution_shares_bias(parts, weight, bias, W_U, token, eps):
    rows = attribution_by_einsum(parts, weight, bias, W_U, token, eps)
    return rows[:-1] + rows[-1] / len(parts)


def attribution_bias_everywhere(parts, weight, bias, W_U, token, eps):
    rows = attribution_by_einsum(parts, weight, bias, W_U, token, eps)
    return rows[:-1] + rows[-1]


def attribution_each_normed(parts, weight, bias, W_U, token, eps):
    rows = layer_norm(parts, parts.shape[-1:], weight, None, eps) @ W_U[:, token]
    return _with_bias(rows, bias, W_U[:, token])


def attribution_uncentred(parts, weight, bias, W_U, token, eps):
    return _with_bias(parts / _scale(parts.sum(0), eps) * weight @ W_U[:, token], bias, W_U[:, token])


def attribution_centred_by_stream(parts, weight, bias, W_U, token, eps):
    stream = parts.sum(0)
    rows = (parts - stream.mean(-1, keepdim=True)) / _scale(stream, eps) * weight @ W_U[:, token]
    return _with_bias(rows, bias, W_U[:, token])


def attribution_without_weight(parts, weight, bias, W_U, token, eps):
    return attribution_by_einsum(parts, torch.ones_like(weight), bias, W_U, token, eps)


def attribution_by_variance(parts, weight, bias, W_U, token, eps):
    rows = _centred(parts) / _scale(parts.sum(0), eps).pow(2) * weight @ W_U[:, token]
    return _with_bias(rows, bias, W_U[:, token])


def attribution_without_eps(parts, weight, bias, W_U, token, eps):
    return attribution_by_einsum(parts, weight, bias, W_U, token, 0.0)


def attribution_bias_scaled(parts, weight, bias, W_U, token, eps):
    rows = attribution_by_einsum(parts, weight, bias, W_U, token, eps)[:-1]
    return torch.cat([rows, (bias / _scale(parts.sum(0), eps) @ W_U[:, token])[None]])


def attribution_of_all_tokens(parts, weight, bias, W_U, token, eps):
    return _centred(parts) / _scale(parts.sum(0), eps) * weight @ W_U


def _last_row(name, rows_of, last_of):
    """An attribution with rows and a last row of one's own choice."""

    def attribution(parts, weight, bias, W_U, token, eps):
        rows = rows_of(parts, weight, bias, W_U[:, token], eps)
        return torch.cat([rows, last_of(parts, weight, bias, W_U, token, eps, rows)[None]])

    attribution.__name__ = name
    return attribution


def _unembedded_rows(parts, weight, bias, direction, eps):
    return parts @ direction


def _normed_rows(parts, weight, bias, direction, eps):
    return layer_norm(parts, parts.shape[-1:], weight, None, eps) @ direction


def _normed_rows_with_bias(parts, weight, bias, direction, eps):
    return layer_norm(parts, parts.shape[-1:], weight, bias, eps) @ direction


def _normed_rows_with_share(parts, weight, bias, direction, eps):
    return layer_norm(parts, parts.shape[-1:], weight, bias / len(parts), eps) @ direction


def _normed_rows_unbiased(parts, weight, bias, direction, eps):
    return _centred(parts) / (parts.var(-1, keepdim=True) + eps).sqrt() * weight @ direction


def _rows_unbiased(parts, weight, bias, direction, eps):
    return _centred(parts) / (parts.sum(0).var(-1, keepdim=True) + eps).sqrt() * weight @ direction


def _rows_sharing_bias(parts, weight, bias, direction, eps):
    return _centred(parts) / _scale(parts.sum(0), eps) * weight @ direction + bias @ direction / len(parts)


def _right_rows(parts, weight, bias, direction, eps):
    return _centred(parts) / _scale(parts.sum(0), eps) * weight @ direction


def _nothing(parts, weight, bias, W_U, token, eps, rows):
    return torch.zeros(parts.shape[1])


def _bias(parts, weight, bias, W_U, token, eps, rows):
    return (bias @ W_U[:, token]).expand(parts.shape[1])


def _remainder(parts, weight, bias, W_U, token, eps, rows):
    return _logit(parts.sum(0), weight, bias, W_U, token, eps) - rows.sum(0)


def attribution_bias_first(parts, weight, bias, W_U, token, eps):
    return attribution_by_einsum(parts, weight, bias, W_U, token, eps).roll(1, 0)


def attribution_all_unembedded(parts, weight, bias, W_U, token, eps):
    return torch.cat([parts, bias.expand(1, *parts.shape[1:])]) @ W_U


# --- removal_effect --------------------------------------------------------------------------------------------------


def _logit(stream, weight, bias, W_U, token, eps):
    return layer_norm(stream, stream.shape[-1:], weight, bias, eps) @ W_U[:, token]


def _frozen(parts, index, weight, W_U, token, eps):
    return _centred(parts[index]) / _scale(parts.sum(0), eps) * weight @ W_U[:, token]


def effect_by_attribution(parts, index, weight, bias, W_U, token, eps):
    full = parts.sum(0)
    frozen = attribution_folded(parts, weight, bias, W_U, token, eps)[index]
    rest = full - parts[index]
    return frozen, _logit(full, weight, bias, W_U, token, eps) - _logit(rest, weight, bias, W_U, token, eps)


def effect_by_keeping(parts, index, weight, bias, W_U, token, eps):
    rest = torch.stack([part for number, part in enumerate(parts) if number != index]).sum(0)
    full, scale = parts.sum(0), _scale(parts.sum(0), eps)
    logit = _logit(full, weight, bias, W_U, token, eps)
    frozen = logit - (_centred(rest) / scale * weight + bias) @ W_U[:, token]
    return [frozen, logit - _logit(rest, weight, bias, W_U, token, eps)]


def effect_frozen_only(parts, index, weight, bias, W_U, token, eps):
    return _frozen(parts, index, weight, W_U, token, eps)


def effect_swapped(parts, index, weight, bias, W_U, token, eps):
    return effect_by_keeping(parts, index, weight, bias, W_U, token, eps)[::-1]


def effect_frozen_twice(parts, index, weight, bias, W_U, token, eps):
    return (_frozen(parts, index, weight, W_U, token, eps),) * 2


def effect_recomputed_twice(parts, index, weight, bias, W_U, token, eps):
    return (effect_by_keeping(parts, index, weight, bias, W_U, token, eps)[1],) * 2


def effect_uncentred(parts, index, weight, bias, W_U, token, eps):
    right = effect_by_keeping(parts, index, weight, bias, W_U, token, eps)[1]
    return parts[index] / _scale(parts.sum(0), eps) * weight @ W_U[:, token], right


def effect_second_reversed(parts, index, weight, bias, W_U, token, eps):
    frozen, recomputed = effect_by_keeping(parts, index, weight, bias, W_U, token, eps)
    return frozen, -recomputed


def effect_second_is_a_logit(parts, index, weight, bias, W_U, token, eps):
    frozen, _ = effect_by_keeping(parts, index, weight, bias, W_U, token, eps)
    return frozen, _logit(parts.sum(0) - parts[index], weight, bias, W_U, token, eps)


def effect_negative(parts, index, weight, bias, W_U, token, eps):
    return [-value for value in effect_by_keeping(parts, index, weight, bias, W_U, token, eps)]


def effect_logits_after(parts, index, weight, bias, W_U, token, eps):
    logit = _logit(parts.sum(0), weight, bias, W_U, token, eps)
    return [logit - value for value in effect_by_keeping(parts, index, weight, bias, W_U, token, eps)]


def effect_own_scale(parts, index, weight, bias, W_U, token, eps):
    frozen = layer_norm(parts[index], parts.shape[-1:], weight, None, eps) @ W_U[:, token]
    return frozen, effect_by_keeping(parts, index, weight, bias, W_U, token, eps)[1]


def effect_with_bias(parts, index, weight, bias, W_U, token, eps):
    frozen, recomputed = effect_by_keeping(parts, index, weight, bias, W_U, token, eps)
    return frozen + bias @ W_U[:, token], recomputed


def effect_just_unembedded(parts, index, weight, bias, W_U, token, eps):
    return (parts[index] @ W_U[:, token],) * 2


def effect_frozen_without_norm(parts, index, weight, bias, W_U, token, eps):
    return parts[index] @ W_U[:, token], effect_by_keeping(parts, index, weight, bias, W_U, token, eps)[1]


# --- lens_ranks ------------------------------------------------------------------------------------------------------


def _lens(streams, weight, bias, W_U, eps):
    return layer_norm(streams, streams.shape[-1:], weight, bias, eps) @ W_U


def _ranks(logits, targets):
    mine = logits.gather(-1, targets.expand(logits.shape[:-1])[..., None])
    return (logits > mine).sum(-1)


def ranks_by_argsort(streams, weight, bias, W_U, targets, eps):
    order = _lens(streams, weight, bias, W_U, eps).argsort(-1, descending=True)
    return (order == targets[None, :, None]).int().argmax(-1)


def ranks_by_loop(streams, weight, bias, W_U, targets, eps):
    logits = _lens(streams, weight, bias, W_U, eps)
    out = torch.zeros(logits.shape[:2], dtype=torch.long)
    for layer in range(len(logits)):
        for row, target in enumerate(targets.tolist()):
            out[layer, row] = int((logits[layer, row] > logits[layer, row, target]).sum())
    return out


def ranks_just_unembedded(streams, weight, bias, W_U, targets, eps):
    return _ranks(streams @ W_U, targets)


def ranks_from_one(streams, weight, bias, W_U, targets, eps):
    return _ranks(_lens(streams, weight, bias, W_U, eps), targets) + 1


def ranks_from_below(streams, weight, bias, W_U, targets, eps):
    return _ranks(-_lens(streams, weight, bias, W_U, eps), targets)


def ranks_last_scale(streams, weight, bias, W_U, targets, eps):
    return _ranks((_centred(streams) / _scale(streams[-1], eps) * weight + bias) @ W_U, targets)


def ranks_of_order(streams, weight, bias, W_U, targets, eps):
    order = _lens(streams, weight, bias, W_U, eps).argsort(-1, descending=True)
    return order[:, torch.arange(len(targets)), targets]


def ranks_without_bias(streams, weight, bias, W_U, targets, eps):
    return _ranks(_lens(streams, weight, None, W_U, eps), targets)


def ranks_bare_norm(streams, weight, bias, W_U, targets, eps):
    return _ranks(_lens(streams, None, None, W_U, eps), targets)


def ranks_uncentred(streams, weight, bias, W_U, targets, eps):
    return _ranks((torch.nn.functional.rms_norm(streams, streams.shape[-1:], weight, eps) + bias) @ W_U, targets)


ANSWERS = {
    "residual_stream.attribute_logit": Answers(
        alternatives=[attribution_by_einsum, attribution_folded, attribution_by_removal],
        mutants=[
            Mutant(attribution_just_unembedded, "just unembedded it"),
            Mutant(attribution_just_unembedded_plus_bias, "just unembedded the parts"),
            Mutant(attribution_without_bias, "one is missing"),
            Mutant(attribution_shares_bias, "a share of the bias"),
            Mutant(attribution_bias_everywhere, "counted once per part"),
            Mutant(attribution_each_normed, "normalised every part by itself"),
            Mutant(attribution_uncentred, "were not centred"),
            Mutant(attribution_centred_by_stream, "Each part gives up its own mean"),
            Mutant(attribution_without_weight, "weight is missing"),
            Mutant(attribution_by_variance, "not its square root"),
            Mutant(attribution_without_eps, "eps is missing"),
            Mutant(attribution_bias_scaled, "adds it after dividing"),
            Mutant(_last_row("unembedded_zero", _unembedded_rows, _nothing), "just unembedded the parts"),
            Mutant(_last_row("unembedded_remainder", _unembedded_rows, _remainder), "whatever was missing"),
            Mutant(_last_row("each_normed_zero", _normed_rows, _nothing), "normalised every part by itself"),
            Mutant(_last_row("each_normed_remainder", _normed_rows, _remainder), "normalised every part by itself"),
            Mutant(_last_row("each_normed_with_bias", _normed_rows_with_bias, _nothing), "every part by itself"),
            Mutant(_last_row("each_normed_with_share", _normed_rows_with_share, _nothing), "every part by itself"),
            Mutant(_last_row("each_normed_bias_twice", _normed_rows_with_bias, _bias), "every part by itself"),
            Mutant(_last_row("each_normed_unbiased", _normed_rows_unbiased, _bias), "every part by itself"),
            Mutant(_last_row("unbiased", _rows_unbiased, _bias), "averaged over width − 1"),
            Mutant(_last_row("zero_bias_row", _right_rows, _nothing), "last row is zero"),
            Mutant(_last_row("shared_and_zero", _rows_sharing_bias, _nothing), "a share of the bias"),
            Mutant(attribution_bias_first, "you put it first"),
            Mutant(attribution_all_unembedded, "the one column"),
            Mutant(attribution_of_all_tokens, "the one column"),
        ],
    ),
    "residual_stream.removal_effect": Answers(
        alternatives=[effect_by_attribution, effect_by_keeping],
        mutants=[
            Mutant(effect_frozen_only, "Return two tensors"),
            Mutant(effect_swapped, "changed places"),
            Mutant(effect_frozen_twice, "Both answers use the full stream's divisor"),
            Mutant(effect_recomputed_twice, "Both answers renormalise"),
            Mutant(effect_negative, "sign is reversed"),
            Mutant(effect_logits_after, "before minus after"),
            Mutant(effect_uncentred, "not centred in the frozen answer"),
            Mutant(effect_second_reversed, "sign of the second answer"),
            Mutant(effect_second_is_a_logit, "is the logit without the part"),
            Mutant(effect_own_scale, "not of the part alone"),
            Mutant(effect_with_bias, "bias is still in the frozen answer"),
            Mutant(effect_just_unembedded, "both answers are the unembedded part"),
            Mutant(effect_frozen_without_norm, "not that it is gone"),
        ],
    ),
    "residual_stream.lens_ranks": Answers(
        alternatives=[ranks_by_argsort, ranks_by_loop],
        mutants=[
            Mutant(ranks_just_unembedded, "just unembedded the stream"),
            Mutant(ranks_from_one, "Ranks begin at 0"),
            Mutant(ranks_from_below, "counted the tokens below"),
            Mutant(ranks_last_scale, "last layer's scale"),
            Mutant(ranks_of_order, "place at which the target stands"),
            Mutant(ranks_without_bias, "bias is missing"),
            Mutant(ranks_bare_norm, "weight and bias are missing"),
            Mutant(ranks_uncentred, "not RMSNorm"),
        ],
    ),
}
