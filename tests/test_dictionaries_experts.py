"""Dictionaries of a mixture of experts: each learns from what it is named after, and all of them ship and load."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from utils import models
from utils.data.tokenizers import load_tokenizer
from utils.measure import collect, dictionary_scores
from utils.measure.routing import expert_activity
from utils.models import dictionaries, mixtral, shipped
from utils.training import dictionaries as recipes
from utils.training import expert_dictionary_card as card
from utils.training.dictionaries import DICTIONARIES, Wanted, train_dictionaries
from utils.training.expert_places import expert_place, read_hook, read_places, stream_place

LAYER, EXPERTS = 1, 3
HIDDEN, WRITTEN = (expert_place(LAYER, 2, part) for part in ("hidden", "written"))
SMALL = replace(
    DICTIONARIES["experts"],
    dictionaries=(
        Wanted(read_hook(LAYER), 24, k=3, place=stream_place(LAYER)),
        Wanted(HIDDEN, 12, k=2, place=HIDDEN, share=2 / EXPERTS),
        Wanted(WRITTEN, 20, k=2, place=WRITTEN, share=2 / EXPERTS),
    ),
    pieces=4,
    rows=8,
    n_ctx=32,
    batch=31,
    passes=5,
    layer=LAYER,
)


def tiny() -> TransformerBridge:
    fields = {
        "model_type": "mixtral",
        "vocab_size": 1000,
        "hidden_size": 16,
        "intermediate_size": 6,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 32,
    }
    model = mixtral.blank(fields)
    mixtral.draw(model, seed=0)
    return mixtral.bridge(model, "tiny", load_tokenizer("mixture"))


MODEL = tiny()


def tokens(index: int) -> torch.Tensor:
    return torch.randint(0, 1000, (8, 32), generator=torch.Generator().manual_seed(index))


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A place for weights and cache, and a reader of random tokens instead of Wikipedia."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "load", lambda name: MODEL)
    monkeypatch.setattr(recipes, "_wikipedia_tokens", lambda model, recipe: tokens)


def test_a_place_is_what_it_is_named_after_without_the_beginning_token():
    places, activity = read_places(MODEL, tokens(0), LAYER), expert_activity(MODEL, tokens(0), LAYER)
    assert len(places) == 1 + 2 * EXPERTS
    read = collect(MODEL, tokens(0), [read_hook(LAYER)])[read_hook(LAYER)]
    assert torch.equal(places["layer-1-stream"], read[:, 1:].flatten(0, 1))
    where, hidden = activity.of(2)
    later = where[:, 1] > 0
    assert torch.allclose(places["layer-1-expert-2-hidden"], hidden[later], atol=1e-6)
    out = MODEL.blocks[LAYER].mlp.original_component.experts.down_proj[2].detach()
    assert torch.allclose(places["layer-1-expert-2-written"], hidden[later] @ out.T, atol=1e-6)  # not yet weighted
    sizes = [len(places[expert_place(LAYER, expert, "hidden")]) for expert in range(EXPERTS)]
    assert sum(sizes) == 2 * 8 * 31


def test_an_expert_without_tokens_is_named():
    alone = tokens(0)[:1, :2]  # one token after the beginning token: it chooses two of the three experts
    missing = ({0, 1, 2} - set(expert_activity(MODEL, alone, LAYER).chosen[0, 1].tolist())).pop()
    with pytest.raises(ValueError, match=f"Expert {missing} of layer 1 was given none"):
        read_places(MODEL, alone, LAYER)


def test_dictionaries_of_all_places_ship_and_an_interrupted_run_ends_like_a_whole_one(shelf, monkeypatch):
    train_dictionaries("small", SMALL)
    folder = dictionaries.folder("small")
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(whole) == [
        "config.json",
        "layer-1-expert-2-hidden-width-12-seed-0.safetensors",
        "layer-1-expert-2-written-width-20-seed-0.safetensors",
        "layer-1-stream-width-24-seed-0.safetensors",
    ]
    fresh = read_places(MODEL, tokens(100), LAYER)
    for wanted in SMALL.dictionaries:
        sae = models.load_dictionary("small", place=wanted.place)
        assert (sae.hook, sae.k, sae.latent) == (wanted.hook, wanted.k, wanted.width)
        assert dictionary_scores(sae, fresh[wanted.place]).variance_explained > 0.1

    save, calls = recipes._save, []

    def interrupted(*arguments):
        save(*arguments)
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_dictionaries("small", SMALL)
    train_dictionaries("small", SMALL)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_the_card_reports_every_place(shelf, monkeypatch):
    train_dictionaries("small", SMALL)
    monkeypatch.setattr(card, "held_out", lambda name, model, count, n_ctx: tokens(100))
    text = card.write_card("small", SMALL, 60, 1)
    assert text == (dictionaries.folder("small") / "card.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| layer-1")]
    assert [row[0].removeprefix("| ") for row in rows] == [wanted.place for wanted in SMALL.dictionaries]
    sae, x = models.load_dictionary("small", place=HIDDEN), read_places(MODEL, tokens(100), LAYER)[HIDDEN]
    assert rows[1][2:5] == [str(len(x)), *(f"{n}" for n in _scores(sae, x))]
    assert "nan" not in text


def _scores(sae, x):
    scores = dictionary_scores(sae, x)
    return f"{scores.l0:.1f}", f"{scores.variance_explained:.3f}"


def test_tokens_come_in_random_order_and_all_of_them_before_any_comes_again():
    order = recipes._order(10, 25, seed=3)
    assert sorted(order[:10].tolist()) == sorted(order[10:20].tolist()) == list(range(10))
    assert len(order[20:].unique()) == 5
    assert not torch.equal(order[:10], order[10:20])


def test_the_recipe_has_the_stream_and_two_dictionaries_for_each_of_eight_experts():
    wanted = DICTIONARIES["experts"].dictionaries
    assert len({one.name for one in wanted}) == len(wanted) == 17
    half = sum(2 * 2 * width * one.width for one, width in zip(wanted, (128, *[172] * 8, *[128] * 8), strict=True))
    assert half < 4e6  # bytes of encoders and decoders in float16
