"""The shipped mixtures of experts are what the chapter takes them for."""

from __future__ import annotations

import pytest
import torch

from utils import models
from utils.data.mixture import document_windows
from utils.measure import token_losses
from utils.training import quality_experts


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_planted_model_divides_its_work_as_it_was_taught():
    loss, by_token, by_task = quality_experts.planted_quality("experts-planted")
    assert loss < 0.05 and by_token > 0.99 and by_task > 0.99
    loss, by_token, by_task = quality_experts.planted_quality("experts-planted", 0)
    assert loss > 3 and max(by_token, by_task) < 0.3  # an even router is right in one case of eight


def test_the_balance_evens_out_the_load():
    last = {name: quality_experts.loads(name)[-1] for name in ("experts-balanced", "experts-unbalanced")}
    assert last["experts-balanced"].max() < 0.15 and last["experts-balanced"].min() > 0.1  # even is 0.125
    assert last["experts-unbalanced"].max() > 0.25


@torch.no_grad()
def test_the_mixture_beats_its_dense_twin_on_the_same_windows():
    text = document_windows(models.load("experts").tokenizer, rows=6, length=64).tokens
    own, twin, untrained = (
        token_losses(model(text), text).mean(1)
        for model in (models.load("experts"), models.load("mixture"), models.untrained("experts"))
    )
    gain = twin - own
    assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5  # two standard errors over windows
    assert untrained.mean() > 7  # knowing nothing costs ln 2048 = 7.6 nats
