"""Circuits in the weights: matrices that can be written down, and properties that hold for all."""

from __future__ import annotations

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import (
    composition_score,
    copying_score,
    ov_matrix,
    qk_matrix,
    read_subspace,
    subspace_overlap,
    write_subspace,
)


def test_ov_matrices_on_paper(by_hand: TransformerBridge) -> None:
    expected = torch.zeros(4, 4)
    expected[0, 1] = 2  # reads coordinate 0, writes twice that to coordinate 1
    assert torch.equal(ov_matrix(by_hand, 0, 0), expected)
    assert not qk_matrix(by_hand, 0, 0).any()


@pytest.mark.parametrize("name", ["tiny_attention", "tiny_llama"])
def test_matrices_agree_with_the_library(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    for layer in range(model.cfg.n_layers):
        for head in range(model.cfg.n_heads):
            theirs = model.OV[layer, head].AB.detach()
            assert torch.allclose(ov_matrix(model, layer, head), theirs, atol=1e-5)
            assert torch.allclose(qk_matrix(model, layer, head), model.QK[layer, head].AB.detach(), atol=1e-5)


def test_shared_keys_and_values_go_to_neighbouring_heads(tiny_llama: TransformerBridge) -> None:
    for kind in ("K", "V"):
        spaces = [read_subspace(tiny_llama, 0, head, kind) for head in range(6)]
        assert torch.equal(spaces[0], spaces[2]) and torch.equal(spaces[3], spaces[5])
        assert not torch.equal(spaces[2], spaces[3])


def test_ov_matrix_is_what_a_head_does(tiny_attention: TransformerBridge) -> None:
    """With attention to itself alone, a head adds (normed stream + biases) @ OV."""
    tokens = torch.tensor([[3]])
    _, cache = tiny_attention.run_with_cache(tokens)
    read = cache["blocks.0.ln1.hook_out"][0, 0]
    z = cache["blocks.0.attn.hook_z"][0, 0, 1] - tiny_attention.blocks[0].attn.b_V[1]
    assert torch.allclose(read @ ov_matrix(tiny_attention, 0, 1), z @ write_subspace(tiny_attention, 0, 1).T, atol=1e-4)


def test_copying_score_uses_the_full_circuit(tiny_attention: TransformerBridge, tiny_llama: TransformerBridge) -> None:
    for model in (tiny_attention, tiny_llama):
        full = (model.W_E @ ov_matrix(model, 1, 1) @ model.W_U).detach().double()
        eigenvalues = torch.linalg.eigvals(full)
        expected = (eigenvalues.real.sum() / eigenvalues.abs().sum()).item()
        # Rounding turns the many zero eigenvalues of the big matrix into small ones, which enter the divisor.
        assert copying_score(model, 1, 1) == pytest.approx(expected, abs=2e-3)


def test_copying_score_of_a_copier(by_hand: TransformerBridge) -> None:
    # Head 1.1 reads coordinate 0 (token ids) and writes to what token 1 reads: one eigenvalue, and it is positive.
    assert copying_score(by_hand, 1, 1) == pytest.approx(1.0)


def test_composition_on_paper(by_hand: TransformerBridge) -> None:
    # Head 1.0 reads exactly the coordinate that head 0.0 writes; head 1.1 reads another one.
    assert composition_score(by_hand, (0, 0), (1, 0), "V") == pytest.approx(1.0)
    assert composition_score(by_hand, (0, 0), (1, 1), "V") == 0.0


def test_composition_kinds(tiny_attention: TransformerBridge) -> None:
    written = ov_matrix(tiny_attention, 0, 1)
    looks = qk_matrix(tiny_attention, 2, 0)
    for kind, reads in (("Q", looks), ("K", looks.T), ("V", ov_matrix(tiny_attention, 2, 0))):
        expected = ((written @ reads).norm() / written.norm() / reads.norm()).item()
        assert composition_score(tiny_attention, (0, 1), (2, 0), kind) == pytest.approx(expected)  # type: ignore[arg-type]


def test_subspaces_on_paper() -> None:
    axes = torch.eye(4)
    assert subspace_overlap(axes[:, :2], axes[:, 2:]) == 0.0
    assert subspace_overlap(axes[:, :1], axes[:, :3]) == pytest.approx(1.0)
    assert subspace_overlap(axes[:, :2], axes[:, 1:3]) == pytest.approx(0.5)
    tilted = torch.tensor([[1.0], [1.0], [0.0], [0.0]])  # 45° from the first axis
    assert subspace_overlap(tilted, axes[:, :1]) == pytest.approx(0.5)


def test_overlap_ignores_the_choice_of_columns() -> None:
    a, b, mix = torch.randn(9, 3), torch.randn(9, 4), torch.randn(3, 3)
    assert subspace_overlap(a @ mix, b) == pytest.approx(subspace_overlap(a, b), abs=1e-3)
    assert subspace_overlap(a, b) == pytest.approx(subspace_overlap(b, a), abs=1e-6)
    assert subspace_overlap(torch.cat([a, a], dim=1), b) == pytest.approx(subspace_overlap(a, b), abs=1e-6)


def test_random_overlap_is_the_larger_share() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [
        subspace_overlap(torch.randn(40, 5, generator=generator), torch.randn(40, 10, generator=generator))
        for _ in range(200)
    ]
    assert sum(draws) / len(draws) == pytest.approx(10 / 40, abs=0.01)


def test_errors_in_one_sentence(by_hand: TransformerBridge) -> None:
    for function in (ov_matrix, qk_matrix, copying_score, write_subspace, read_subspace):
        with pytest.raises(ValueError, match="There is no head 2.0: the model has layers 0 to 1 with heads 0 to 1"):
            function(by_hand, 2, 0)
    with pytest.raises(ValueError, match="There is no head 0.-1"):
        ov_matrix(by_hand, 0, -1)
    with pytest.raises(ValueError, match="from an earlier layer to a later one"):
        composition_score(by_hand, (1, 0), (1, 1))
    with pytest.raises(ValueError, match="'Q', 'K' or 'V', not 'O'"):
        composition_score(by_hand, (0, 0), (1, 1), "O")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'Q', 'K' or 'V', not 'O'"):
        read_subspace(by_hand, 0, 0, "O")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="columns of the same length"):
        subspace_overlap(torch.ones(3, 1), torch.ones(4, 1))
    with pytest.raises(ValueError, match="columns of zeros"):
        subspace_overlap(torch.zeros(3, 1), torch.ones(3, 1))
