"""The lab of the chain of thought: what its models write and answer, and its edits, are Python's.

It runs on small models with random weights in the places of the shipped ones, so that every number differs from every
other and none depends on a training. Its problems and scratchpads are tested in test_labs_chain_of_thought_rules.py.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import Float
from lab_files import model_files
from labs import HAIR, ROOT, settle, visits, write_page
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge.sources.native import NativeModel, initialize_native_model

from utils.data import reasoning
from utils.data.reasoning import Problem
from utils.measure.faithfulness import Transcript, answer_probabilities, knock_out, swap_keys_values, write
from utils.models import load, shipped

LAB = "chain_of_thought"
SMALL: dict[str, Any] = {
    "n_layers": 3,
    "d_model": 24,
    "n_ctx": 100,
    "d_head": 6,
    "n_heads": 4,
    "d_vocab": len(reasoning.WORDS),
    "d_mlp": 40,
    "act_fn": "gelu",
    "normalization_type": "LN",
    "positional_embedding_type": "rotary",
    "rotary_dim": 4,
    "seed": 0,
}
DEEP, CUED, PLACED = (
    reasoning.random_problems(1, seed=3, depth=8)[0],
    reasoning.random_problems(1, seed=4, depth=3, cue="hint", wrong_cue=True)[0],
    reasoning.random_problems(1, seed=5, depth=4, cue="past")[0],
)
FREE = reasoning.random_problems(1, seed=6, depth=5, form="free")[0]
STOP = reasoning.tokens(reasoning.ANSWER)[0]
PROBLEMS = {"deep": DEEP, "cued": CUED, "placed": PLACED, "free": FREE}

PLACES = "all => all.map((one) => one.getBoundingClientRect()).map(({ left, width }) => [left, width])"

pytestmark = pytest.mark.browser
each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A book's root whose reasoning models are small and random."""
    root = tmp_path_factory.mktemp("book")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "WEIGHTS", root / "utils" / "models" / "weights")
        for seed, name in enumerate(reasoning.ORGANISMS):
            shipped.save_checkpoint(name, 7, random_model(seed).state_dict(), SMALL, "reasoning")
        shipped.save_checkpoint("reasoning", 0, random_model(9).state_dict(), SMALL, "reasoning")
        shutil.copytree(ROOT / "utils" / "data" / "tokenizers", root / "utils" / "data" / "tokenizers")
        yield root


def random_model(seed: int) -> NativeModel:
    """Random everywhere, biases and norms included, and large enough for predictions to differ."""
    config = TransformerBridgeConfig(**SMALL)
    model = NativeModel(config)
    initialize_native_model(model, config, 0)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    """A folder with one page and everything that the lab fetches."""
    site = tmp_path_factory.mktemp("site")
    files = {path.name: path for path in (ROOT / "book" / "labs").glob("*.*")}
    for name in (*reasoning.ORGANISMS, "reasoning"):
        files |= model_files(made, name)
    for inside, source in files.items():
        target = site / "_static" / "labs" / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    write_page(site, LAB)
    return site


@pytest.fixture
def opened(chromium: Any, site: Path) -> Iterator[Callable[..., Any]]:
    """`opened(model="hidden", text="first so 2")`: the lab in that state, once it is live or failed."""
    with visits(chromium, site, LAB) as opening:
        yield opening


def words_of(steps: Sequence[Sequence[str]]) -> list[str]:
    return [word for step in steps for word in step]


# What is shown -------------------------------------------------------------------------------------------------------


def state_of(problem: Problem, **more: str) -> dict[str, str]:
    """The lab's state that shows a problem."""
    return {"problem": " ".join(reasoning.prompt(problem)[1:]), **more}


def transcript(problem: Problem, words: Sequence[str]) -> Transcript:
    return Transcript(
        prompt=tuple(reasoning.tokens(reasoning.prompt(problem))),
        steps=tuple((token,) for token in reasoning.tokens(words)),
        ask=tuple(reasoning.tokens(reasoning.ANSWER)),
        options=tuple(reasoning.tokens(map(str, problem.answers))),
    )


def closing(one: Transcript, answer: Float[Tensor, " option"]) -> Transcript:
    """The same text when the likeliest answer is given: what is asked is how it closes."""
    given = one.options[int(answer.argmax())]
    return replace(one, ask=(*one.ask, given), options=tuple(reasoning.tokens(reasoning.CLOSINGS)))


def bars_on(tab: Any, panel: str = "Answers and their probabilities") -> list[tuple[str, str, str]]:
    """Each bar's label, number and note."""
    bars = tab.locator(f'[aria-label="{panel}"] .dtrs-lab-bar')
    parts = ".dtrs-lab-bar-label, .dtrs-lab-bar-value, .dtrs-lab-bar-note"
    return [tuple(each.locator(parts).all_inner_texts()) for each in bars.all()]


def percents(shares: Float[Tensor, " option"]) -> Any:
    """Shares as they are printed, to half a per cent."""
    return pytest.approx((100 * shares).tolist(), abs=0.5 + HAIR)


def numbers(bars: list[tuple[str, str, str]]) -> list[float]:
    return [float(value.removeprefix("< ").removesuffix(" %")) for _, value, _ in bars]


def words_on(tab: Any, line: str) -> list[str]:
    """The words of a line of the text."""
    row = tab.locator(".dtrs-lab-line", has=tab.get_by_text(line, exact=True))
    found = row.locator(".dtrs-lab-word").evaluate_all(
        "all => all.map(({ firstChild }) => firstChild.value ?? firstChild.innerText)"
    )
    return list(found)


def shares_on(tab: Any) -> list[float]:
    """The shares of attention below all words up to `answer`, 0 where none is written."""
    values = tab.locator(".dtrs-lab-line:visible .dtrs-lab-word-value").all_text_contents()[:-2]
    return [float(value.removesuffix(" %") or 0) / 100 for value in values]


SOME = {
    "deep": "first so 2, second then 6, sixth hence 4, but past 9, eighth thus 7",
    "cued": "first so 2, second then 6, third then 1",
    "placed": ". . . . . . . . . . . .",
    "free": "",
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_answers_are_pythons(opened: Any, made: Path, name: str) -> None:
    problem, words = PROBLEMS[name], SOME[name].replace(",", "").split()
    tab = opened(**state_of(problem, text=SOME[name], model="hidden"))
    model, one = load("hidden"), transcript(problem, words)
    expected = answer_probabilities(model, [one])[0]
    bars = bars_on(tab)
    assert numbers(bars) == percents(expected) and expected.max() < 0.97
    assert words_on(tab, "Scratchpad") == words
    at_letters = zip(reasoning.LETTERS, problem.options or (), strict=False)
    labels = [f"{digit} ({letter})" for letter, digit in at_letters]
    assert [label for label, _, _ in bars] == (labels or [str(digit) for digit in range(10)])
    assert ["right" in note for _, _, note in bars] == [digit == problem.value for digit in problem.answers]
    cue = "hinted" if problem.cue == "hint" else f"always {problem.past}"
    assert [cue in note for _, _, note in bars] == [digit == problem.cued for digit in problem.answers]
    ends = answer_probabilities(model, [closing(one, expected)])[0]
    closings = bars_on(tab, "Closing words and their probabilities")
    assert numbers(closings) == percents(ends) and [label for label, _, _ in closings] == list(reasoning.CLOSINGS)
    said, end = str(problem.answers[int(expected.argmax())]), reasoning.CLOSINGS[int(ends.argmax())]
    finding = tab.inner_text(".dtrs-lab-finding")
    assert f"The model says {said}, " in finding and f"The result is {problem.value}." in finding
    assert f"closes with “{end}”" in finding and words_on(tab, "Answer") == ["answer", said, end]


@each_problem
@pytest.mark.parametrize("model", ["causal", "biased"])
def test_the_model_writes_what_it_writes_in_python(opened: Any, made: Path, problem: Problem, model: str) -> None:
    tab = opened(**state_of(problem, model=model))
    transcript_of = transcript(problem, [])
    limit = min(5 * len(problem.steps) + 3, 93 - 3 - len(transcript_of.prompt))
    (own,) = write(load(model), [transcript_of.prompt], STOP, limit=limit)
    assert words_on(tab, "Scratchpad") == reasoning.words(own)
    assert "the model's own" in tab.inner_text(".dtrs-lab-text .dtrs-lab-note")


@pytest.mark.parametrize(("layer", "head"), [("mean", "mean"), ("1", "mean"), ("mean", "3"), ("2", "0")])
def test_attention_on_the_words_is_pythons(opened: Any, made: Path, layer: str, head: str) -> None:
    words = SOME["deep"].replace(",", "").split()
    tab = opened(**state_of(DEEP, text=SOME["deep"], layer=layer, head=head))
    with torch.no_grad():
        _, cache = load("causal").run_with_cache(torch.tensor([transcript(DEEP, words).tokens]))
    rows = torch.stack([cache[f"blocks.{one}.attn.hook_pattern"][0, :, -1] for one in range(SMALL["n_layers"])])
    rows = rows[[int(layer)] if layer != "mean" else slice(None)][:, [int(head)] if head != "mean" else slice(None)]
    expected = rows.mean((0, 1)).tolist()
    assert shares_on(tab) == pytest.approx(expected, abs=0.005 + HAIR) and max(expected) > 0.03


@each_problem
def test_an_answer_that_may_not_look_is_pythons(opened: Any, made: Path, problem: Problem) -> None:
    words = words_of(reasoning.written(problem, 1))
    tab = opened(**state_of(problem, text=" ".join(words), sight="blind", layer="0", head="1"))
    one = transcript(problem, words)
    model = load("causal")
    expected = knock_out(model, [one], Transcript.ask_at, Transcript.steps_at)[0]
    assert numbers(bars_on(tab)) == percents(expected)
    assert (expected - answer_probabilities(model, [one])[0]).abs().max() > 0.02
    ends = knock_out(model, [closing(one, expected)], Transcript.ask_at, Transcript.steps_at)[0]
    closings = bars_on(tab, "Closing words and their probabilities")
    assert numbers(closings) == percents(ends) and all("was " in note for _, _, note in closings)
    shares = shares_on(tab)
    assert not any(shares[len(one.prompt) : -1]) and sum(shares) == pytest.approx(1, abs=0.15)


# The same words, another memory --------------------------------------------------------------------------------------

KIND_AT = {"rest": (0, 1, 2), "connective": (3,), "value": (4,)}  # places in a step


@pytest.mark.parametrize(
    ("name", "part", "says"),
    [
        ("deep", "all", "own"),
        ("deep", "all", "same"),
        ("deep", "one", "own"),
        ("cued", "value", "own"),
        ("placed", "connective", "own"),
        ("placed", "rest", "same"),
        ("free", "all", "own"),
    ],
)
def test_swapped_keys_and_values_are_pythons(opened: Any, made: Path, name: str, part: str, says: str) -> None:
    problem = PROBLEMS[name]
    words = words_of(reasoning.written(problem, 2))
    tab = opened(**state_of(problem, text=" ".join(words), part=part, says=says, place="5"))
    (said,) = re.findall(r"The other run's problem: (.*?)\.", tab.inner_text(".dtrs-lab-body"))
    chosen = {"all": range(len(words)), "one": [5]}
    places = list(chosen.get(part) or [at for at in range(len(words)) if at % 5 in KIND_AT[part]])
    strip = tab.locator('[aria-label="The words of the scratchpad"] .dtrs-lab-token')
    shown = [each.split("\n") for each in strip.all_inner_texts()]
    assert [word for word, *_ in shown] == words
    theirs = [other[0] if other and other[0] else word for word, *other in shown]
    assert (theirs == words) == (says == "same")
    donor = replace_prompt(transcript(problem, theirs), f"<start> {said}".split())
    model, one = load("causal"), transcript(problem, words)
    expected = swap_keys_values(model, [one], [donor], lambda t: [len(t.prompt) + at for at in places])[0]
    bars = bars_on(tab, "Answers with the swapped memory")
    assert numbers(bars) == percents(expected)
    was = answer_probabilities(model, [one])[0]
    assert noted(bars) == percents(was)
    end, donated = closing(one, expected), closing(donor, expected)
    ends = swap_keys_values(model, [end], [donated], lambda t: [len(t.prompt) + at for at in places])[0]
    closings = bars_on(tab, "Closing words with the swapped memory")
    assert numbers(closings) == percents(ends)
    assert noted(closings) == percents(answer_probabilities(model, [closing(one, was)])[0])
    assert f"behind {len(places)} of {len(words)} words" in tab.inner_text(".dtrs-lab-verdict")


def noted(bars: list[tuple[str, str, str]]) -> list[float]:
    """What the bars were, by their notes."""
    return [float(re.sub(r"[^\d.]", "", note)) for _, _, note in bars]


def replace_prompt(one: Transcript, words: list[str]) -> Transcript:
    return replace(one, prompt=tuple(reasoning.tokens(words)))


def test_another_run_is_another_problem(opened: Any) -> None:
    tab = opened(**state_of(DEEP))
    before = tab.inner_text(".dtrs-lab-verdict + *")
    problem = re.findall(r"The other run's problem: (.*?)\.", tab.inner_text(".dtrs-lab-body"))
    tab.get_by_role("button", name="Another run").click()
    settle(tab)
    assert problem != re.findall(r"The other run's problem: (.*?)\.", tab.inner_text(".dtrs-lab-body"))
    assert before != tab.inner_text(".dtrs-lab-verdict + *")


# Under the reader's hand ---------------------------------------------------------------------------------------------


def choose(tab: Any, line: str, at: int, word: str) -> None:
    """Another word in a place of a line, with the keyboard: its list is focused and the word is typed."""
    row = tab.locator(".dtrs-lab-line", has=tab.get_by_text(line, exact=True))
    row.locator(".dtrs-lab-word").nth(at).locator("select").focus()
    tab.keyboard.type(word)
    settle(tab)


def assert_answers(tab: Any, problem: Problem, words: Sequence[str]) -> None:
    expected = answer_probabilities(load("causal"), [transcript(problem, words)])[0]
    assert numbers(bars_on(tab)) == percents(expected)


def test_a_word_of_the_scratchpad_is_exchanged_with_the_keyboard(opened: Any, made: Path) -> None:
    words = words_of(reasoning.written(DEEP, 3))
    tab = opened(**state_of(DEEP, text=" ".join(words)))
    for at, word in ((39, "5"), (38, "hence"), (0, "fourth")):
        words[at] = word
        choose(tab, "Scratchpad", at, word)
        assert words_on(tab, "Scratchpad") == words
        assert_answers(tab, DEEP, words)
    assert tab.evaluate("document.activeElement.tagName") == "SELECT"
    assert tab.locator("textarea").input_value() == reasoning.text(["think", *words]).removeprefix("think ")


def test_a_changed_problem_leaves_the_scratchpad_as_it_was(opened: Any, made: Path) -> None:
    tab = opened(**state_of(CUED))
    own = words_on(tab, "Scratchpad")
    prompt = reasoning.prompt(CUED)
    line = {
        "Problem": 0,
        "Options": prompt.index("options"),
        "Steps": prompt.index("first"),
        "Start": prompt.index("think"),
    }
    fresh = next(digit for digit in range(10) if digit not in CUED.answers)
    unhinted = next(at for at, digit in enumerate(CUED.answers) if digit not in (CUED.hint, CUED.value))
    a, b, c, d = (fresh if at == unhinted else digit for at, digit in enumerate(CUED.answers))
    for name, place, word in (
        ("Options", 2 + 2 * unhinted, str(fresh)),
        ("Problem", 2, "#08"),
        ("Problem", 4, "blue"),
        ("Steps", 2, "4"),
        ("Start", 2, "4"),
    ):
        if prompt[line[name] + place] == word:
            word = {"#08": "#07", "blue": "red", "4": "3"}[word]
        prompt[line[name] + place] = word
        choose(tab, name, place, word)
        assert words_on(tab, "Scratchpad") == own
        one = replace_prompt(transcript(replace(CUED, options=(a, b, c, d)), own), prompt)
        expected = answer_probabilities(load("causal"), [one])[0]
        assert numbers(bars_on(tab)) == percents(expected)
    tab.get_by_role("button", name="As the model writes it").click()
    settle(tab)
    (new,) = write(load("causal"), [tuple(reasoning.tokens(prompt))], STOP, limit=18)
    assert words_on(tab, "Scratchpad") == reasoning.words(new)


def test_a_factor_follows_when_a_sign_is_changed(opened: Any) -> None:
    problem = Problem(0, "red", "C", None, (1, 2, 3, 4), 5, (("+", 5), ("×", 7)))
    tab = opened(**state_of(problem))
    for at, key in ((1, "ArrowDown"), (4, "ArrowUp")):
        row = tab.locator(".dtrs-lab-line", has=tab.get_by_text("Steps", exact=True))
        row.locator(".dtrs-lab-word").nth(at).locator("select").focus()
        tab.keyboard.press(key)
        settle(tab)
    assert words_on(tab, "Steps") == ["first", "×", "3", "second", "+", "7"]


def test_tools_do_what_they_say(opened: Any, made: Path) -> None:
    steps = reasoning.written(DEEP, 4)
    tab = opened(**state_of(DEEP, text=" ".join(words_of(steps))))

    def press(name: str) -> list[str]:
        tab.get_by_role("button", name=name, exact=True).click()
        settle(tab)
        words = words_on(tab, "Scratchpad")
        assert_answers(tab, DEEP, words)
        return words

    assert press("Cut the last step") == words_of(steps[:-1])
    assert "stops on the way" in tab.inner_text(".dtrs-lab-finding")
    mixed = press("Shuffle the steps")
    assert mixed != words_of(steps[:-1]) and sorted(mixed) == sorted(words_of(steps[:-1]))
    rest = 93 - 3 - len(reasoning.prompt(DEEP)) - len(mixed)
    begun = tuple(reasoning.tokens([*reasoning.prompt(DEEP), *mixed]))
    (more,) = write(load("causal"), [begun], STOP, limit=rest)
    assert press("The model goes on") == [*mixed, *reasoning.words(more)]
    assert press("Full stops instead") == ["."] * 40
    tab.locator("textarea").fill(" ".join(words_of(steps)))
    settle(tab)
    planted = press("Plant a mistake")
    assert planted[-1] != steps[-1][-1] and planted[3::5] == words_of(steps)[3::5]
    assert press("Synonyms")[::5] == planted[::5]
    own = press("As the model writes it")
    assert own != planted and "the model's own" in tab.inner_text(".dtrs-lab-text .dtrs-lab-note")


@pytest.mark.parametrize(
    ("text", "words", "note"),
    [
        ("", 0, "0 words"),
        ("first so 2,second  then\n6", 6, "6 words"),
        ("first so 2 river so 4", 3, "“river” is no word of its language. The text is read up to there."),
        ("🛶<b>", 0, "“🛶<b>” is no word of its language. The text is read up to there."),
        ("first so 2 " * 20, 43, "it reads 43 words, and the lab leaves out the rest."),
    ],
)
def test_a_scratchpad_can_be_typed(opened: Any, made: Path, text: str, words: int, note: str) -> None:
    tab = opened(**state_of(DEEP))
    tab.locator("textarea").fill(text)
    settle(tab)
    assert tab.inner_text(".dtrs-lab-text .dtrs-lab-note").endswith(note)
    assert len(words_on(tab, "Scratchpad")) == words and not alert(tab)
    assert_answers(tab, DEEP, words_on(tab, "Scratchpad"))
    assert ("nothing to swap" in tab.inner_text(".dtrs-lab-verdict")) == (words == 0)


def alert(tab: Any) -> str:
    return str(tab.inner_text("[role=alert]"))


def test_models_are_fetched_when_they_are_chosen(opened: Any, made: Path) -> None:
    tab = opened(**state_of(FREE, text="first so 2"))
    fetched: list[str] = []
    tab.on("request", lambda request: fetched.append(request.url))
    for name, model in (("honest", load("honest")), ("untrained", load("reasoning", 0)), ("causal", load("causal"))):
        tab.get_by_role("button", name=name, exact=True).click()
        settle(tab)
        expected = answer_probabilities(model, [transcript(FREE, ["first", "so", "2"])])[0]
        assert numbers(bars_on(tab)) == percents(expected)
    weights = [re.sub(r".*/weights/(.*?)\.safetensors.*", r"\1", url) for url in fetched if ".safetensors" in url]
    assert weights == ["honest/step-000007", "reasoning/step-000000"]


def test_a_new_problem_takes_the_edits_with_it(opened: Any) -> None:
    tab = opened(**state_of(DEEP, text="first so 2", seed="7", depth="3"))
    tab.get_by_role("button", name="A wrong hint").click()
    settle(tab)
    words = [word for line in ("Problem", "Options", "Steps", "Start") for word in words_on(tab, line)]
    assert words[1:] != reasoning.prompt(DEEP)[1:] and words[-3:-1] == ["think", "value"] and len(words) == 23 + 12
    assert sum("hinted" in note for _, _, note in bars_on(tab)) == 1
    assert "was" not in str(bars_on(tab)) and "the model's own" in tab.inner_text(".dtrs-lab-text .dtrs-lab-note")


def test_a_link_leads_to_the_same_view_and_reset_to_the_start(opened: Any) -> None:
    tab = opened()
    start = snapshot(tab)
    tab.get_by_role("button", name="A wrong hint").click()
    tab.get_by_role("button", name="biased").click()
    settle(tab)
    tab.locator("textarea").fill("first so 2, second then 6")
    choose(tab, "Scratchpad", 5, "4")
    choose(tab, "Problem", 10, "-")
    tab.get_by_role("button", name="the problem alone").click()
    tab.get_by_role("button", name="values", exact=True).click()
    settle(tab)
    shown = snapshot(tab)
    tab.wait_for_function("() => location.search.includes('part%3Dvalue') && location.search.includes('sight%3Dblind')")
    tab.reload()
    tab.wait_for_selector("figure[data-state=live]")
    assert snapshot(tab) == shown != start
    tab.get_by_role("button", name="Reset").click()
    settle(tab)
    assert snapshot(tab) == start


def snapshot(tab: Any) -> list[Any]:
    """All that the lab says, and all that its words say."""
    lines = tab.locator("select").evaluate_all("all => all.map((one) => one.value)")
    return [tab.inner_text(".dtrs-lab-body"), lines, tab.locator("textarea").input_value()]


def test_nonsense_in_a_link_does_no_harm(opened: Any) -> None:
    state = {"model": "nobody", "seed": "-3", "depth": "99", "form": "x", "problem": "no 4 2", "part": "?", "cue": "?",
             "layer": "9", "head": "-1", "place": "much", "other": "NaN", "sight": "?", "says": ""}  # fmt: skip
    tab = opened(**state)
    assert not alert(tab) and not re.search("NaN|undefined|null|Infinity", tab.inner_text(".dtrs-lab-body"))
    assert words_on(tab, "Start")[:2] == ["think", "value"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_it_without_sideways_scrolling(opened: Any, theme: str) -> None:
    tab = opened(width=360, theme=theme, **state_of(DEEP))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = tab.locator(".dtrs-lab-frame :is(button, select, input, textarea)").evaluate_all(
        """all => all.filter((node) => node.checkVisibility()).map((node) => node.getBoundingClientRect())
          .map(({ width, height }) => [width, height])"""
    )
    assert len(sizes) > 80 and all(width >= 24 and height >= 39.5 for width, height in sizes)


@pytest.mark.parametrize("width", [360, 1280])
def test_equal_probabilities_have_equal_bars_in_both_lists(opened: Any, width: int) -> None:
    tab = opened(width=width, **state_of(CUED, text="first so 2"))
    for names in (
        ["Answers and their probabilities", "Closing words and their probabilities"],
        ["Answers with the swapped memory", "Closing words with the swapped memory"],
    ):
        tracks = [tab.locator(f'[aria-label="{name}"] .dtrs-lab-bar-track').evaluate_all(PLACES) for name in names]
        assert [len(places) for places in tracks] == [4, 2]
        assert len({tuple(place) for places in tracks for place in places}) == 1 and tracks[0][0][1] > 60


def test_every_list_of_words_has_a_name_of_its_own(opened: Any) -> None:
    tab = opened(**state_of(DEEP, text=" ".join(words_of(reasoning.written(DEEP, 5)))))
    names = tab.locator(".dtrs-lab-words select").evaluate_all("all => all.map((one) => one.ariaLabel)")
    assert len(names) > 40 and len(set(names)) == len(names), [name for name in names if names.count(name) > 1]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("**/causal/config.json*", {"status": 404, "body": "not here"}),
        ("**/causal/step-*.safetensors*", {"status": 200, "body": "this is not what was asked for"}),
        ("**/tokenizer.json*", {"status": 200, "body": "{}"}),
    ],
)
def test_file_that_does_not_come_is_a_sentence(opened: Any, path: str, answer: dict[str, Any]) -> None:
    tab = opened(instead={path: answer})
    assert tab.get_attribute("figure", "data-state") == "failed"
    assert len(alert(tab)) > 30 and alert(tab).endswith(".") and not re.search("undefined|JSON|TypeError", alert(tab))


def test_a_model_that_does_not_come_can_be_left_for_another(opened: Any) -> None:
    tab = opened(instead={"**/honest/step-*": {"status": 404, "body": "not here"}})
    tab.get_by_role("button", name="honest").click()
    settle(tab)
    assert "honest" in alert(tab)
    tab.get_by_role("button", name="hidden").click()
    settle(tab)
    assert not alert(tab) and len(bars_on(tab)) == 4
