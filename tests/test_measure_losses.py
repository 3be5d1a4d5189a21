"""Losses, worked out by hand on four tokens."""

from __future__ import annotations

import math

import pytest
import torch

from utils.measure import in_context_learning_score, second_half_loss, token_losses


def test_token_losses_by_hand() -> None:
    # Probabilities 1/4, 3/4 at each position; the tokens 0 1 0 1 have losses -ln 3/4, -ln 1/4, -ln 3/4.
    logits = torch.tensor([0.0, math.log(3)]).expand(1, 4, 2)
    losses = token_losses(logits, torch.tensor([[0, 1, 0, 1]]))
    assert losses.shape == (1, 3)
    assert torch.allclose(losses, torch.tensor([[math.log(4 / 3), math.log(4), math.log(4 / 3)]]))


def test_token_losses_agree_with_cross_entropy_and_ignore_a_constant() -> None:
    logits, tokens = torch.randn(2, 5, 7), torch.randint(0, 7, (2, 5))
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
    )
    assert torch.allclose(token_losses(logits, tokens).flatten(), expected, atol=1e-5)
    assert torch.allclose(token_losses(logits + 3, tokens), token_losses(logits, tokens), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 7), (3, 5, 7)])
def test_token_losses_reject_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"logits \[batch pos d_vocab\] for tokens \[batch pos\]"):
        token_losses(torch.zeros(shape), torch.zeros(2, 5, dtype=torch.long))


def test_token_losses_need_a_next_token() -> None:
    with pytest.raises(ValueError, match="at least two tokens"):
        token_losses(torch.zeros(2, 1, 7), torch.zeros(2, 1, dtype=torch.long))


def test_second_half_loss_by_hand() -> None:
    losses = torch.tensor([[3.0, 5.0, 1.0, 2.0], [4.0, 4.0, 0.0, 1.0]])  # a beginning token, then two copies of two
    assert second_half_loss(losses, period=2) == (4.0, 1.0)


def test_second_half_loss_averages_all_later_copies() -> None:
    assert second_half_loss(torch.tensor([[6.0, 2.0, 1.0]]), period=1) == (6.0, 1.5)


@pytest.mark.parametrize("period", [0, 3, 4, 5])
def test_second_half_loss_rejects_a_period_that_does_not_fit(period: int) -> None:
    with pytest.raises(ValueError, match=f"4 losses do not fit a period of {period}"):
        second_half_loss(torch.zeros(1, 4), period)


def test_in_context_learning_score_by_hand() -> None:
    losses = torch.tensor([[5.0, 4.0, 2.0, 1.0]])
    assert in_context_learning_score(losses, early=(0, 2), late=(2, 4)) == -3.0
    assert in_context_learning_score(losses, early=(1, 2), late=(1, 2)) == 0.0


@pytest.mark.parametrize(("early", "late", "name"), [((0, 0), (2, 4), "early"), ((0, 2), (2, 5), "late")])
def test_in_context_learning_score_rejects_windows_outside(
    early: tuple[int, int], late: tuple[int, int], name: str
) -> None:
    with pytest.raises(ValueError, match=f"The {name} window .* does not lie inside the 4 losses"):
        in_context_learning_score(torch.zeros(1, 4), early, late)
