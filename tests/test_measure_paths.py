"""Paths through a model, on paper and exactly."""

from __future__ import annotations

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import direct_path_logits, path_logits, unembed

ON_PAPER = torch.tensor([[1, 2, 3, 4]])


def test_paths_on_paper(by_hand: TransformerBridge) -> None:
    _, cache = by_hand.run_with_cache(ON_PAPER)
    labels, values = path_logits(by_hand, cache, token=1)
    # No head: the embedding, 4. One: head 0.0 gives 5 and head 1.1 gives 2.5. Two: the mean of head 0.0's 2 3 4 5.
    # The bias of layer 0 arrives directly and through head 1.0: 0.5 each.
    assert dict(zip(labels, values[:, 0].tolist(), strict=True)) == {
        "0 heads": 4, "1 head": 7.5, "2 heads": 3.5, "biases": 1,
    }  # fmt: skip


def test_paths_sum_to_the_logit(tiny_attention: TransformerBridge) -> None:
    tokens = torch.randint(0, 11, (2, 7), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        logits, cache = tiny_attention.run_with_cache(tokens)
    for pos in (-1, 0, 3):
        labels, values = path_logits(tiny_attention, cache, token=7, pos=pos)
        assert labels == ["0 heads", "1 head", "2 heads", "3 heads", "biases"] and values.shape == (5, 2)
        assert torch.allclose(values.sum(0), logits[:, pos, 7], atol=1e-4)


def test_paths_scale_with_the_embedding(tiny_attention: TransformerBridge) -> None:
    """Frozen patterns and divisors make the split linear: twice the embedding, twice every path, same biases."""
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    _, cache = tiny_attention.run_with_cache(tokens)
    before = path_logits(tiny_attention, cache, token=7).values
    for name in ("hook_embed", "hook_pos_embed"):
        cache.cache_dict[name] = 2 * cache.cache_dict[name]
    after = path_logits(tiny_attention, cache, token=7).values
    assert torch.allclose(after[:-1], 2 * before[:-1], atol=1e-4)
    assert torch.allclose(after[-1], before[-1], atol=1e-5)


def test_direct_path_on_paper(by_hand: TransformerBridge) -> None:
    assert direct_path_logits(by_hand, ON_PAPER)[0, :, 1].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["tiny_attention", "tiny_llama"])
def test_direct_path_reads_the_first_stream(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    tokens = torch.tensor([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]])
    _, cache = model.run_with_cache(tokens)
    assert torch.allclose(
        direct_path_logits(model, tokens), unembed(model, cache["blocks.0.hook_resid_pre"]), atol=1e-5
    )


def test_errors_in_one_sentence(by_hand: TransformerBridge, tiny_llama: TransformerBridge) -> None:
    _, cache = tiny_llama.run_with_cache(ON_PAPER)
    with pytest.raises(ValueError, match="needs a model of attention layers only"):
        path_logits(tiny_llama, cache, token=1)
    _, cache = by_hand.run_with_cache(ON_PAPER)
    with pytest.raises(ValueError, match="There is no token 9"):
        path_logits(by_hand, cache, token=9)
    with pytest.raises(ValueError, match="7 tokens do not fit the context window of 6"):
        direct_path_logits(by_hand, torch.zeros(1, 7, dtype=torch.long))
