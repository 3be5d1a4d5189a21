"""The lab of experts: its routes and losses are Python's, its cards are counts, its colours can be told apart.

It runs on small models with random weights in the places of the shipped ones, so that every number differs from every
other and none depends on a training.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import expert_cards
import numpy as np
import pytest
import torch
from lab_files import model_files
from labs import HAIR, ROOT, settle, visits, write_page
from torch import Tensor

from utils import measure
from utils.data import mixture, planted
from utils.data.tokenizers import load_tokenizer
from utils.measure import routing
from utils.models import SparseAutoencoder, load, load_dictionary, mixtral, shipped
from utils.models.dictionaries import save_dictionary

LAB = "experts"
TEXT = "The river carried the boat, und der Fluss trug 42 Boote."
SYMBOLS = "task2 n o j e j e z α"
FIELDS: dict[str, Any] = {
    "model_type": "mixtral",
    "vocab_size": 2048,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "bos_token_id": 0,
    "eos_token_id": 0,
}
PLANTED = FIELDS | {
    "vocab_size": 1 + len(planted.WORDS),
    "num_hidden_layers": 3,
    "max_position_embeddings": 32,
}
# Key in the lab -> name, step, fields, tokenizer.
MODELS: dict[str, tuple[str, int, dict[str, Any], str]] = {
    "untrained": ("experts", 0, FIELDS, "mixture"),
    "trained": ("experts", 7, FIELDS, "mixture"),
    "unbalanced": ("experts-unbalanced", 7, FIELDS, "mixture"),
    "planted": ("experts-planted", 7, PLANTED, "planted"),
}
each_model = pytest.mark.parametrize("key", MODELS)
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A book's root whose models with experts are small and random."""
    root = tmp_path_factory.mktemp("book")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "WEIGHTS", root / "utils" / "models" / "weights")
        patch.setattr(expert_cards, "ROWS", 1)
        patch.setattr(expert_cards, "LENGTH", 40)
        patch.setattr(expert_cards, "PLANTED_ROWS", 12)
        patch.setattr(expert_cards, "FEATURE_ROWS", 6)
        patch.setattr(expert_cards, "OFTEN", 4)
        patch.setattr(expert_cards, "DOCUMENTS", 2)
        for seed, (name, step, fields, tokenizer) in enumerate(MODELS.values()):
            shipped.save_checkpoint(name, step, random_state(fields, seed), fields, tokenizer)
        for expert in range(8):
            sae = SparseAutoencoder(FIELDS["intermediate_size"], 40, k=6, seed=expert)
            save_dictionary("experts", sae, 0, False, place=f"layer-2-expert-{expert}-hidden")
        shutil.copytree(ROOT / "utils" / "data" / "tokenizers", root / "utils" / "data" / "tokenizers")
        yield root


def random_state(fields: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """Random everywhere, and large enough for routes and predictions to differ."""
    model = mixtral.blank(fields)
    generator = torch.Generator().manual_seed(seed)
    sizes = {name: 1.0 if "experts" in name else 0.4 for name in model.state_dict()}
    return {
        name: sizes[name] * torch.randn(value.shape, generator=generator) for name, value in model.state_dict().items()
    }


@pytest.fixture(scope="module")
def cards(made: Path) -> dict[str, Any]:
    return {name: expert_cards.cards(name) for name in ("experts", "experts-planted")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, made: Path, cards: dict[str, Any]) -> Path:
    """A folder with one page and everything that the lab fetches."""
    site = tmp_path_factory.mktemp("site")
    files = {path.name: path for path in (ROOT / "book" / "labs").glob("*.*")}
    for name in {name for name, *_ in MODELS.values()}:
        files |= model_files(made, name)
    for inside, source in files.items():
        target = site / "_static" / "labs" / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (site / "_static" / "labs" / "experts_cards.js").write_text(expert_cards.module(cards), "utf-8")
    write_page(site, LAB)
    return site


@pytest.fixture
def opened(chromium: Any, site: Path) -> Iterator[Callable[..., Any]]:
    """`opened(model="planted", layer="1")`: the lab in that state, once it is live or failed."""
    with visits(chromium, site, LAB) as opening:
        yield opening


def model_of(key: str) -> Any:
    name, step, *_ = MODELS[key]
    return load(name, step)


def tokens_of(key: str) -> Tensor:
    tokenizer = load_tokenizer(MODELS[key][3])
    text = SYMBOLS if key == "planted" else TEXT
    return torch.tensor([[0, *tokenizer.encode(text, add_special_tokens=False)]])


def state(key: str, **more: str) -> dict[str, str]:
    return {"model": key, "text": TEXT, "symbols": SYMBOLS, **more}


def edited(key: str, hooks: list[Any], layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """Chosen experts and their weights [position choice] in a layer, and all losses."""
    model, tokens = model_of(key), tokens_of(key)
    with torch.no_grad(), model.hooks(fwd_hooks=hooks):
        route = routing.record_routing(model, tokens, layer)
        losses = measure.token_losses(model(tokens), tokens)[0]
    return route.chosen[0], route.weights[0].gather(-1, route.chosen[0]), losses


# What is shown -------------------------------------------------------------------------------------------------------


def chips(tab: Any) -> list[list[int]]:
    """The experts below every token."""
    routes = tab.locator(".dtrs-lab-routed .dtrs-lab-route")
    return [[int(one) for one in route.locator(".dtrs-lab-expert").all_inner_texts()] for route in routes.all()]


def spoken_losses(tab: Any) -> list[tuple[float, float]]:
    """Every token's loss and its change, as they are said."""
    found = []
    for token in tab.locator(".dtrs-lab-routed .dtrs-lab-token").all():
        said = token.get_attribute("aria-label").replace("−", "-").replace("±", "")
        loss, change = re.search(r"loss ([\d.]+)(?:, changed by (\S+))?$", said).groups()  # type: ignore[union-attr]
        found.append((float(loss), float(change or 0)))
    return found


def finding(tab: Any) -> str:
    return str(tab.inner_text(".dtrs-lab-finding"))


@each_model
@pytest.mark.parametrize("layer", [0, 2])
def test_routes_and_losses_are_pythons(opened: Any, key: str, layer: int) -> None:
    tab = opened(**state(key, layer=str(layer), token="3"))
    chosen, weights, losses = edited(key, [], layer)
    assert chips(tab) == chosen[1:].tolist() and len(set(chosen[1:].flatten().tolist())) > 3
    assert [loss for loss, _ in spoken_losses(tab)] == pytest.approx(losses.tolist(), abs=0.005 + HAIR)
    assert f"{losses.mean():.2f} nats" in finding(tab)
    shown = tab.locator(".dtrs-lab-outcome tbody tr").nth(layer)
    assert "(shown)" in shown.inner_text()
    percents = [float(one) for one in re.findall(r"(\d+) %", shown.inner_text())]
    assert percents == pytest.approx((100 * weights[4]).tolist(), abs=0.5 + HAIR)
    assert [int(one) for one in shown.locator(".dtrs-lab-expert").all_inner_texts()] == chosen[4].tolist()


def busiest(key: str, layer: int) -> list[int]:
    counts = torch.bincount(edited(key, [], layer)[0].flatten(), minlength=8)
    experts: list[int] = sorted(counts.topk(2).indices.tolist())
    return experts


@pytest.mark.parametrize("act", ["silence", "bar", "force"])
@pytest.mark.parametrize("key", ["trained", "planted"])
def test_marked_experts_are_pythons(opened: Any, key: str, act: str) -> None:
    model, marked = model_of(key), busiest(key, 1)
    hook = {"silence": routing.dropped, "bar": routing.barred, "force": routing.forced}[act]
    tab = opened(**state(key, layer="1", act=act, marked=",".join(f"1.{expert}" for expert in marked)))
    chosen, weights, losses = edited(key, hook(model, 1, marked), 1)
    plain = edited(key, [], 1)[2]
    struck = tab.locator(".dtrs-lab-routed .dtrs-lab-unused").all_inner_texts()
    if act == "silence":  # the router's choice is shown, and struck out
        chosen = edited(key, [], 1)[0]
        assert struck == [str(one) for one in chosen[1:].flatten().tolist() if one in marked] and struck
    else:
        assert not struck and (weights > 0).all()
    assert chips(tab) == chosen[1:].tolist()
    changes = [change for _, change in spoken_losses(tab)]
    assert changes == pytest.approx((losses - plain).tolist(), abs=0.005 + HAIR)
    assert max(map(abs, changes)) > 0.05, "an edit that changes nothing would show nothing"
    done = {"silence": "silenced", "bar": "barred", "force": "forced"}[act]
    said = finding(tab)
    assert f"experts {marked[0]} and {marked[1]} of layer 1 {done}" in said
    assert f"{losses.mean():.2f}" in said and f"{plain.mean():.2f}" in said


def test_marks_in_two_layers_act_together(opened: Any) -> None:
    model = model_of("trained")
    tab = opened(**state("trained", act="silence", marked="0.1,2.5"))
    hooks = [*routing.dropped(model, 0, [1]), *routing.dropped(model, 2, [5])]
    plain, losses = edited("trained", [], 0)[2], edited("trained", hooks, 0)[2]
    assert [change for _, change in spoken_losses(tab)] == pytest.approx((losses - plain).tolist(), abs=0.005 + HAIR)


def test_a_reader_marks_unmarks_and_switches_models(opened: Any) -> None:
    tab = opened(**state("trained", layer="1"))
    before, plain = finding(tab), spoken_losses(tab)
    first = busiest("trained", 1)[0]
    switch = tab.get_by_role("button", name=f"silence expert {first}", exact=True)
    switch.click()
    settle(tab)
    assert "silenced" in finding(tab) and switch.get_attribute("aria-pressed") == "true"
    assert any(change for _, change in spoken_losses(tab))
    tab.get_by_role("button", name="get every token").click()
    settle(tab)
    assert "mark 2 of them" in finding(tab) and spoken_losses(tab) == plain
    tab.get_by_role("button", name="Unmark all").click()
    settle(tab)
    assert finding(tab) == before and spoken_losses(tab) == plain
    for key in ("untrained", "planted", "unbalanced", "trained"):
        tab.get_by_role("button", name=key, exact=True).click()
        settle(tab)
        chosen, _, losses = edited(key, [], 1)
        assert chips(tab) == chosen[1:].tolist() and f"{losses.mean():.2f} nats" in finding(tab)
    tab.get_by_role("button", name="Reset").click()
    settle(tab)
    assert tab.input_value("textarea:visible").startswith("The town was built")


def test_the_planted_model_has_as_many_layers_as_it_has(opened: Any) -> None:
    tab = opened(**state("planted", layer="3"))
    buttons = tab.get_by_role("group", name="Layer", exact=True).get_by_role("button")
    assert buttons.all_inner_texts() == ["0", "1", "2"]
    assert [button.get_attribute("aria-pressed") for button in buttons.all()] == ["false", "false", "true"]
    assert chips(tab) == edited("planted", [], 2)[0][1:].tolist()


def test_barring_all_but_one_is_a_sentence(opened: Any) -> None:
    tab = opened(**state("trained", act="bar", marked=",".join(f"2.{expert}" for expert in range(7))))
    assert "In layer 2, leave at least 2 to choose from." in finding(tab)


def test_words_that_the_planted_model_lacks_are_left_out(opened: Any) -> None:
    tab = opened(**state("planted"))
    tab.fill("textarea:visible", "task1 house d γ")
    settle(tab)
    assert len(chips(tab)) == 3
    tab.fill("textarea:visible", "house")
    settle(tab)
    assert "Type a word that the model knows" in finding(tab)


def test_examples_of_the_planted_tasks_are_right() -> None:
    source = (ROOT / "book" / "labs" / "experts.js").read_text("utf-8")
    found = dict(re.findall(r'"Task (\d)": "(.*)"', source))
    for task, text in found.items():
        name, *symbols = text.split()
        places = [planted.SYMBOLS.index(symbol) for symbol in symbols]
        table = planted.answers()[int(task) - 1]
        assert name == f"task{task}" and table[places[::2]].tolist() == places[1::2]
    assert len(found) == planted.TASKS


def test_arrow_keys_walk_along_the_tokens(opened: Any) -> None:
    tab = opened(**state("trained", token="2", layer="1"))
    tokens = tab.locator(".dtrs-lab-routed .dtrs-lab-token")
    tokens.nth(2).focus()
    tab.keyboard.press("ArrowRight")
    assert tokens.nth(3).evaluate("node => node === document.activeElement && node.ariaPressed === 'true'")
    first = edited("trained", [], 1)[0][4][0]
    assert f"Expert {first} of layer 1" in tab.locator(".dtrs-lab-columns").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_holds_it(opened: Any, theme: str) -> None:
    tab = opened(width=360, theme=theme, **state("trained", layer="1", act="silence", marked="1.0,1.1,1.2"))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    small = tab.evaluate(
        """() => [...document.querySelectorAll(".dtrs-lab button")].filter((node) => node.checkVisibility())
        .filter((node) => node.getBoundingClientRect().height < 39.5).map((node) => node.innerText)"""
    )
    assert small == []


# Cards ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["experts", "experts-planted"])
def test_a_card_is_what_is_counted(made: Path, cards: dict[str, Any], name: str) -> None:
    found, model = cards[name], load(name)
    text = expert_cards.held_out(name, model)
    layer, expert = 1, 3
    card = found["layers"][layer][expert]
    chosen = routing.record_routing(model, text.tokens, layer).chosen
    read = [
        (int(text.tokens[row, at]), int(text.source[row, at]))
        for row in range(len(text.tokens))
        for at in range(1, text.tokens.shape[1])
        if expert in chosen[row, at].tolist()
    ]
    assert found["tokens"] == text.tokens[:, 1:].numel()
    assert card["share"] == pytest.approx(len(read) / found["tokens"], abs=1e-4)
    for source in range(len(found["sources"])):
        here = sum(place == source for _, place in read)
        assert card["sources"][source] == pytest.approx(here / len(read), abs=1e-4)
        assert card["rates"][source] == pytest.approx(here / int((text.source[:, 1:] == source).sum()), abs=1e-4)
    counts = torch.bincount(torch.tensor([token for token, _ in read]), minlength=model.cfg.d_vocab)
    assert counts[card["common"]].tolist() == counts.topk(len(card["common"])).values.tolist()
    with torch.no_grad():
        hooks = routing.dropped(model, layer, [expert])
        changes = measure.token_losses(model.run_with_hooks(text.tokens, fwd_hooks=hooks), text.tokens)
        changes = changes - measure.token_losses(model(text.tokens), text.tokens)
    assert card["cost"] == pytest.approx(float(changes.mean()), abs=1e-3) and abs(card["cost"]) > 0.002
    assert card["costs"][0] == pytest.approx(float(changes[text.source[:, 1:] == 0].mean()), abs=1e-3)


def test_own_tokens_are_those_read_beyond_the_usual() -> None:
    usual, read = torch.tensor([100, 50, 10, 4, 6, 20]), torch.tensor([20, 0, 10, 4, 1, 12])
    assert expert_cards.own_tokens(read, usual).tolist() == [2, 5]  # 3 is rare; 0 is read no more often than others


def test_the_card_of_the_chosen_expert_is_shown(opened: Any, cards: dict[str, Any]) -> None:
    tab = opened(**state("trained", layer="2", expert="5"))
    card = cards["experts"]["layers"][2][5]
    said = tab.locator(".dtrs-lab-columns").inner_text().replace("−", "-").replace("±", "")
    assert "Expert 5 of layer 2" in said
    assert f"it reads {100 * card['share']:.0f} %" in said and "an even share would be 25 %" in said
    assert float(re.search(r"changes by (\S+) nats", said)[1]) == pytest.approx(card["cost"], abs=6e-4)  # type: ignore[index]
    here = int((edited("trained", [], 2)[0][1:] == 5).any(-1).sum())
    assert f"Here it reads {here or 'none'} of {tokens_of('trained').shape[1] - 1} tokens" in said


@pytest.mark.parametrize("key", ["untrained", "unbalanced"])
def test_cards_of_other_weights_are_not_shown(opened: Any, key: str) -> None:
    tab = opened(**state(key, layer="2", expert="5"))
    said = tab.locator(".dtrs-lab-columns").inner_text()
    assert "Expert 5 of layer 2" in said and "held-out" not in said


def shipped_cards() -> dict[str, Any]:
    text = expert_cards.CARDS.read_text("utf-8")
    found: dict[str, Any] = json.loads(text[text.index("{") :].rstrip().rstrip(";"))
    return found


def test_cards_belong_to_the_shipped_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards of models that have changed since would not be shown: make them again."""
    monkeypatch.setattr(shipped, "WEIGHTS", ROOT / "utils" / "models" / "weights")
    found = shipped_cards()
    assert set(found) == set(expert_cards.MODELS)
    for name, about in found.items():
        assert about["sha256"] == expert_cards.checksum(name), f"run book/expert_cards.py: the cards of {name} are old"


# Features ------------------------------------------------------------------------------------------------------------


def recount(rows: int, length: int, expert: int, odd: bool) -> tuple[Tensor, list[tuple[int, int, str]]]:
    """What the latents of an expert in layer 2 of `experts` do on the documents of even or of odd number.

    Returns all activations [token latent], and of each token its source, its document and its text in context.
    """
    model, sae = load("experts"), load_dictionary("experts", place=f"layer-2-expert-{expert}-hidden")
    text = mixture.document_windows(model.tokenizer, rows, length)
    half = [row for row in range(len(text.tokens)) if int(text.document[row, 0]) % 2 == odd]
    where, hidden = routing.expert_activity(model, text.tokens[half], 2).of(expert)
    about, kept = [], []
    for at, (row, position, _) in enumerate(where.tolist()):
        if position > 0:
            window = text.tokens[half[row]].tolist()
            words = model.tokenizer.decode(window[max(1, position - 6) : position + 5]).strip("\ufffd")
            about.append((int(text.source[half[row], 0]), int(text.document[half[row], 0]), words))
            kept.append(at)
    return sae.encode(hidden[kept]), about


def assert_counted(card: dict[str, Any], firing: Tensor, about: list[tuple[int, int, str]]) -> None:
    """A card's features are what the activations of the counted half say."""
    assert card["counted"] == len(about)
    for feature in card["features"]:
        values = firing[:, feature["latent"]].tolist()
        sources = [source for value, (source, _, _) in zip(values, about, strict=True) if value > 0]
        assert feature["fires"] == len(sources)
        most = max(map(sources.count, range(len(mixture.SOURCES))))
        assert sources.count(feature["source"]) == most
        assert feature["share"] == pytest.approx(most / max(1, len(sources)), abs=1e-4)
        documents = {document for value, (_, document, _) in zip(values, about, strict=True) if value > 0}
        assert len(feature["contexts"]) == min(3, len(documents))
        if sources:
            source, *pieces = feature["contexts"][0]
            best = max(values)
            tops = [one for value, one in zip(values, about, strict=True) if value > best - 1e-3]
            assert ("".join(pieces), source) in [(words, where) for where, _, words in tops]


def test_the_features_of_a_card_are_what_is_counted(made: Path, cards: dict[str, Any]) -> None:
    card = cards["experts"]["layers"][2][5]
    assert_counted(card, *recount(6, 40, 5, odd=True))
    firing, about = recount(6, 40, 5, odd=False)
    sources = torch.tensor([source for source, _, _ in about])
    best: dict[int, tuple[float, int]] = {}  # source -> share and firings of the purest latent
    seen = {}
    for latent in range(firing.shape[1]):
        on = firing[:, latent] > 0
        counts = torch.bincount(sources[on], minlength=len(mixture.SOURCES))
        documents = {document for fires, (_, document, _) in zip(on.tolist(), about, strict=True) if fires}
        if counts.sum() >= 4 and len(documents) >= 2:
            seen[latent] = (float(counts.max() / counts.sum()), int(counts.sum()))
            best[int(counts.argmax())] = max(best.get(int(counts.argmax()), (0.0, 0)), seen[latent])
    assert [seen[one["latent"]] for one in card["features"]] == sorted(best.values(), reverse=True)[:4]
    assert len(card["features"]) > 2
    assert all("features" not in one for layer in (0, 1, 3) for one in cards["experts"]["layers"][layer])


def test_pure_latents_are_pure_frequent_and_allowed() -> None:
    counts = torch.zeros(7, len(mixture.SOURCES), dtype=torch.long)
    counts[0, 1], counts[0, 2] = 90, 10
    counts[1, 1] = 50  # the purest of its source
    counts[2, 3] = expert_cards.OFTEN - 1  # too rare
    counts[3, 4] = 60  # not allowed
    counts[4, 2], counts[4, 0] = 60, 40
    counts[5, 5], counts[6, 5] = 70, 80  # as pure: the one that fires more
    assert expert_cards.pure_latents(counts, torch.arange(7) != 3) == [6, 1, 4]


@pytest.mark.parametrize("layer", ["2", "1"])
def test_features_are_shown_where_a_dictionary_was_trained(opened: Any, cards: dict[str, Any], layer: str) -> None:
    tab = opened(**state("trained", layer=layer, expert="5"))
    lines = tab.locator(".dtrs-lab-features > li:visible")
    said = tab.locator(".dtrs-lab-columns").inner_text()
    if layer == "1":
        assert lines.count() == 0 and "no dictionary was trained" in said and "How they were chosen" not in said
        return
    assert "no dictionary" not in said
    features = cards["experts"]["layers"][2][5]["features"]
    assert lines.count() == len(features)
    for line, one in zip(lines.all(), features, strict=True):
        shown = line.inner_text()
        assert f"Latent {one['latent']}: on {one['fires']} tokens, {100 * one['share']:.0f} %" in shown
        assert mixture.SOURCES[one["source"]] in shown
        assert line.locator("strong").all_inner_texts() == [own.replace("\n", "⏎") for _, _, own, _ in one["contexts"]]


def test_the_shipped_features_are_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "WEIGHTS", ROOT / "utils" / "models" / "weights")
    layers = shipped_cards()["experts"]["layers"]
    assert all(len(card["features"]) == 4 for card in layers[2])
    assert_counted(layers[2][3], *recount(144, 128, 3, odd=True))


# Colours -------------------------------------------------------------------------------------------------------------

# What is left of linear red, green and blue without one kind of cone. Source: Machado et al. (2009), severity 1.
SIGHT = {
    "all cones": np.eye(3),
    "no long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no short": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(1)
APART = 20  # of CIE 1976; 2.3 is just seen


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab_space(rgb: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(TO_XYZ @ np.clip(rgb, 0, 1) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colours_differ_for_all_kinds_of_sight_and_carry_their_numbers() -> None:
    style = (ROOT / "book" / "labs" / "lab.css").read_text("utf-8")
    colours = re.findall(r'\.dtrs-lab-expert\[data-colour="\d"\] \{\s*--tint: (#\w{6});', style)
    ink = re.search(r"\.dtrs-lab-expert \{[^}]*?\n  color: (#\w{6});", style)[1]  # type: ignore[index]
    assert len(colours) == 8
    for sight, matrix in SIGHT.items():
        seen = [lab_space(np.array(matrix) @ linear(colour)) for colour in colours]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > APART, sight
    luminance = [float(TO_XYZ[1] @ linear(colour)) + 0.05 for colour in (*colours, ink)]
    assert min(luminance[:-1]) / luminance[-1] >= 4.5
