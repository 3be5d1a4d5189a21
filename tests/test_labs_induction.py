"""The lab of the induction heads, under a reader's hands: what it shows is what Python measures, at every step."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import torch
from jaxtyping import Int
from lab_files import lab_files
from labs import ROOT, linked_page
from torch import Tensor

from utils.figures import token_labels
from utils.measure import (
    ablate_heads,
    head_scores,
    induction_score,
    previous_token_score,
    second_half_loss,
    token_losses,
)
from utils.models import checkpoints, load

TEXT = "The first American city often made its own large number system for music"
STEPS = checkpoints("induction")
EARLY, LATE = 1000, STEPS[-1]
SHOWN = 0.006  # half of the last digit on the screen, and float32 summed in another order
PATIENCE = 20_000  # ms
SHOWN_STEP = """step => document.querySelector(".dtrs-lab-finding").textContent
  .startsWith(`At step ${step.toLocaleString("en")} `)"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the lab is served. The weights of step 250 are missing."""
    files = {inside: source for inside, source in lab_files(ROOT).items() if "000250" not in inside}
    with linked_page(tmp_path_factory.mktemp("site"), "induction", files) as address:
        yield address


@pytest.fixture
def visit(page: str, chromium: Any) -> Iterator[Callable[..., Any]]:
    """`visit(step=1000, off="1.1")`: a tab with the lab in that state, once it is live."""
    contexts, errors = [], []

    def go(motion: str = "no-preference", **state: str | int) -> Any:
        contexts.append(chromium.new_context(viewport={"width": 900, "height": 900}, reduced_motion=motion))
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(f"{page}?induction={quote(urlencode(state))}")
        tab.wait_for_selector("figure[data-state=live]", timeout=PATIENCE)
        return tab

    yield go
    for context in contexts:
        context.close()
    assert not errors


def move_to(tab: Any, step: int) -> None:
    """Put the training slider on a step, as a reader would, and wait for the numbers."""
    slider = tab.get_by_label("Training step")
    slider.fill(str(STEPS.index(step)))
    tab.wait_for_function(SHOWN_STEP, arg=step, timeout=PATIENCE)


def twice(ids: list[int]) -> Int[Tensor, "1 position"]:
    return torch.tensor([[load("induction").tokenizer.bos_token_id, *ids, *ids]])


def ids_of(text: str) -> list[int]:
    return load("induction").tokenizer(text, add_special_tokens=False)["input_ids"]


def heads_in(off: str) -> list[tuple[int, int]]:
    return [(int(name[0]), int(name[2])) for name in off.split(",") if name]


def scores_on(tab: Any) -> list[list[float]]:
    """Previous-token and induction score written on each tile, layer by layer."""
    notes = tab.locator(".dtrs-lab-tile-note").all_inner_texts()
    return [[float(number) for number in re.findall(r"\d\.\d\d", note)] for note in notes]


def losses_on(tab: Any) -> tuple[float, float]:
    """The mean losses of both copies, as the sentence below the chart gives them."""
    sentence = tab.locator(".dtrs-lab-finding", has_text="Mean loss").inner_text()
    first, second = re.findall(r"(\d+\.\d\d)(?: nats)? on the", sentence)
    return float(first), float(second)


def losses(tokens: Tensor, step: int, off: str = "") -> Tensor:
    model = load("induction", step)
    with torch.no_grad():
        return token_losses(model.run_with_hooks(tokens, fwd_hooks=ablate_heads(heads_in(off))), tokens)


@pytest.mark.parametrize("off", ["", "0.2", "1.1"])
@pytest.mark.parametrize("step", [EARLY, LATE])
def test_losses_and_scores_are_pythons(visit: Any, step: int, off: str) -> None:
    """Every head's scores and both copies' losses at an early and the last step, intact and without a head."""
    tab = visit(text=TEXT, step=step, off=off)
    tokens = twice(ids_of(TEXT))
    measured = losses(tokens, step, off)
    assert losses_on(tab) == pytest.approx(second_half_loss(measured, len(ids_of(TEXT))), abs=SHOWN)
    below = [float(value) for value in tab.locator(".dtrs-lab-loss-value").all_inner_texts()]
    assert below == pytest.approx(measured[0, len(ids_of(TEXT)) :].tolist(), abs=0.051)

    test = tab.evaluate("import('/_static/labs/induction_facts.js').then(({ probe }) => probe(0, 1024))")
    sample, period = torch.tensor([test["tokens"]]), test["period"]
    model = load("induction", step)
    with model.hooks(fwd_hooks=ablate_heads(heads_in(off))):
        previous = head_scores(model, sample, previous_token_score)
        induction = head_scores(model, sample, induction_score, period=period)
    expected = torch.stack([previous.flatten(), induction.flatten()], dim=1)
    torch.testing.assert_close(torch.tensor(scores_on(tab)), expected, atol=SHOWN, rtol=0)


def test_the_scores_come_from_random_tokens_read_twice(visit: Any) -> None:
    test = visit().evaluate("import('/_static/labs/induction_facts.js').then(({ probe }) => probe(7, 1024))")
    first, *rest = test["tokens"]
    once = rest[: test["period"]]
    assert first == 7 and rest == once * 2 and 7 not in once
    assert test["period"] == 50 == len(set(once)) and set(once) <= set(range(1024))
    assert 400 < sum(once) / 50 < 624, "not spread over the vocabulary"  # 511.5 ± 41.8


def test_random_tokens_are_other_ones_at_each_press(visit: Any) -> None:
    """What is shown is what is measured, also for tokens that nobody typed."""
    tab = visit(source="random", period=12)
    labels = token_labels(load("induction"), torch.arange(1024))
    seen = []
    for _ in range(2):
        shown = tab.locator(".dtrs-lab-loss-word").all_inner_texts()
        assert len(set(shown)) == 12
        expected = second_half_loss(losses(twice([labels.index(label) for label in shown]), LATE), 12)
        assert losses_on(tab) == pytest.approx(expected, abs=SHOWN)
        seen.append(shown)
        tab.get_by_role("button", name="New tokens").click()
        tab.wait_for_function("old => document.querySelector('.dtrs-lab-loss-word').textContent !== old", arg=shown[0])
    assert not set(seen[0]) & set(seen[1]) or seen[0] != seen[1]
    assert visit(source="random", period=12).locator(".dtrs-lab-loss-word").all_inner_texts() == seen[0]


@pytest.mark.parametrize("place", [4, 5, 10])
def test_two_heads_on_one_token_are_pythons(visit: Any, place: int) -> None:
    """Where both heads look, what comes out, and what removing each does; the heads found by score in Python."""
    tab = visit(text=TEXT, token=place)
    model, ids = load("induction"), ids_of(TEXT)
    tokens, period = twice(ids), len(ids)
    now, follower = period + place, place + 1
    scores = torch.tensor(scores_on(tab)).view(2, 4, 2)
    copier, looker = int(scores[1, :, 1].argmax()), int(scores[0, :, 0].argmax())
    _, cache = model.run_with_cache(tokens)
    back = cache["blocks.0.attn.hook_pattern"][0, looker, follower, follower - 1].item()
    match = cache["blocks.1.attn.hook_pattern"][0, copier, now, follower].item()
    arcs = tab.locator(".dtrs-lab-circuit-label").all_text_contents()
    assert arcs == [f"0.{looker}: {back * 100:.0f} %", f"1.{copier}: {match * 100:.0f} %"]

    lookers = [head for head in range(4) if scores[0, head, 0] > scores[0, :, 0].max() / 2]
    removals = [[], [(0, looker)], [(0, head) for head in lookers], [(1, copier)]]
    rows = tab.locator(".dtrs-lab-bar")
    assert rows.count() == len(removals)
    for row, removed in zip(rows.all(), removals, strict=True):
        guess = model.run_with_hooks(tokens, fwd_hooks=ablate_heads(removed))[0, now].softmax(-1)
        right = int(tokens[0, now + 1])
        chance = 100 * guess[right].item()
        text = row.locator(".dtrs-lab-bar-value").inner_text()
        assert chance < 0.1 if text.startswith("<") else float(text[:-2]) == pytest.approx(chance, abs=0.51)
        note = row.locator(".dtrs-lab-bar-note").inner_text()
        says = token_labels(model, guess.argmax()[None])[0]
        assert note == ("✓ first choice" if guess.argmax() == right else f"✗ says “{says}”")


@pytest.mark.parametrize(
    ("place", "said"),
    [(1, "hardly finds the note"), (2, "finds the note but mostly rests"), (4, "finds the note and copies")],
)
def test_a_head_that_mostly_rests_is_not_said_to_find_and_copy(visit: Any, place: int, said: str) -> None:
    """What the second step says of the copying head follows from its attention, summed in Python."""
    tab = visit(text=TEXT, token=place)
    model, ids = load("induction"), ids_of(TEXT)
    scores = torch.tensor(scores_on(tab)).view(2, 4, 2)
    _, cache = model.run_with_cache(twice(ids))
    row = cache["blocks.1.attn.hook_pattern"][0, int(scores[1, :, 1].argmax()), len(ids) + place]
    found, resting = float(row[place + 1]), float(row[0])
    assert (found < 0.1, resting > 0.5) == {1: (True, True), 2: (False, True), 4: (False, False)}[place]
    assert f" {said}." in tab.locator(".dtrs-lab-story li").nth(1).inner_text()


def test_a_step_weighs_what_the_page_says(visit: Any) -> None:
    weights = Path(ROOT / "utils" / "models" / "weights" / "induction").glob("step-*.safetensors")
    packed = [len(gzip.compress(path.read_bytes())) / 1e6 for path in weights]
    (said,) = re.findall(r"Each step is (\d\.\d) MB", visit().locator(".dtrs-lab-body").inner_text())
    assert len(packed) == len(STEPS) and {round(size, 1) for size in packed} == {float(said)}


def test_a_phone_shows_the_whole_text_at_the_start(visit: Any) -> None:
    tab = visit(text=TEXT)
    tab.set_viewport_size({"width": 360, "height": 740})
    hidden = "([area]) => area.scrollHeight - area.clientHeight"
    assert tab.locator("textarea").evaluate_all(hidden) <= 0


def test_a_head_in_detail_is_pythons(visit: Any) -> None:
    """Any head from any token: the strongest look, cell by cell, kept in the address."""
    tab = visit(text=TEXT, head="0.3")
    tokens = twice(ids_of(TEXT))
    labels = token_labels(load("induction"), tokens[0])
    _, cache = load("induction").run_with_cache(tokens)
    row = cache["blocks.0.attn.hook_pattern"][0, 3, 20]
    tab.locator(".dtrs-lab-token").nth(20).click()
    key = int(row.argmax())
    reading = tab.locator(".dtrs-lab-reading")
    sentence = f"{labels[20]} (20) looks at {labels[key]} ({key}): {100 * row[key]:.0f} %"
    assert reading.inner_text() == sentence
    tab.locator("[role=gridcell]").press("ArrowLeft")
    left = f"{labels[20]} (20) looks at {labels[key - 1]} ({key - 1}): {100 * row[key - 1]:.0f} %"
    assert reading.inner_text() == left
    tab.wait_for_function("place => new URL(location).search.includes(place)", arg=f"look%3D20%252C{key - 1}")
    assert visit(text=TEXT, head="0.3", look=f"20,{key - 1}").locator(".dtrs-lab-reading").inner_text() == left


def test_nobody_has_the_job_before_training(visit: Any) -> None:
    tab = visit(step=0)
    assert "nobody has the job yet" in tab.locator(".dtrs-lab-finding").first.inner_text()
    assert tab.locator(".dtrs-lab-circuit-label").count() == 0
    assert tab.locator(".dtrs-lab-bar").count() == 1
    assert "No head counts as an induction head" in tab.locator(".dtrs-lab-story").inner_text()


def test_looking_back_comes_before_induction(visit: Any) -> None:
    """At step 1,500 one half of the circuit is there, and the lab says which."""
    found = visit(step=1500).locator(".dtrs-lab-finding").first.inner_text()
    assert "already looks back, but no head reaches 0.4" in found


@pytest.mark.parametrize(("step", "off"), [(1250, ""), (1500, "0.2"), (LATE, ""), (LATE, "0.2")])
def test_marks_follow_the_rule_on_the_intact_model(visit: Any, step: int, off: str) -> None:
    """Of the heads before the induction head: at least 0.2, and more than half of the best; with all heads on."""
    before = torch.tensor(scores_on(visit(step=step))).view(2, 4, 2)[0, :, 0]
    expected = [bool(score >= 0.2 and score > before.max() / 2) for score in before]
    notes = visit(step=step, off=off).locator(".dtrs-lab-tile-note").all_inner_texts()
    assert ["looks back" in note for note in notes] == [*expected, *[False] * 4]
    assert any(expected)


def test_removals_name_no_head_twice_and_keep_the_intact_value(visit: Any) -> None:
    labels = visit(text=TEXT, off="0.3").locator(".dtrs-lab-bar-label").all_inner_texts()
    further = ["and without 0.2", "and without 0.2 and 0.0", "and without 1.1"]
    assert labels == ["all heads on", "without 0.3", *further]
    assert visit(text=TEXT, off="1.1").locator(".dtrs-lab-bar-label").all_inner_texts()[:2] == [
        "all heads on",
        "without 1.1",
    ]


def test_every_place_after_an_earlier_copy_counts(visit: Any) -> None:
    """A token that comes more than once in a copy: the attention to what followed it is summed in Python."""
    words = "the river and the river and the sea"
    ids = ids_of(words)
    tokens, period = twice(ids), len(ids)
    place = next(place for place in range(1, period) if ids.count(ids[place - 1]) > 1)
    now = period + place
    after = [at + 1 for at in range(1, now) if tokens[0, at] == tokens[0, now]]
    tab = visit(text=words, token=place)
    scores = torch.tensor(scores_on(tab)).view(2, 4, 2)
    _, cache = load("induction").run_with_cache(tokens)
    row = cache["blocks.1.attn.hook_pattern"][0, int(scores[1, :, 1].argmax()), now]
    assert len(after) > 1
    said = tab.locator(".dtrs-lab-story").inner_text().replace("\u00a0", " ")
    assert f"and {100 * row[after].sum():.0f} % to all {len(after)} places" in said


def test_the_training_is_drawn_to_scale_and_without_lines_over_gaps(visit: Any) -> None:
    tab = visit(step=500)
    lines = tab.locator(".dtrs-lab-trail-line")
    way = "node => node.getAttribute('d')"
    assert re.sub(r"[\d. ]", "", lines.first.evaluate(way)) == "MM", "the first and the last visit are far apart"
    move_to(tab, 0)
    x = [float(number) for number in re.findall(r"[ML] ([\d.]+)", lines.first.evaluate(way))]
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(500 / LATE, abs=1e-3)


def test_the_first_token_again_cannot_be_looked_up(visit: Any) -> None:
    tab = visit(token=0)
    assert "nothing to look up" in tab.locator(".dtrs-lab-panel").last.inner_text()
    assert not tab.locator(".dtrs-lab-circuit").is_visible()


def test_heads_are_switched_and_tokens_chosen_with_the_keyboard(visit: Any) -> None:
    """The loss answers, the change is spoken, and the address holds everything for the next visitor."""
    tab = visit()
    intact = losses_on(tab)
    tab.get_by_role("button", name="Head 1.1 on", exact=True).press("Enter")
    tab.wait_for_function("() => document.body.textContent.includes('the second copy got harder')")
    assert losses_on(tab)[1] > intact[1] + 2
    tab.wait_for_function("() => document.querySelector('.dtrs-lab-hidden').textContent.includes('harder')")
    tab.locator(".dtrs-lab-loss[aria-pressed=true]").press("ArrowRight")
    tab.wait_for_function("() => new URL(location).search.includes('token%3D5')")
    assert tab.locator(".dtrs-lab-loss").nth(5).evaluate("node => node === document.activeElement")
    move_to(tab, 3000)
    tab.wait_for_function("() => new URL(location).search.includes('step%3D3000')")
    other = tab.context.new_page()
    other.goto(tab.url)
    other.wait_for_selector("figure[data-state=live]", timeout=PATIENCE)
    state = other.locator(".dtrs-lab-body").inner_text()
    tab.wait_for_function("state => document.querySelector('.dtrs-lab-body').innerText === state", arg=state)
    tab.get_by_role("button", name="Reset").click()
    tab.wait_for_function(SHOWN_STEP, arg=LATE)
    assert losses_on(tab) == intact


def test_what_an_address_holds_in_error_falls_back(visit: Any) -> None:
    usual = visit().locator(".dtrs-lab-body").inner_text()
    odd = visit(step=123, head="9.9", off="7.7,x", token="-3", seed="none", source="nowhere", look="99")
    assert odd.locator(".dtrs-lab-body").inner_text() == usual


def test_weights_are_fetched_when_first_needed(visit: Any) -> None:
    """The first view takes one checkpoint; a step takes its own and its neighbours'; one missing is said."""
    tab = visit()
    names = "() => performance.getEntriesByType('resource').map((entry) => entry.name).join()"
    weight = "() => performance.getEntriesByType('resource').reduce((sum, entry) => sum + entry.encodedBodySize, 0)"
    first = set(re.findall(r"step-(\d+)", tab.evaluate(names)))
    assert len(first) == 1 and tab.evaluate(weight) < 3e6
    move_to(tab, 1000)
    tab.wait_for_function(f"() => ({names})().includes('000750')")
    then = set(re.findall(r"step-(\d+)", tab.evaluate(names))) - first
    assert {"000750", "001000"} <= then <= {"000750", "001000", "001250"}
    tab.get_by_label("Training step").fill(str(STEPS.index(250)))
    alert = tab.locator("[role=alert]")
    alert.wait_for()
    assert "step-000250" in alert.inner_text()
    move_to(tab, 500)
    assert not alert.is_visible()


def test_training_plays_and_pauses(visit: Any) -> None:
    tab = visit(step=5000)
    player = tab.get_by_role("button", name="Play the training")
    player.click()
    tab.wait_for_function(SHOWN_STEP, arg=6000, timeout=PATIENCE)
    tab.get_by_role("button", name="Pause").click()
    stopped = tab.get_by_label("Training step").input_value()
    tab.wait_for_timeout(1500)
    assert tab.get_by_label("Training step").input_value() == stopped
    player.click()
    tab.wait_for_function(SHOWN_STEP, arg=LATE, timeout=PATIENCE)
    player.wait_for(timeout=PATIENCE)


def test_nothing_moves_by_itself_where_less_motion_is_wanted(visit: Any) -> None:
    tab = visit(motion="reduce", step=5000)
    tab.get_by_role("button", name="Next checkpoint").click()
    tab.wait_for_function(SHOWN_STEP, arg=6000, timeout=PATIENCE)
    tab.wait_for_timeout(1500)
    assert tab.get_by_label("Training step").input_value() == str(STEPS.index(6000))
