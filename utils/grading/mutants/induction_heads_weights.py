"""Answers about weights: right ones written differently, and wrong ones that people give."""

from __future__ import annotations

import math

import torch

from utils.grading.mutants import Answers, Mutant

# --- copying_score ---------------------------------------------------------------------------------------------------


def _small(w_e, w_v, w_o, w_u):
    return w_o @ w_u @ w_e @ w_v


def copying_by_trace(w_e, w_v, w_o, w_u):
    small = torch.einsum("hm,mv,vn,nk->hk", w_o, w_u, w_e, w_v)
    return small, small.trace() / torch.linalg.eigvals(small).abs().sum()


def copying_transposed(w_e, w_v, w_o, w_u):
    small = ((w_e @ w_v).T @ (w_o @ w_u).T).double()
    values = torch.linalg.eig(small).eigenvalues
    return [small, float(values.real.sum() / (values.real**2 + values.imag**2).sqrt().sum())]


def copying_full_matrix(w_e, w_v, w_o, w_u):
    full = w_e @ w_v @ w_o @ w_u
    values = torch.linalg.eigvals(full)
    return full, (values.sum().real / values.abs().sum()).item()


def copying_without_embedding(w_e, w_v, w_o, w_u):
    small = w_o @ w_v
    values = torch.linalg.eigvals(small)
    return small, (values.sum().real / values.abs().sum()).item()


def copying_wrong_order(w_e, w_v, w_o, w_u):
    small = w_o @ (w_u @ w_e).T @ w_v
    values = torch.linalg.eigvals(small)
    return small, (values.sum().real / values.abs().sum()).item()


def copying_share_positive(w_e, w_v, w_o, w_u):
    small = _small(w_e, w_v, w_o, w_u)
    return small, (torch.linalg.eigvals(small).real > 0).float().mean().item()


def copying_real_denominator(w_e, w_v, w_o, w_u):
    small = _small(w_e, w_v, w_o, w_u)
    real = torch.linalg.eigvals(small).real
    return small, (real.sum() / real.abs().sum()).item()


def copying_singular_values(w_e, w_v, w_o, w_u):
    small = _small(w_e, w_v, w_o, w_u)
    return small, (small.trace() / torch.linalg.svdvals(small).sum()).item()


def copying_absolute(w_e, w_v, w_o, w_u):
    small = _small(w_e, w_v, w_o, w_u)
    values = torch.linalg.eigvals(small)
    return small, (values.real.abs().sum() / values.abs().sum()).item()


def copying_unnormalised(w_e, w_v, w_o, w_u):
    small = _small(w_e, w_v, w_o, w_u)
    return small, torch.linalg.eigvals(small).real.sum().item()


def copying_mean_of_ratios(w_e, w_v, w_o, w_u):
    small = _small(w_e, w_v, w_o, w_u)
    values = torch.linalg.eigvals(small)
    return small, (values.real / values.abs()).mean().item()


def copying_score_alone(w_e, w_v, w_o, w_u):
    return copying_by_trace(w_e, w_v, w_o, w_u)[1].item()


# --- auroc -----------------------------------------------------------------------------------------------------------


def auroc_by_loop(scores, labels):
    positives = [s for s, label in zip(scores.tolist(), labels.tolist(), strict=True) if label]
    negatives = [s for s, label in zip(scores.tolist(), labels.tolist(), strict=True) if not label]
    wins = sum((a > b) + 0.5 * (a == b) for a in positives for b in negatives)
    return wins / (len(positives) * len(negatives))


def auroc_by_ranks(scores, labels):
    below = (scores[:, None] > scores[None, :]).sum(1)
    equal = (scores[:, None] == scores[None, :]).sum(1)
    rank = below + (equal + 1) / 2  # mean rank, from 1
    positives, negatives = int(labels.sum()), int((~labels).sum())
    return float((rank[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auroc_by_trapezoids(scores, labels):
    hits, alarms = [0.0], [0.0]
    for threshold in scores.unique().flip(0):
        hits.append((scores[labels] >= threshold).float().mean().item())
        alarms.append((scores[~labels] >= threshold).float().mean().item())
    return torch.trapezoid(torch.tensor(hits), torch.tensor(alarms))


def auroc_ties_win(scores, labels):
    return (scores[labels][:, None] >= scores[~labels][None, :]).float().mean().item()


def auroc_ties_lose(scores, labels):
    return (scores[labels][:, None] > scores[~labels][None, :]).float().mean().item()


def auroc_turned(scores, labels):
    return 1 - auroc_by_loop(scores, labels)


def auroc_accuracy(scores, labels):
    return ((scores > scores.median()) == labels).float().mean().item()


def auroc_accuracy_at_0(scores, labels):
    return ((scores > 0) == labels).float().mean().item()


def auroc_all_pairs(scores, labels):
    above = scores[:, None] > scores[None, :]
    level = scores[:, None] == scores[None, :]
    crossing = labels[:, None] & ~labels[None, :]
    return ((above + 0.5 * level) * crossing).mean().item()


# --- k_composition ---------------------------------------------------------------------------------------------------


def _score(w_v, w_o, w_q, w_k):
    writes, meets = w_v @ w_o, w_k @ w_q.T
    return ((writes @ meets).norm() / (writes.norm() * meets.norm())).item()


def _baseline(score, weights, draws, seed, draw=torch.randn):
    g = torch.Generator().manual_seed(seed)
    return sum(score(*(draw(w.shape, generator=g) for w in weights)) for _ in range(draws)) / draws


def _with_baseline(score):
    def answer(w_v, w_o, w_q, w_k, draws, seed):
        return score(w_v, w_o, w_q, w_k), _baseline(score, (w_v, w_o, w_q, w_k), draws, seed)

    return answer


def composition_transposed(w_v, w_o, w_q, w_k, draws, seed):
    """Columns instead of rows, as the paper writes it: ‖W_QKᵀ W_OV‖."""

    def score(v, o, q, k):
        ov, qk = (v @ o).T, q @ k.T
        return float(torch.linalg.norm(qk @ ov) / torch.linalg.norm(qk) / torch.linalg.norm(ov))

    return _with_baseline(score)(w_v, w_o, w_q, w_k, draws, seed)


def composition_one_by_one(w_v, w_o, w_q, w_k, draws, seed):
    """Other random numbers, in another order."""
    g, total = torch.Generator().manual_seed(seed + 1), 0.0
    for _ in range(draws):
        k, q, o, v = (torch.randn(*w.shape, generator=g) for w in (w_k, w_q, w_o, w_v))
        total += _score(v, o, q, k)
    return _score(w_v, w_o, w_q, w_k), total / draws


def composition_wide_baseline(w_v, w_o, w_q, w_k, draws, seed):
    """Random matrices of width × width in place of heads."""
    g, total = torch.Generator().manual_seed(seed), 0.0
    for _ in range(draws):
        writes, meets = torch.randn(2, len(w_v), len(w_v), generator=g)
        total += ((writes @ meets).norm() / (writes.norm() * meets.norm())).item()
    return _score(w_v, w_o, w_q, w_k), total / draws


def composition_closed_form(w_v, w_o, w_q, w_k, draws, seed):
    """Random directions meet with a mean square of 1 / d_model."""
    return [_score(w_v, w_o, w_q, w_k), 1 / math.sqrt(len(w_v))]


composition_of_queries = _with_baseline(lambda v, o, q, k: _score(v, o, k, q))


def composition_backwards(w_v, w_o, w_q, w_k, draws, seed):
    writes, meets = w_v @ w_o, w_k @ w_q.T
    score = ((meets @ writes).norm() / (writes.norm() * meets.norm())).item()
    return score, _baseline(_score, (w_v, w_o, w_q, w_k), draws, seed)


def composition_ov_transposed(w_v, w_o, w_q, w_k, draws, seed):
    writes, meets = w_v @ w_o, w_k @ w_q.T
    score = ((writes.T @ meets).norm() / (writes.norm() * meets.norm())).item()
    return score, _baseline(_score, (w_v, w_o, w_q, w_k), draws, seed)


composition_unnormalised = _with_baseline(lambda v, o, q, k: (v @ o @ k @ q.T).norm().item())
composition_squared = _with_baseline(lambda v, o, q, k: _score(v, o, q, k) ** 2)


def _spectral(v, o, q, k):
    def top(matrix):
        return torch.linalg.matrix_norm(matrix, 2)

    writes, meets = v @ o, k @ q.T
    return (top(writes @ meets) / (top(writes) * top(meets))).item()


composition_spectral = _with_baseline(_spectral)


def composition_keys_alone(w_v, w_o, w_q, w_k, draws, seed):
    writes = w_v @ w_o
    score = ((writes @ w_k).norm() / (writes.norm() * w_k.norm())).item()
    return score, _baseline(_score, (w_v, w_o, w_q, w_k), draws, seed)


def composition_positive_baseline(w_v, w_o, w_q, w_k, draws, seed):
    return _score(w_v, w_o, w_q, w_k), _baseline(_score, (w_v, w_o, w_q, w_k), draws, seed, torch.rand)


def composition_summed_baseline(w_v, w_o, w_q, w_k, draws, seed):
    return _score(w_v, w_o, w_q, w_k), draws * _baseline(_score, (w_v, w_o, w_q, w_k), draws, seed)


def composition_no_baseline(w_v, w_o, w_q, w_k, draws, seed):
    return _score(w_v, w_o, w_q, w_k), 0.0


# --- smear_keys ------------------------------------------------------------------------------------------------------


def smear_by_cat(keys, alpha):
    share = 1 / (1 + torch.exp(-alpha))[:, None]
    return torch.cat([keys[:, :1], share * keys[:, 1:] + (1 - share) * keys[:, :-1]], dim=1)


def smear_by_lerp(keys, alpha):
    before = torch.cat([keys[:, :1], keys[:, :-1]], dim=1)
    return torch.lerp(before, keys, alpha.sigmoid().reshape(1, 1, -1, 1).expand_as(keys))


def _blend(keys, share):
    out = keys.clone()
    out[:, 1:] = share * keys[:, 1:] + (1 - share) * keys[:, :-1]
    return out


def smear_turned(keys, alpha):
    return _blend(keys, 1 - alpha.sigmoid()[:, None])


def smear_rolled(keys, alpha):
    share = alpha.sigmoid()[:, None]
    return share * keys + (1 - share) * keys.roll(1, dims=1)


def smear_ahead(keys, alpha):
    share = alpha.sigmoid()[:, None]
    out = keys.clone()
    out[:, :-1] = share * keys[:, :-1] + (1 - share) * keys[:, 1:]
    return out


def smear_faded(keys, alpha):
    share = alpha.sigmoid()[:, None]
    before = torch.cat([torch.zeros_like(keys[:, :1]), keys[:, :-1]], dim=1)
    return share * keys + (1 - share) * before


def smear_raw_alpha(keys, alpha):
    return _blend(keys, alpha[:, None])


def smear_running(keys, alpha):
    share = alpha.sigmoid()[:, None]
    out = keys.clone()
    for position in range(1, keys.shape[1]):
        out[:, position] = share * out[:, position] + (1 - share) * out[:, position - 1]
    return out


def smear_heads(keys, alpha):
    share = alpha.sigmoid()[:, None]
    return share * keys + (1 - share) * keys.roll(1, dims=2)


def smear_in_place(keys, alpha):
    share = alpha.sigmoid()[:, None]
    keys[:, 1:] = share * keys[:, 1:] + (1 - share) * keys[:, :-1].clone()
    return keys


# --- bug_floor -------------------------------------------------------------------------------------------------------


def _fit(joint, logits_of, parameters, steps=200):
    optimiser = torch.optim.Adam(parameters, lr=0.2)
    for _ in range(steps):
        loss = -(joint * logits_of().log_softmax(-1)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss


def _tables(joint):
    source, destination, following = joint.shape
    a = torch.zeros(source, following, requires_grad=True)
    b = torch.zeros(destination, following, requires_grad=True)
    return a, b


def floor_by_adam(joint):
    a, b = _tables(joint)
    return _fit(joint, lambda: a[:, None] + b[None], [a, b]).item()


def floor_by_scaling(joint):
    """Iterative proportional fitting: scale a table until (source, next) and (destination, next) fit the data."""
    p = joint.double() + 1e-12
    pairs = p.sum(-1, keepdim=True)
    q = pairs.expand_as(p) / p.shape[-1]
    for _ in range(400):
        q = q * (p.sum(1) / q.sum(1))[:, None]
        q = q * (p.sum(0) / q.sum(0))[None]
        q = q * (pairs / q.sum(-1, keepdim=True))
    return -(p * (q / pairs).log()).sum().item()


def floor_joint_table(joint):
    table = torch.zeros(joint.shape, requires_grad=True)
    return _fit(joint, lambda: table, [table], 600).item()


def floor_head_alone(joint):
    a, _ = _tables(joint)
    return _fit(joint, lambda: a[:, None].expand(joint.shape), [a]).item()


def floor_direct_alone(joint):
    _, b = _tables(joint)
    return _fit(joint, lambda: b[None].expand(joint.shape), [b]).item()


def floor_marginal(joint):
    p = joint.sum((0, 1))
    return -torch.special.xlogy(p, p).sum().item()


def floor_even_weights(joint):
    even = joint / joint.sum(-1, keepdim=True)
    return floor_by_adam(even / even.sum())


def floor_in_bits(joint):
    return floor_by_adam(joint) / math.log(2)


def floor_small_steps(joint):
    a, b = _tables(joint)
    optimiser = torch.optim.SGD([a, b], lr=1e-5)
    for _ in range(100):
        loss = -(joint * (a[:, None] + b[None]).log_softmax(-1)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


ANSWERS = {
    "induction_heads.copying_score": Answers(
        alternatives=[copying_by_trace, copying_transposed],
        mutants=[
            Mutant(copying_full_matrix, "9.7 GB"),
            Mutant(copying_without_embedding, "W_V W_O alone"),
            Mutant(copying_wrong_order, "other eigenvalues"),
            Mutant(copying_share_positive, "share of eigenvalues with a positive real part"),
            Mutant(copying_real_denominator, "adds up |Re λ|"),
            Mutant(copying_singular_values, "singular values"),
            Mutant(copying_absolute, "The sign is the point"),
            Mutant(copying_unnormalised, "so that size drops out"),
            Mutant(copying_mean_of_ratios, "small eigenvalues weigh as much"),
            Mutant(copying_score_alone, "Return two things"),
        ],
    ),
    "induction_heads.auroc": Answers(
        alternatives=[auroc_by_loop, auroc_by_ranks, auroc_by_trapezoids],
        mutants=[
            Mutant(auroc_ties_win, "Ties count as wins"),
            Mutant(auroc_ties_lose, "Ties count as losses"),
            Mutant(auroc_turned, "turned round"),
            Mutant(auroc_accuracy, "accuracy at a threshold"),
            Mutant(auroc_accuracy_at_0, "accuracy at a threshold"),
            Mutant(auroc_all_pairs, "all pairs of heads"),
        ],
    ),
    "induction_heads.k_composition": Answers(
        alternatives=[composition_transposed, composition_one_by_one],
        mutants=[
            Mutant(composition_of_queries, "Q-composition"),
            Mutant(composition_backwards, "order turned round"),
            Mutant(composition_ov_transposed, "transposed what the earlier head writes"),
            Mutant(composition_unnormalised, "did not divide by the norms"),
            Mutant(composition_squared, "squared norms"),
            Mutant(composition_spectral, "spectral norms"),
            Mutant(composition_keys_alone, "left out W_Q"),
            Mutant(composition_positive_baseline, "torch.rand draws positive"),
            Mutant(composition_summed_baseline, "divide by the number of draws"),
            Mutant(composition_no_baseline, "baseline is off"),
            Mutant(composition_closed_form, "as wide as the stream"),
            Mutant(composition_wide_baseline, "as wide as the stream"),
        ],
    ),
    "induction_heads.smear_keys": Answers(
        alternatives=[smear_by_cat, smear_by_lerp],
        mutants=[
            Mutant(smear_turned, "the position's own key"),
            Mutant(smear_rolled, "torch.roll"),
            Mutant(smear_ahead, "looks into the future"),
            Mutant(smear_faded, "You faded the first key"),
            Mutant(smear_raw_alpha, "α itself"),
            Mutant(smear_running, "already smeared"),
            Mutant(smear_heads, "across heads"),
            Mutant(smear_in_place, "in place"),
        ],
    ),
    "induction_heads.bug_floor": Answers(
        alternatives=[floor_by_adam, floor_by_scaling],
        mutants=[
            Mutant(floor_joint_table, "together"),
            Mutant(floor_head_alone, "floor of the head alone"),
            Mutant(floor_direct_alone, "floor of the direct path alone"),
            Mutant(floor_marginal, "entropy of the next token"),
            Mutant(floor_even_weights, "the same weight"),
            Mutant(floor_in_bits, "Those are bits"),
            Mutant(floor_small_steps, "has hardly moved"),
        ],
    ),
}
