"""The circuits inside the weights: where a head looks (QK), what it moves (OV), and whether two heads compose.

Matrices act on row vectors: a token's stream `x` becomes `x @ OV` at the destination, and a query `x` scores a key
`y` by `x @ QK @ y`. The norm in front of a head is not folded in, and rotary positions are left out.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import _weights


@torch.no_grad()
def ov_matrix(model: TransformerBridge, layer: int, head: int) -> Float[Tensor, "d_model d_model"]:
    """What a head writes for what it reads: `W_V @ W_O`, of rank at most `d_head`.

    Source: Elhage et al. (2021), "splitting attention head terms into circuits".

    Raises:
        ValueError: if there is no such head.
    """
    return _weights.value_weights(model, layer, head) @ _weights.output_weights(model, layer, head)


@torch.no_grad()
def qk_matrix(model: TransformerBridge, layer: int, head: int) -> Float[Tensor, "d_model d_model"]:
    """How a head scores a query (rows) against a key (columns): `W_Q @ W_K.T`, before division by √d_head.

    Source: Elhage et al. (2021), "splitting attention head terms into circuits".

    Raises:
        ValueError: if there is no such head.
    """
    return _weights.query_weights(model, layer, head) @ _weights.key_weights(model, layer, head).T


@torch.no_grad()
def copying_score(model: TransformerBridge, layer: int, head: int) -> float:
    """Whether a head raises the logit of the token it attends to: Σλ / Σ|λ| over eigenvalues of `W_E OV W_U`.

    1: every direction of tokens raises itself; −1: each lowers itself; near 0: neither. The d_vocab × d_vocab matrix
    has the same non-zero eigenvalues as the d_head × d_head product `W_O W_U W_E W_V`, which is what is computed.

    Source: Elhage et al. (2021), "summarizing OV/QK matrices".

    Raises:
        ValueError: if there is no such head.
    """
    read = model.W_E.detach() @ _weights.value_weights(model, layer, head)  # [d_vocab d_head]
    write = _weights.output_weights(model, layer, head) @ model.W_U.detach()  # [d_head d_vocab]
    eigenvalues = torch.linalg.eigvals((write @ read).double())
    return (eigenvalues.real.sum() / eigenvalues.abs().sum()).item()


@torch.no_grad()
def composition_score(
    model: TransformerBridge, earlier: tuple[int, int], later: tuple[int, int], kind: Literal["Q", "K", "V"] = "K"
) -> float:
    """How much of what an earlier head writes a later head's queries, keys or values read: ‖AB‖ / (‖A‖ ‖B‖).

    All norms are Frobenius norms; A is the earlier head's OV matrix and B the later head's reading matrix (QK for
    queries, its transpose for keys, OV for values). Random matrices give about 1/√d_model, not 0: compare with that,
    or with `untrained` weights.

    Source: Elhage et al. (2021), "composition scores".

    Raises:
        ValueError: if a head does not exist, the later one is not in a later layer, or `kind` is unknown.
    """
    if kind not in ("Q", "K", "V"):
        raise ValueError(f"Heads compose through 'Q', 'K' or 'V', not {kind!r}.")
    written = ov_matrix(model, *earlier)
    reads = ov_matrix(model, *later) if kind == "V" else qk_matrix(model, *later)
    if earlier[0] >= later[0]:
        raise ValueError(
            f"Head {earlier[0]}.{earlier[1]} cannot feed head {later[0]}.{later[1]}: composition goes from an earlier "
            f"layer to a later one."
        )
    reads = reads.T if kind == "K" else reads
    return ((written @ reads).norm() / (written.norm() * reads.norm())).item()


@torch.no_grad()
def write_subspace(model: TransformerBridge, layer: int, head: int) -> Float[Tensor, "d_model d_head"]:
    """The directions a head can write to, as columns: its output weights, transposed."""
    return _weights.output_weights(model, layer, head).T


@torch.no_grad()
def read_subspace(
    model: TransformerBridge, layer: int, head: int, kind: Literal["Q", "K", "V"] = "V"
) -> Float[Tensor, "d_model d_head"]:
    """The directions a head's queries, keys or values can read from, as columns.

    Raises:
        ValueError: if there is no such head, or `kind` is unknown.
    """
    weights = {"Q": _weights.query_weights, "K": _weights.key_weights, "V": _weights.value_weights}
    if kind not in weights:
        raise ValueError(f"A head reads with 'Q', 'K' or 'V', not {kind!r}.")
    return weights[kind](model, layer, head)


@torch.no_grad()
def subspace_overlap(a: Float[Tensor, "d_model r"], b: Float[Tensor, "d_model s"]) -> float:
    """How far two subspaces share directions: the mean squared cosine of their min(r, s) principal angles.

    1: the smaller lies inside the larger; 0: at right angles. Two random subspaces of independent columns share
    max(r, s) / d_model on average. Columns need not be orthonormal.

    Source: Björck and Golub (1973) for principal angles.

    Raises:
        ValueError: if the columns do not have the same number of entries, or one of the spaces is empty.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0]:
        raise ValueError(
            f"subspace_overlap needs columns of the same length, [d_model r] and [d_model s]; "
            f"got {list(a.shape)} and {list(b.shape)}."
        )
    basis_a, basis_b = _basis(a), _basis(b)
    return ((basis_a.T @ basis_b).pow(2).sum() / min(basis_a.shape[1], basis_b.shape[1])).item()


def _basis(columns: Float[Tensor, "d_model r"]) -> Float[Tensor, "d_model rank"]:
    """Orthonormal columns that span the same space; columns that add nothing are left out."""
    left, singular, _ = torch.linalg.svd(columns.double(), full_matrices=False)
    kept = left[:, singular > 1e-6 * singular.max()]
    if kept.shape[1] == 0:
        raise ValueError("subspace_overlap got columns of zeros, which span nothing.")
    return kept
