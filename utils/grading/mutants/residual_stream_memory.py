"""Answers about memory, subspaces, cost and paths: other right ones, and wrong ones that people give."""

from __future__ import annotations

import itertools
import math

import torch
from einops import einsum

from utils.grading.mutants import Answers, Mutant

# --- memory_share ----------------------------------------------------------------------------------------------------


def _parts(writes):
    streams = writes.cumsum(0)
    dots = einsum(writes, streams, "write b m, time b m -> write time b")
    return streams, dots, torch.ones(len(writes), len(writes)).triu()[..., None]


def share_by_loop(writes):
    count, batch, _ = writes.shape
    out = torch.zeros(count, count, batch)
    for time in range(count):
        stream = writes[: time + 1].sum(0)
        for write in range(time + 1):
            out[write, time] = (writes[write] * stream).sum(-1) / (stream**2).sum(-1)
    return out


def share_by_direction(writes):
    streams = writes.cumsum(0)
    direction = streams / streams.norm(dim=-1, keepdim=True)
    along = (writes[:, None] * direction[None]).sum(-1) / streams.norm(dim=-1)
    return torch.where(torch.ones(len(writes), len(writes)).triu()[..., None] > 0, along, 0.0)


def share_of_the_future(writes):
    streams, dots, _ = _parts(writes)
    return dots / streams.pow(2).sum(-1)


def share_transposed(writes):
    return share_by_direction(writes).transpose(0, 1)


def share_of_lengths(writes):
    streams, _, so_far = _parts(writes)
    return writes.norm(dim=-1)[:, None] / streams.norm(dim=-1) * so_far


def share_of_squares(writes):
    streams, _, so_far = _parts(writes)
    return writes.pow(2).sum(-1)[:, None] / streams.pow(2).sum(-1) * so_far


def share_divided_once(writes):
    streams, dots, so_far = _parts(writes)
    return dots / streams.norm(dim=-1) * so_far


def share_cosine(writes):
    _, _, so_far = _parts(writes)
    return torch.cosine_similarity(writes[:, None], writes.cumsum(0)[None], dim=-1) * so_far


def share_of_the_end(writes):
    streams, dots, so_far = _parts(writes)
    return dots[:, -1:] / streams[-1].pow(2).sum(-1) * so_far


def share_of_summed_lengths(writes):
    lengths = writes.norm(dim=-1)
    return lengths[:, None] / lengths.cumsum(0) * _parts(writes)[2]


def share_of_the_write(writes):
    _, dots, so_far = _parts(writes)
    return dots / writes.pow(2).sum(-1)[:, None] * so_far


def share_at_the_end_only(writes):
    streams, dots, _ = _parts(writes)
    return dots[:, -1] / streams[-1].pow(2).sum(-1)


# --- principal_cosines -----------------------------------------------------------------------------------------------


def cosines_by_svd(write, read):
    a, _, _ = torch.linalg.svd(write, full_matrices=False)
    b, _, _ = torch.linalg.svd(read, full_matrices=False)
    return torch.linalg.svd(a.T @ b).S


def cosines_by_projectors(write, read):
    """The squared cosines are the largest eigenvalues of one projector seen through the other."""
    onto = read @ torch.linalg.pinv(read)
    basis = torch.linalg.qr(write).Q
    squared = torch.linalg.eigvalsh(basis.T @ onto @ basis).flip(0)
    return squared[: min(write.shape[1], read.shape[1])].clamp(min=0).sqrt()


def cosines_raw(write, read):
    return torch.linalg.svdvals(write.T @ read)


def cosines_unit_columns(write, read):
    return torch.linalg.svdvals((write / write.norm(dim=0)).T @ (read / read.norm(dim=0)))


def cosines_squared(write, read):
    return cosines_by_svd(write, read) ** 2


def cosines_as_angles(write, read):
    return cosines_by_svd(write, read).clamp(max=1).arccos()


def cosines_ascending(write, read):
    return cosines_by_svd(write, read).flip(0)


def cosines_composition(write, read):
    return cosines_raw(write, read) / write.norm() / read.norm()


def cosines_half(write, read):
    return torch.linalg.svdvals(torch.linalg.qr(write).Q.T @ read)


def cosines_mean(write, read):
    return cosines_by_svd(write, read).pow(2).mean()


def cosines_matrix(write, read):
    return torch.linalg.qr(write).Q.T @ torch.linalg.qr(read).Q


# --- crossover_length ------------------------------------------------------------------------------------------------


def length_in_flops(d_model, d_mlp, n_heads, d_head, gated, causal):
    mlp = 2 * (3 if gated else 2) * d_model * d_mlp
    attention_per_key = 2 * 2 * n_heads * d_head
    return (2 if causal else 1) * mlp / attention_per_key


def length_by_counting(d_model, d_mlp, n_heads, d_head, gated, causal):
    matrices = 2 + gated
    return torch.tensor(matrices * d_model * d_mlp * (1 + causal) / (2 * n_heads * d_head), dtype=torch.float64)


def length_scores_alone(d_model, d_mlp, n_heads, d_head, gated, causal):
    return 2 * length_in_flops(d_model, d_mlp, n_heads, d_head, gated, causal)


def length_one_matrix(d_model, d_mlp, n_heads, d_head, gated, causal):
    return (2 if causal else 1) * d_model * d_mlp / (2 * n_heads * d_head)


def length_always_gated(d_model, d_mlp, n_heads, d_head, gated, causal):
    return length_in_flops(d_model, d_mlp, n_heads, d_head, True, causal)


def length_never_gated(d_model, d_mlp, n_heads, d_head, gated, causal):
    return length_in_flops(d_model, d_mlp, n_heads, d_head, False, causal)


def length_ignores_mask(d_model, d_mlp, n_heads, d_head, gated, causal):
    return length_in_flops(d_model, d_mlp, n_heads, d_head, gated, False)


def length_halved_wrongly(d_model, d_mlp, n_heads, d_head, gated, causal):
    return length_in_flops(d_model, d_mlp, n_heads, d_head, gated, False) / (2 if causal else 1)


def length_by_d_model(d_model, d_mlp, n_heads, d_head, gated, causal):
    return (3 if gated else 2) * d_mlp * (2 if causal else 1) / 2


def length_one_head(d_model, d_mlp, n_heads, d_head, gated, causal):
    return length_in_flops(d_model, d_mlp, 1, d_head, gated, causal)


def length_four_times_d_model(d_model, d_mlp, n_heads, d_head, gated, causal):
    return 4 * d_model * (2 if causal else 1)


def length_upside_down(d_model, d_mlp, n_heads, d_head, gated, causal):
    return 1 / length_in_flops(d_model, d_mlp, n_heads, d_head, gated, causal)


# --- count_paths -----------------------------------------------------------------------------------------------------


def paths_by_layers(n_layers, n_heads):
    """Layer by layer: a path stays as long as it is, or takes one of the heads."""
    counts = [1]
    for _ in range(n_layers):
        longer = [0] + [count * n_heads for count in counts]
        counts = [stay + take for stay, take in zip([*counts, 0], longer, strict=True)]
    return counts


def paths_by_factorials(n_layers, n_heads):
    layers = math.factorial(n_layers)
    return tuple(layers // (math.factorial(k) * math.factorial(n_layers - k)) * n_heads**k for k in range(n_layers + 1))


def paths_without_direct(n_layers, n_heads):
    return paths_by_layers(n_layers, n_heads)[1:]


def paths_over_all_heads(n_layers, n_heads):
    return [math.comb(n_layers * n_heads, k) for k in range(n_layers + 1)]


def paths_without_choice_of_layers(n_layers, n_heads):
    return [n_heads**k for k in range(n_layers + 1)]


def paths_of_layers(n_layers, n_heads):
    return [math.comb(n_layers, k) for k in range(n_layers + 1)]


def paths_heads_times_k(n_layers, n_heads):
    return [math.comb(n_layers, k) * (n_heads * k if k else 1) for k in range(n_layers + 1)]


def paths_in_order(n_layers, n_heads):
    return [math.perm(n_layers, k) * n_heads**k for k in range(n_layers + 1)]


def paths_total(n_layers, n_heads):
    return (1 + n_heads) ** n_layers


def paths_in_floats(n_layers, n_heads):
    return [float(count) for count in paths_by_layers(n_layers, n_heads)]


def paths_in_a_tensor(n_layers, n_heads):
    return torch.tensor(paths_by_layers(n_layers, n_heads), dtype=torch.float64)


def paths_accumulated(n_layers, n_heads):
    return list(itertools.accumulate(paths_by_layers(n_layers, n_heads)))


ANSWERS = {
    "residual_stream.memory_share": Answers(
        alternatives=[share_by_loop, share_by_direction],
        mutants=[
            Mutant(share_of_the_future, "no share before it is written"),
            Mutant(share_transposed, "yours are [time write batch]"),
            Mutant(share_of_lengths, "You compared lengths"),
            Mutant(share_of_squares, "You compared squared lengths"),
            Mutant(share_divided_once, "Divide by its square"),
            Mutant(share_cosine, "Those are cosines"),
            Mutant(share_of_the_end, "the final stream at every time"),
            Mutant(share_of_summed_lengths, "by the sum of lengths so far"),
            Mutant(share_of_the_write, "own squared length"),
            Mutant(share_at_the_end_only, "should have shape [4, 4, 3]"),
        ],
    ),
    "residual_stream.principal_cosines": Answers(
        alternatives=[cosines_by_svd, cosines_by_projectors],
        mutants=[
            Mutant(cosines_raw, "Orthonormalise both first"),
            Mutant(cosines_unit_columns, "Columns of length 1 are not enough"),
            Mutant(cosines_squared, "squared cosines"),
            Mutant(cosines_as_angles, "Those are the angles"),
            Mutant(cosines_ascending, "largest cosine comes first"),
            Mutant(cosines_composition, "as a composition score does"),
            Mutant(cosines_half, "Only one side"),
            Mutant(cosines_mean, "not their mean"),
            Mutant(cosines_matrix, "should have shape [2]"),
        ],
    ),
    "residual_stream.crossover_length": Answers(
        alternatives=[length_in_flops, length_by_counting],
        mutants=[
            Mutant(length_scores_alone, "scores alone"),
            Mutant(length_one_matrix, "counts one matrix"),
            Mutant(length_always_gated, "Without a gate the MLP has two"),
            Mutant(length_never_gated, "With a gate the MLP has three"),
            Mutant(length_ignores_mask, "yours ignores that"),
            Mutant(length_halved_wrongly, "comes later, not earlier"),
            Mutant(length_by_d_model, "need not equal d_model"),
            Mutant(length_one_head, "the n_heads is missing"),
            Mutant(length_upside_down, "the other way round"),
            Mutant(length_four_times_d_model, "rule of thumb"),
        ],
    ),
    "residual_stream.count_paths": Answers(
        alternatives=[paths_by_layers, paths_by_factorials],
        mutants=[
            Mutant(paths_without_direct, "no head at all is missing"),
            Mutant(paths_over_all_heads, "two heads of one layer"),
            Mutant(paths_without_choice_of_layers, "not the layers they stand in"),
            Mutant(paths_of_layers, "every chosen layer offers n_heads"),
            Mutant(paths_heads_times_k, "n_heads^k ways"),
            Mutant(paths_in_order, "not once per order"),
            Mutant(paths_total, "Return a list"),
            Mutant(paths_in_floats, "whole numbers"),
            Mutant(paths_in_a_tensor, "hold exactly"),
            Mutant(paths_accumulated, "the counts differ"),
        ],
    ),
}
