"""Attention scores on a four-token pattern whose entries can be pointed at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import (
    attention_rollout,
    current_token_score,
    diagonal_score,
    duplicate_token_score,
    effective_sources,
    head_scores,
    induction_score,
    previous_token_score,
)

# A beginning token, then "a b a": with a period of 2, position 3 is the second copy's first token.
ROWS = torch.tensor([[1.0, 0, 0, 0], [0.6, 0.4, 0, 0], [0.2, 0.5, 0.3, 0], [0.1, 0.2, 0.3, 0.4]])


@pytest.fixture
def pattern() -> Tensor:
    """One row of a batch, two heads: the pattern above, and one that always rests on the beginning token."""
    resting = torch.zeros(4, 4)
    resting[:, 0] = 1
    return torch.stack([ROWS, resting])[None]


def test_scores_by_hand(pattern: Tensor) -> None:
    by_hand = {
        current_token_score: (0.4 + 0.3 + 0.4) / 3,
        previous_token_score: (0.5 + 0.3) / 2,  # query 1 would look at the beginning token: left out
    }
    for score, expected in by_hand.items():
        assert torch.allclose(score(pattern), torch.tensor([expected, 0.0])), score.__name__
    assert torch.allclose(induction_score(pattern, period=2), torch.tensor([0.3, 0.0]))  # from 3 to 3 - 2 + 1
    assert torch.allclose(duplicate_token_score(pattern, period=2), torch.tensor([0.2, 0.0]))  # from 3 to 3 - 2
    assert torch.allclose(diagonal_score(pattern, 2), torch.tensor([0.2, 0.0]))


def test_scores_average_over_the_batch(pattern: Tensor) -> None:
    both = torch.cat([pattern, pattern.flip(1)])
    assert torch.allclose(previous_token_score(both), torch.tensor([0.2, 0.2]))


def test_induction_score_leaves_the_first_copy_out() -> None:
    pattern = torch.zeros(1, 1, 7, 7)  # a beginning token and two copies of three tokens
    pattern[0, 0, 4, 2] = pattern[0, 0, 5, 3] = pattern[0, 0, 6, 4] = 1
    assert induction_score(pattern, 3).item() == 1
    pattern[0, 0, 3, 1] = 1  # still the first copy
    assert induction_score(pattern, 3).item() == 1
    assert diagonal_score(pattern, 2).item() == 1


@pytest.mark.parametrize("score", [induction_score, duplicate_token_score])
@pytest.mark.parametrize("period", [0, 3, 9])
def test_scores_reject_a_period_that_does_not_fit(score, period: int, pattern: Tensor) -> None:
    with pytest.raises(ValueError, match=f"A period of {period} does not fit .* choose a period from 1 to 2"):
        score(pattern, period)


@pytest.mark.parametrize("offset", [-1, 3])
def test_diagonal_score_rejects_an_offset_outside(offset: int, pattern: Tensor) -> None:
    with pytest.raises(ValueError, match="choose an offset from 0 to 2"):
        diagonal_score(pattern, offset)


def test_scores_reject_a_single_pattern() -> None:
    with pytest.raises(ValueError, match=r"\[batch head query key\]"):
        previous_token_score(ROWS)


def test_head_scores_of_even_attention(by_hand: TransformerBridge) -> None:
    # Every head attends evenly: 1/3 from query 2 and 1/4 from query 3.
    scores = head_scores(by_hand, torch.tensor([[1, 2, 3, 4]]), previous_token_score)
    assert torch.allclose(scores, torch.full((2, 2), (1 / 3 + 1 / 4) / 2))
    assert torch.allclose(
        head_scores(by_hand, torch.tensor([[1, 2, 3, 2]]), induction_score, period=2), torch.full((2, 2), 1 / 4)
    )


def test_attention_rollout_by_hand() -> None:
    layer = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    first = torch.tensor([[1.0, 0.0], [0.25, 0.75]])  # half the stream, half the attention
    second = torch.tensor([[1.0, 0.0], [0.4375, 0.5625]])  # half of `first`, half of layer @ first
    rollout = attention_rollout(layer.expand(2, 1, 2, 2))
    assert torch.allclose(rollout[:, 0], torch.stack([first, second]))


def test_attention_rollout_keeps_shares() -> None:
    patterns = torch.rand(3, 2, 5, 5).tril().softmax(-1)
    assert torch.allclose(attention_rollout(patterns).sum(-1), torch.ones(3, 2, 5))
    with pytest.raises(ValueError, match="averaged over heads"):
        attention_rollout(torch.zeros(2, 1, 3, 4, 4))


def test_effective_sources() -> None:
    assert torch.allclose(effective_sources(torch.tensor([[1.0, 0, 0, 0], [0.25] * 4])), torch.tensor([1.0, 4.0]))
