"""Predictions: asked, kept, revealed and counted, in a notebook and in the page."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from utils.grading import calibration, export_progress, import_progress, predict, predictions, reveal, store

Output = Callable[[], str]
STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty record of progress."""
    monkeypatch.setenv("RESIDUAL_STREAM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DTRS_BUILD", raising=False)
    store.forget_memory()
    yield
    store.forget_memory()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Output:
    """What was printed since the last call."""
    return lambda: capsys.readouterr().out


def test_a_question_without_a_guess_says_how_to_answer(said: Output) -> None:
    predict("fake.a", "How many heads?", unit="heads")
    assert said().startswith("How many heads? (heads)\nYour turn: add guess=(low, high)")
    reveal("fake.a", 3, digits=0)
    assert said() == "Measured: 3. You made no prediction for this one.\n"


@pytest.mark.parametrize(("actual", "where"), [(0.2, "inside"), (0.5, "inside"), (0.19, "outside"), (0.51, "outside")])
def test_an_interval_includes_its_ends(actual: float, where: str, said: Output) -> None:
    predict("fake.a", "What share?", guess=(0.2, 0.5))
    assert said().endswith("You are 80 % sure that it lies between 0.2 and 0.5.\n")
    reveal("fake.a", torch.tensor([actual]))
    assert said() == f"Measured: {actual:.2f}. Your interval, 0.2 and 0.5: the number lies {where} it.\n"


@pytest.mark.parametrize(
    "guess", [3, (1,), (1, 2, 3), (2, 1), ("1", "2"), (float("nan"), 1), (0, float("inf")), (True, 2), "12"]
)
def test_a_guess_that_is_no_interval(guess: object, said: Output) -> None:
    predict("fake.a", "What share?", guess=guess)
    assert "A guess is two numbers, the lower one first" in said()
    assert store.read()["predictions"] == {}


def test_a_guess_after_the_answer_is_not_counted(said: Output) -> None:
    predict("fake.a", "?", guess=(0, 1))
    predict("fake.a", "?", guess=(0, 2))
    reveal("fake.a", 5)
    predict("fake.a", "?", guess=(4, 6))
    assert "what counts is what you said before it" in said()
    predict("fake.a", "?", guess=(0, 2))
    assert "You are 80 % sure" in said()
    assert store.read()["predictions"]["fake.a"] == {"guess": [0.0, 2.0], "actual": 5.0}


@pytest.mark.parametrize("id", ["share", "Fake.a", "fake.", 3, "fake.a b"])
def test_ids_have_a_form(id: object, said: Output) -> None:
    predict(id, "?")  # type: ignore[arg-type]
    reveal(id, 1)  # type: ignore[arg-type]
    assert said().count("A prediction's id looks like") == 2


@pytest.mark.parametrize("actual", ["x", None, torch.zeros(2), float("nan"), float("inf")])
def test_a_measurement_that_is_no_number(actual: object, said: Output) -> None:
    reveal("fake.a", actual)
    assert "Measured" not in said()


def test_calibration_counts_only_this_chapter(said: Output) -> None:
    calibration("fake")
    assert said().startswith("No prediction to score yet")
    for key, guess, actual in (("a", (0, 1), 0.5), ("b", (0, 1), 2), ("c", (0, 1), 1), ("d", (0, 1), 0.25)):
        predict(f"fake.{key}", "?", guess=guess)
        reveal(f"fake.{key}", actual)
    predict("other.a", "?", guess=(0, 1))
    reveal("other.a", 0)
    predict("fake.open", "?", guess=(0, 1))
    said()
    calibration("fake")
    lines = said().splitlines()
    assert lines[1] == "✗ fake.b  you: 0 to 1             measured: 2"
    assert lines[-1].startswith("3 of 4 intervals held the truth; 80 % of 4 is 3.2. That is about as well")


@pytest.mark.parametrize(
    ("hits", "count", "words"),
    [(1, 1, "luck decides"), (5, 5, "narrower"), (4, 5, "about as well"), (2, 5, "wider"), (9, 10, "narrower")],
)
def test_the_judgement_in_plain_words(hits: int, count: int, words: str) -> None:
    assert words in predictions.judgement(hits, count)


def test_predictions_travel_with_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Output) -> None:
    predict("fake.a", "?", guess=(0, 1))
    reveal("fake.a", 0.5)
    export_progress(tmp_path / "mine.json")
    monkeypatch.setenv("RESIDUAL_STREAM_HOME", str(tmp_path / "other"))
    import_progress(tmp_path / "mine.json")
    said()
    calibration("fake")
    assert "1 of 1 interval held" in said()


def test_the_page_gets_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTRS_BUILD", "1")
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(predictions, "show", lambda html, plain: shown.append((html, plain)))
    predict("fake.a", "Is 1 < 2 & 3?", unit='"heads"')
    reveal("fake.a", 0.987)
    calibration("fake")
    form, answer, tally = (html for html, _ in shown)
    assert [plain for _, plain in shown][:2] == ["Is 1 < 2 & 3?", "Measured: 0.99."]
    assert "Is 1 &lt; 2 &amp; 3?" in form and 'data-unit="&quot;heads&quot;"' in form
    assert form.count("<label>") == form.count("<input") == 2 and "<form hidden>" in form
    assert 'data-actual="0.99"' in answer and "<details>" in answer
    assert 'data-slug="fake"' in tally
    assert store.read()["predictions"] == {}, "a build must not answer for the reader"


# --- the script, in a browser ----------------------------------------------------------------------------------------


def _page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A page with two predictions, as the build makes them; its address."""
    monkeypatch.setenv("DTRS_BUILD", "1")
    parts: list[str] = []
    monkeypatch.setattr(predictions, "show", lambda html, plain: parts.append(html))
    predict("fake.a", "What share?", unit="%")
    predict("fake.b", "How many?")
    reveal("fake.a", 31, digits=0)
    reveal("fake.b", 7, digits=0)
    calibration("fake")
    style, script = ((STATIC / name).read_text(encoding="utf-8") for name in ("predict.css", "predict.js"))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{style}</style>'
    page = tmp_path / "page.html"
    body = f"<body>{''.join(parts)}<script>{script}</script></body>"
    page.write_text(f'<!doctype html><html lang="en">{head}{body}', encoding="utf-8")
    return page.as_uri()


def _browser() -> str:
    """Chromium on this machine, or skip."""
    spec = importlib.util.find_spec("playwright")
    found = next(
        (path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None
    )
    if spec is None or found is None:
        pytest.skip("needs Playwright and Chromium; `make test` installs both where it can")
    return str(found)


@pytest.mark.browser
def test_the_reader_commits_before_the_reveal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, chromium = _page(tmp_path, monkeypatch), _browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        box, answer = page.locator(".dtrs-predict").first, page.locator(".dtrs-reveal").first
        status = box.locator(".dtrs-status")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert not answer.get_by_text("Measured:").is_visible()
        box.get_by_label("low").fill("40")
        box.get_by_label("high").fill("20")
        box.get_by_label("high").press("Enter")
        assert "swap them" in status.inner_text()
        box.get_by_label("low").fill("20")
        box.get_by_label("high").fill("40")
        box.get_by_role("button", name="Commit").press("Enter")
        assert status.inner_text() == "You said 20 to 40 %."
        assert answer.get_by_text("Measured: 31.").is_visible()
        assert "lies inside it" in answer.inner_text()
        page.locator(".dtrs-reveal summary").nth(1).click()
        page.wait_for_function("document.querySelectorAll('.dtrs-predict form')[1].hidden")
        assert "not counted" in page.locator(".dtrs-predict").nth(1).inner_text()
        tally = page.locator(".dtrs-calibration")
        assert "1 of 1 range held the measured value" in tally.inner_text()
        page.reload()
        assert status.inner_text() == "You said 20 to 40 %." and "1 of 1" in tally.inner_text()
        tally.get_by_role("button").click()
        assert status.inner_text() == "" and "1 of 1" not in tally.inner_text()
        assert not answer.get_by_text("Measured:").is_visible()
        assert errors == []
        browser.close()


@pytest.mark.browser
def test_without_storage_and_without_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, chromium = _page(tmp_path, monkeypatch), _browser()
    from playwright.sync_api import sync_playwright

    blocked = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})"
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(blocked)
        page.goto(address)
        box = page.locator(".dtrs-predict").first
        box.get_by_label("low").fill("0")
        box.get_by_label("high").fill("1")
        box.get_by_role("button", name="Commit").click()
        assert "lasts until you leave the page" in box.inner_text()
        assert "outside" in page.locator(".dtrs-reveal").first.inner_text() and errors == []
        plain = browser.new_context(java_script_enabled=False).new_page()
        plain.goto(address)
        assert "Write down a low and a high number" in plain.locator(".dtrs-predict").first.inner_text()
        plain.locator(".dtrs-reveal summary").first.click()
        assert plain.get_by_text("Measured: 31.").is_visible()
        assert re.search("about four in five", plain.locator(".dtrs-calibration").inner_text())
        browser.close()
