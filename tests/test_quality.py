"""What the shipped models must be able to do, on data they were not trained on, for every evaluation seed."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch

from utils.data import repeated_tokens, text_windows
from utils.measure import (
    head_scores,
    in_context_learning_score,
    induction_score,
    second_half_loss,
    token_losses,
)
from utils.models import checkpoints, load, shipped
from utils.training.quality import PERIOD, Quality, measure


@cache
def quality(name: str, checkpoint: int | None = None) -> Quality:
    """Each model is measured once per test run."""
    return measure(name, checkpoint)


def test_two_layers_have_an_induction_head_and_use_it():
    measured = quality("induction")
    assert measured.best_induction_score[0] > 0.6
    assert measured.second_half_loss[1] < measured.first_half_loss[0] / 3


def test_one_layer_has_none():
    assert quality("induction-1l").best_induction_score[1] < 0.2


def test_untrained_models_have_none_and_guess():
    measured = quality("induction", 0)
    assert measured.best_induction_score[1] < 0.05
    assert measured.second_half_loss[0] > math.log(1024) - 0.2


def test_the_models_have_learned_some_english():
    for name in ("induction", "induction-1l", "induction-plain"):
        assert quality(name).text_loss[1] < 4.5  # the untrained model: ln 1024 = 6.93


@pytest.mark.parametrize("name", ["induction", "induction-1l", "induction-plain"])
def test_the_card_reports_what_is_measured(name):
    """The card was written on another machine perhaps: its second decimal may differ by one."""
    card = (shipped.WEIGHTS / name / "card.md").read_text()
    (row,) = (line for line in card.splitlines() if line.startswith("| best head's induction score"))
    low, high = map(float, row.split("|")[2].split(" to "))
    measured = quality(name).best_induction_score
    assert (low, high) == pytest.approx(measured, abs=0.011)


def test_the_checkpoints_show_the_phase_change():
    """Induction score, copying loss and in-context learning make their largest step in the same stretch of training."""
    steps = checkpoints("induction")
    score, copying = torch.tensor([copying_of(step) for step in steps]).T
    during = int(score.diff().argmax())
    assert score[during + 1] - score[during] > 0.2
    assert abs(int(copying.diff().argmin()) - during) <= 1
    before, after = (text_score(steps[index]) for index in (max(during - 2, 1), during + 2))
    assert after < before - 0.02  # nats: far above the spread between evaluation seeds


def copying_of(step: int) -> tuple[float, float]:
    """The best induction score and the loss on the second copy, for one checkpoint."""
    model = load("induction", step)
    tokens = repeated_tokens(model.cfg.d_vocab, 16, PERIOD, seed=1)
    with torch.no_grad():
        _, second = second_half_loss(token_losses(model(tokens), tokens), PERIOD)
    return head_scores(model, tokens, induction_score, period=PERIOD).max().item(), second


def text_score(step: int) -> float:
    """The in-context-learning score of a checkpoint, over many windows of held-out text."""
    model = load("induction", step)
    tokens = text_windows(model.tokenizer, 400, model.cfg.n_ctx, seed=11)
    with torch.no_grad():
        losses = torch.cat([token_losses(model(rows), rows) for rows in tokens.split(50)])
    return in_context_learning_score(losses, early=(20, 40), late=(215, 255))
