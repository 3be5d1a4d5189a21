"""Mixtures of the hub: what they need is known beforehand, and the survey runs on both architectures from a folder."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
)

from utils import models
from utils.data.mixture import labelled_windows
from utils.data.tokenizers import load_tokenizer
from utils.measure import routing
from utils.models import hub
from utils.models.needs import needs, needs_of, obstacle

SIZES: dict[str, Any] = {
    "vocab_size": 2048, "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip


@pytest.fixture(scope="module", params=["olmoe", "mixtral"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights; OLMoE's with three choices, weights that do not add up to 1, and no beginning token."""
    path = tmp_path_factory.mktemp(request.param)
    tokenizer = load_tokenizer("mixture")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if request.param == "olmoe":
            settings = SIZES | {"num_experts": 6, "num_experts_per_tok": 3, "initializer_range": 0.3}
            OlmoeForCausalLM(OlmoeConfig(**settings)).save_pretrained(path)
            tokenizer.eos_token, tokenizer.bos_token = tokenizer.bos_token, None
        else:
            settings = SIZES | {"num_local_experts": 6, "num_experts_per_tok": 2, "initializer_range": 0.3}
            MixtralForCausalLM(MixtralConfig(**settings)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.mark.parametrize(
    ("config", "billions", "active"),
    [(OlmoeConfig(intermediate_size=1024), 6.9, 1.3), (MixtralConfig(), 46.7, 12.9)],
    ids=["olmoe", "mixtral"],
)
def test_the_sizes_of_the_published_models(config: Any, billions: float, active: float) -> None:
    """The library's default for OLMoE has experts twice as wide as the published model."""
    found = needs(config)
    assert found.parameters / 1e9 == pytest.approx(billions, abs=0.05)
    assert found.active / 1e9 == pytest.approx(active, abs=0.05)
    assert found.memory == pytest.approx(1.1 * 4 * found.parameters / 2**30)
    assert found.seconds(2.0, found.active // 3) == pytest.approx(6.0, rel=1e-6)


def test_active_parameters_are_those_that_a_token_meets(folder: str) -> None:
    found, config = needs_of(folder), AutoConfig.from_pretrained(folder)
    assert found.parameters == hub.parameters(folder)
    all_chosen = type(config)(**{**config.to_dict(), "num_experts_per_tok": 6})
    assert needs(all_chosen).active == needs(all_chosen).parameters == found.parameters
    assert found.parameters - found.active == 3 * (6 - config.num_experts_per_tok) * 3 * 32 * 16


def test_obstacles_are_said_in_a_sentence(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert obstacle(folder) is None
    assert obstacle("nobody/has-this-model") == (
        "nobody/has-this-model is not on this machine: `hf download nobody/has-this-model` fetches it."
    )
    little = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    assert "needs 0 GiB of memory, and 0 GiB are free" in str(obstacle(folder))


def test_weights_that_are_only_half_there_are_an_obstacle(folder: str, tmp_path: Any) -> None:
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1 and obstacle(str(tmp_path)) is None
    next(tmp_path.glob("*.safetensors")).unlink()
    assert "is not on this machine" in str(obstacle(str(tmp_path)))


def test_the_survey_of_a_model_from_the_hub(folder: str) -> None:
    model = models.load(folder)
    if model.tokenizer.bos_token is None:
        model.tokenizer.bos_token = model.tokenizer.eos_token
    text = labelled_windows(model.tokenizer, rows=4, length=24)
    found = routing.survey(model, text.tokens, {"source": text.source, "topic": text.topic}, [2, 0], draws=1, folds=8)
    assert list(found) == [0, 2]
    sequences = torch.arange(len(text.tokens))[:, None].expand_as(text.tokens)[:, 1:]
    for layer, got in found.items():
        chosen = routing.record_routing(model, text.tokens, layer).chosen[:, 1:]
        assert got.repetition == routing.repetition(chosen)
        columns = (text.source[:, 1:], chosen[..., 0], sequences)
        assert got.grains["source"].information == routing.mutual_information(*columns, folds=8)
        known = routing.added_information(*columns[:2], given=text.tokens[:, 1:])
        assert got.given_token["source"].information == known.information
        assert got.prediction.unseen > 0 and got.grains["topic"].labels > got.grains["source"].labels == 8
