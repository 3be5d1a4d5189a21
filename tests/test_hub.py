"""A model of the hub, from a folder: its size before it is loaded, and that it loads without a network."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from utils import models
from utils.data.tokenizers import load_tokenizer
from utils.measure import faithfulness
from utils.measure.faithfulness import Transcript
from utils.models import hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = LlamaConfig(
        vocab_size=2048, hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False, initializer_range=0.5,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tiny-llama")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(path)
    load_tokenizer("wikipedia").save_pretrained(path)
    return path


def test_a_models_size_is_known_without_loading_it(folder) -> None:
    per_layer = 12 * 12 * 2 + 2 * 12 * 4 + 3 * 12 * 20 + 2 * 12  # queries and output, keys and values, MLP, norms
    assert hub.parameters(str(folder)) == 2 * 2048 * 12 + 2 * per_layer + 12
    assert hub.parameters("nobody/has-this-model") is None


def test_the_battery_on_a_model_from_the_hub(folder) -> None:
    model = models.load(str(folder))
    items = [
        Transcript.from_text(model.tokenizer, f"Add {word}.", [" One.", f" Then {word}."], " It is", [" one", " two"])
        for word in ("three", "four", "five")
    ]
    wrong = [[t.with_steps([t.steps[1], t.steps[0]]), t.with_steps([t.steps[0]] * 2)] for t in items]
    found = faithfulness.battery(model, items, wrong, [0, 1, 0], filler=5)
    whole = torch.stack([model(torch.tensor([t.tokens]))[0, -1, list(t.options)] for t in items]).argmax(-1)
    assert found["right with its text"].value == pytest.approx((whole == torch.tensor([0, 1, 0])).float().mean().item())
