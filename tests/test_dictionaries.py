"""Training dictionaries, and keeping them: planted features are found, steps are right, damaged files are named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from utils import models
from utils.measure import collect, dictionary_scores, matched_directions
from utils.models import dictionaries, shipped
from utils.models.autoencoder import SparseAutoencoder
from utils.training import dictionaries as recipes
from utils.training.dictionaries import DICTIONARIES, Wanted, train_dictionaries
from utils.training.dictionary import TopKEncoder, Trainer, schedule, train_dictionary

HOOK = "blocks.1.hook_resid_pre"


@pytest.fixture(scope="module")
def planted():
    """Twenty directions in twelve dimensions, two or so on each token, far from the origin; and the tokens."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(20, 12, generator=generator), dim=-1)
    on = torch.rand(8000, 20, generator=generator) < 0.08
    strength = 1 + torch.rand(8000, 20, generator=generator)
    return directions, 10 * (on * strength) @ directions + 30


@pytest.mark.parametrize("way", [{"k": 3}, {"k": None, "l1": 0.1}])
def test_planted_directions_are_found(planted, way):
    directions, x = planted
    sae = train_dictionary(x, 32, steps=800, batch=256, learning_rate=5e-3, **way)
    assert torch.allclose(sae.W_dec.norm(dim=-1), torch.ones(32), atol=1e-5)
    assert (matched_directions(directions, sae.W_dec).similarity > 0.9).float().mean() >= 0.8
    assert dictionary_scores(sae, x).variance_explained > 0.8


def test_scaling_and_centring_are_folded_back(planted):
    _, x = planted
    trainer = Trainer(x, 30, k=3, l1=0.0, steps=10, learning_rate=1e-3, seed=0)
    for rows in x[:640].split(64):
        trainer.step(rows)
    inside = trainer.sae((x - trainer.mean) / trainer.scale) * trainer.scale + trainer.mean
    assert torch.allclose(trainer.dictionary()(x), inside, atol=1e-3)
    assert ((x - trainer.mean) / trainer.scale).square().sum(-1).mean() == pytest.approx(1, abs=1e-4)


def test_the_sparse_gradients_are_the_dense_ones():
    generator = torch.Generator().manual_seed(0)
    x, W, b = (torch.randn(size, generator=generator).requires_grad_() for size in ((5, 6), (6, 9), (9,)))
    weight = torch.randn(5, 3, generator=generator)
    values, index = TopKEncoder.apply(x, W, b, 3)
    sparse = torch.autograd.grad((values * weight).sum(), [x, W, b])
    dense = torch.autograd.grad(((x @ W + b).gather(1, index) * weight).sum(), [x, W, b])
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(sparse, dense, strict=True))
    assert torch.allclose(values, (x @ W + b).gather(1, index), atol=0.1)  # products in bfloat16


@pytest.mark.parametrize("way", [{"k": 3, "l1": 0.0}, {"k": None, "l1": 0.05}], ids=["auxiliary loss", "resampling"])
def test_dead_latents_come_back(planted, monkeypatch, way):
    _, x = planted
    monkeypatch.setattr("utils.training.dictionary.DEAD_AFTER", 500)

    def dead(coefficient, resample_at):
        monkeypatch.setattr("utils.training.dictionary.AUX_COEFFICIENT", coefficient)
        monkeypatch.setattr("utils.training.dictionary.RESAMPLE_AT", resample_at)
        trainer = Trainer(x, 24, steps=300, learning_rate=3e-3, seed=0, **way)
        with torch.no_grad():
            trainer.sae.W_enc[:, :12] *= 0.01  # half of them are hardly heard: never among the largest,
            trainer.sae.b_enc[:12] = 0.0 if trainer.sae.k else -1.0  # or never above zero
        for step in range(300):
            trainer.step(x[torch.randint(0, len(x), (200,), generator=torch.Generator().manual_seed(step))])
        return dictionary_scores(trainer.dictionary(), x).dead_share

    assert dead(0.0, ()) > 0.35
    assert dead(1 / 32, (0.2, 0.4)) < 0.15


def test_the_learning_rate_rises_stays_and_falls_to_nothing():
    values = [schedule(step, 1000) for step in (0, 49, 500, 799, 900, 999)]
    assert values == pytest.approx([0.02, 1, 1, 1, 0.5, 0.005])


@pytest.mark.parametrize("way", [{"k": 3, "l1": 0.1}, {"k": None}])
def test_there_is_one_way_to_be_sparse(planted, way):
    with pytest.raises(ValueError, match="one way to be sparse"):
        train_dictionary(planted[1], 8, steps=1, **way)


def test_too_few_batches_are_named(planted):
    with pytest.raises(ValueError, match="batches for 3 steps, not for 5"):
        train_dictionary(planted[1][:300].split(100), 8, k=2, steps=5)
    assert train_dictionary(planted[1][:500].split(100), 8, k=2, steps=5).latent == 8


SMALL = replace(
    DICTIONARIES["smollm2"],
    dictionaries=(
        Wanted(HOOK, 16, k=3),
        Wanted(HOOK, 16, seed=1, k=3),
        Wanted(HOOK, 16, untrained=True, k=3),
    ),
    pieces=2,
    rows=4,
    n_ctx=32,
    batch=31,
    passes=10,
)


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A place for weights and cache, and a reader of random tokens instead of Wikipedia."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(recipes.models, "load", lambda name: MODEL)
    monkeypatch.setattr(recipes.models, "untrained", lambda name: OTHER)
    monkeypatch.setattr(
        recipes,
        "_wikipedia_tokens",
        lambda model, recipe: (
            lambda index: torch.randint(0, 1000, (4, 32), generator=torch.Generator().manual_seed(index))
        ),
    )
    return tmp_path


MODEL, OTHER = models.untrained("induction", seed=1), models.untrained("induction", seed=2)


def test_a_recipe_ships_dictionaries_and_an_interrupted_run_ends_like_a_whole_one(shelf, monkeypatch):
    train_dictionaries("small", SMALL)
    folder = dictionaries.folder("small")
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(whole) == [
        "config.json",
        "width-16-seed-0-untrained.safetensors",
        "width-16-seed-0.safetensors",
        "width-16-seed-1.safetensors",
    ]
    sae = models.load_dictionary("small")
    assert (sae.hook, sae.k, sae.latent) == (HOOK, 3, 16)
    fresh = torch.randint(0, 1000, (4, 32), generator=torch.Generator().manual_seed(100))
    x = collect(MODEL, fresh, [HOOK])[HOOK][:, 1:].flatten(0, 1)
    assert dictionary_scores(sae, x).variance_explained > 0
    assert not torch.equal(sae.W_dec, models.load_dictionary("small", 16, seed=1).W_dec)
    assert not torch.equal(sae.W_dec, models.load_dictionary("small", 16, untrained=True).W_dec)

    save, calls = recipes._save, []

    def interrupted(*arguments):
        save(*arguments)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_dictionaries("small", SMALL)
    train_dictionaries("small", SMALL)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


@pytest.mark.parametrize("damage", ["cut", "flip", "delete"])
def test_damaged_dictionaries_are_recognised(shelf, damage):
    dictionaries.save_dictionary("small", SparseAutoencoder(4, 8, k=2, hook=HOOK), seed=0, untrained=False)
    path = dictionaries.folder("small") / "width-8-seed-0.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:100])
    elif damage == "flip":
        content[-3] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(ValueError, match="missing or damaged.*git checkout.*dictionary-small") as caught:
        models.load_dictionary("small")
    assert "\n" not in str(caught.value)


def test_what_is_not_there_gets_one_clear_sentence(shelf):
    for width in (8, 6):
        dictionaries.save_dictionary("small", SparseAutoencoder(4, width, k=2), seed=0, untrained=False)
    for place in ("here", "there"):
        dictionaries.save_dictionary("two", SparseAutoencoder(4, 8, k=2), seed=0, untrained=False, place=place)
    for call, sentence in [
        (lambda: models.load_dictionary("two"), "several places: choose one of here, there"),
        (lambda: models.load_dictionary("two", place="elsewhere"), "no dictionary.*'elsewhere'. Its places: here, th"),
        (lambda: models.load_dictionary("small", 8, place="here"), "place 'here'. Its places: one only"),
        (lambda: models.load_dictionary("small"), "several widths: choose one of 6, 8"),
        (lambda: models.load_dictionary("small", 8, seed=3), "no dictionary 'width-8-seed-3'.*width-6-seed-0"),
        (lambda: models.load_dictionary("large"), "no dictionaries for 'large'.*small"),
    ]:
        with pytest.raises(ValueError, match=sentence) as caught:
            call()
        assert "\n" not in str(caught.value)
    (dictionaries.folder("small") / "config.json").write_text("{")
    with pytest.raises(ValueError, match="damaged.*git checkout"):
        models.load_dictionary("small", 8)
