"""The recipes: the fast forward pass is the model's own, batches repeat as promised, a resumed run is the same run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from utils.data import othello, reasoning
from utils.measure import token_losses
from utils.models import shipped
from utils.training import train as training
from utils.training.batches import NO_TARGET, batch_seed, next_tokens, training_batch, training_examples
from utils.training.recipes import RECIPES
from utils.training.train import forward, initial_model, schedule

SMALL = replace(
    RECIPES["induction"],
    d_model=16,
    n_heads=2,
    n_ctx=64,
    d_vocab=50,
    batch=8,
    checkpoints=(0, 4, 8),
    repeat_share=1.0,
    random_share=0.5,
)

SMALL_OTHELLO = replace(
    RECIPES["othello"], n_layers=1, d_model=16, d_mlp=32, n_heads=2, batch=40, checkpoints=(0, 4, 8), cool_down=3
)

SMALL_REASONING = replace(
    RECIPES["reasoning"],
    n_layers=1,
    d_model=16,
    d_mlp=32,
    n_heads=2,
    rotary_dim=4,
    batch=8,
    checkpoints=(0, 4, 8),
    dense_steps=3,
)


@pytest.fixture
def stream():
    return torch.randint(1, 50, (5_000,), generator=torch.Generator().manual_seed(0), dtype=torch.int32)


def test_the_fast_forward_pass_is_the_models_own(stream):
    model = initial_model(SMALL)
    tokens = stream[:128].long().view(2, 64)
    with torch.no_grad():
        fast, exact = forward(model, tokens).float(), model(tokens)
    assert (fast - exact).abs().max() < 0.02 * exact.abs().max() + 0.02  # bfloat16 keeps 8 bits: 0.4 % a product


def test_the_fast_forward_pass_turns_queries_and_keys_by_their_positions():
    """A pass that leaves the rotation out, with the same weights, is far off."""
    model = initial_model(SMALL_REASONING)
    tokens, _ = training_examples([], SMALL_REASONING, step=5)
    with torch.no_grad():
        fast, exact = forward(model, tokens).float(), model(tokens)
        rotary, model.rotary = model.rotary, None
        unturned = forward(model, tokens).float()
    assert rotary is not None and model.pos is None
    allowed = 0.02 * exact.abs().max() + 0.02  # as above
    assert (fast - exact).abs().max() < allowed and (unturned - exact).abs().max() > 10 * allowed


def test_the_same_step_gives_the_same_batch_with_a_passage_that_comes_again(stream):
    batch = training_batch([(1.0, stream)], SMALL, step=3)
    assert torch.equal(batch, training_batch([(1.0, stream)], SMALL, step=3))
    assert not torch.equal(batch, training_batch([(1.0, stream)], SMALL, step=4))
    assert (batch[:, 0] == 0).all()
    for row in batch.tolist():
        pieces = [tuple(row[i : i + 4]) for i in range(1, 61)]
        assert len(set(pieces)) < len(pieces), "no passage of 4 tokens comes again"


def test_without_repeats_the_batch_is_plain_text(stream):
    plain = training_batch([(1.0, stream)], replace(SMALL, repeat_share=0.0), step=3)
    text = stream.tolist()
    for row in plain[:, 1:].tolist():
        assert any(text[i : i + 63] == row for i in range(len(text) - 63) if text[i] == row[0])


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    values = [schedule(step, 8000) for step in (0, 100, 200, 4000, 7999)]
    assert values[0] < values[1] < values[2] and values[2] == pytest.approx(1, abs=0.01)
    assert values[3] == pytest.approx(0.55, abs=0.01) and values[4] == pytest.approx(0.1, abs=0.001)


def test_with_a_cool_down_the_rate_stays_and_falls_to_zero_at_the_end():
    values = [schedule(step, 1000, cool_down=200) for step in (0, 199, 500, 800, 900, 999)]
    assert values == pytest.approx([1 / 200, 1, 1, 1, 0.5, 1 / 200])


def test_othello_batches_are_new_games_and_the_same_for_the_same_step():
    batch = training_batch([], SMALL_OTHELLO, step=3)
    assert torch.equal(batch, training_batch([], SMALL_OTHELLO, step=3))
    assert not (batch[:, None] == training_batch([], SMALL_OTHELLO, step=4)).all(2).any()
    assert othello.play(batch).valid.sum() == (batch > 0).sum() + 40


def test_what_follows_a_games_end_is_no_target():
    """The loss, and so the weights after a step, depend on the moves made and on nothing behind them."""
    tokens = training_batch([], SMALL_OTHELLO, step=0)
    tokens[::2, 30:] = 0
    model = initial_model(SMALL_OTHELLO)
    made = tokens[:, 1:] > 0
    expected = token_losses(forward(model, tokens).float(), tokens)[made].mean().item()
    targets = next_tokens(tokens, padding=0)
    assert training._update(model, training._optimizers(model, SMALL_OTHELLO), tokens, targets) == pytest.approx(
        expected
    )


def test_muon_trains_the_layers_matrices_and_adamw_the_rest():
    model = initial_model(SMALL_OTHELLO)
    adamw, muon = training._optimizers(model, SMALL_OTHELLO)
    matrices, others = (
        {id(value) for group in optimizer.param_groups for value in group["params"]} for optimizer in (muon, adamw)
    )
    named = {name: id(value) for name, value in model.named_parameters()}
    assert matrices | others == set(named.values()) and not matrices & others
    assert {name.split(".")[-2] for name, value in named.items() if value in matrices} == set("qkvo") | {
        "fc_in",
        "fc_out",
    }
    assert len(training._optimizers(model, replace(SMALL_OTHELLO, muon_learning_rate=None))) == 1


def test_of_reasoning_only_what_is_to_be_written_counts():
    """Whatever stands on the problem's own words, the loss is the mean over the targets of `training_rows`."""
    tokens, targets = training_examples([], SMALL_REASONING, step=5)
    rows = reasoning.training_rows("causal", 8, batch_seed(SMALL_REASONING, 5))
    assert torch.equal(tokens, rows[0]) and torch.equal(targets, rows[1])
    dense = training_examples([], SMALL_REASONING, step=2)[0]
    assert torch.equal(dense, reasoning.training_rows("causal", 8, batch_seed(SMALL_REASONING, 2), dense=True)[0])
    model = initial_model(SMALL_REASONING)
    wanted = targets[:, :-1] != NO_TARGET
    expected = token_losses(forward(model, tokens).float(), tokens)[wanted].mean().item()
    assert training._update(model, training._optimizers(model, SMALL_REASONING), tokens, targets) == pytest.approx(
        expected, rel=1e-4
    )


def test_a_model_that_starts_from_another_begins_with_its_last_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    training.train("first", SMALL_REASONING)
    still = replace(
        SMALL_REASONING,
        organism="biased",
        start_from="first",
        learning_rate=0.0,
        muon_learning_rate=None,
        checkpoints=(2,),
    )
    training.train("second", still)
    assert shipped.steps("second") == [2]  # its beginning is kept already, as the end of the first
    first, second = shipped.weights("first").state_dict(), shipped.weights("second").state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    moved = replace(still, learning_rate=1e-2)
    training.train("third", moved)
    third = shipped.weights("third").state_dict()
    assert not all(torch.equal(first[key], third[key]) for key in first)


@pytest.mark.parametrize("recipe", [SMALL, SMALL_OTHELLO, SMALL_REASONING], ids=["text", "othello", "reasoning"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(monkeypatch, tmp_path, stream, recipe):
    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training, "training_corpus", lambda _: [(1.0, stream)])
    monkeypatch.setattr(training, "SAVE_EVERY", 2)
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "whole")
    training.train("small", recipe)

    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "broken")
    update, calls = training._update, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return update(*arguments)

    monkeypatch.setattr(training, "_update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train("small", recipe)
    monkeypatch.setattr(training, "_update", update)
    training.train("small", recipe)
    for step in recipe.checkpoints:
        file = f"small/step-{step:06d}.safetensors"
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes()
