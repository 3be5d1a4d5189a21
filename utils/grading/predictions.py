"""Predict first: the reader commits to an interval, sees the measurement, and learns how well calibrated they are.

An interval is an 80 % interval when its owner would bet four to one that the number lies inside. Someone whose
80 % intervals hold the truth four times in five is calibrated: fewer means overconfident, more means cautious.
"""

from __future__ import annotations

import html
import re
from typing import Any

from torch import Tensor

from utils.grading import store
from utils.grading.display import in_build, show

AIM = 0.8
_KEY = re.compile(r"[a-z][a-z0-9_]*\.[A-Za-z0-9_]+")


def predict(id: str, question: str, unit: str = "", guess: Any = None) -> None:
    """Ask for a prediction, and keep the answer.

    Args:
        id: "SLUG.key"; the `reveal` further down names the same one.
        question: asks for one number.
        unit: of that number, if it has one.
        guess: the reader's interval `(low, high)`, which they are 80 % sure holds the number.
    """
    if not _known_form(id):
        return
    if in_build():
        show(_form(id, question, unit), question)
        return
    print(f"{question}{f' ({unit})' if unit else ''}")
    if guess is None:
        print("Your turn: add guess=(low, high) to this cell, a range you are 80 % sure holds the number, and run it.")
        return
    interval = _interval(guess)
    if interval is None:
        print("A guess is two numbers, the lower one first, as in guess=(0.2, 0.6). This one was not noted.")
        return
    _commit(id, interval, unit)


def _commit(id: str, interval: tuple[float, float], unit: str) -> None:
    late = False

    def change(state: store.State) -> None:
        nonlocal late
        entry = state["predictions"].setdefault(id, {"guess": None, "actual": None})
        late = entry.get("actual") is not None and entry.get("guess") != list(interval)
        if not late:
            entry["guess"] = list(interval)

    store.update(change)
    text = _range(interval, unit)
    if late:
        print(f"Noted with a smile: {text}. The answer has been shown, so what counts is what you said before it.")
    else:
        print(f"You are 80 % sure that it lies between {text}.")


def reveal(id: str, actual: Any, digits: int = 2) -> None:
    """Show the measured number, and whether the reader's interval held it.

    Args:
        id: that of the `predict` it answers.
        actual: the number, or a tensor of one element.
        digits: how many places after the decimal point are printed and compared.
    """
    if not _known_form(id):
        return
    try:
        measured = round(float(actual.item() if isinstance(actual, Tensor) else actual), digits)
    except (TypeError, ValueError, RuntimeError):
        print("reveal takes the measured number, or a tensor that holds just one.")
        return
    if not store.number(measured):
        print(f"The measurement came out as {measured}, so there is nothing to compare.")
        return
    text = f"{measured:.{max(digits, 0)}f}"
    if in_build():
        show(_answer(id, text), f"Measured: {text}.")
        return
    entry: dict[str, Any] = {}

    def change(state: store.State) -> None:
        entry.update(state["predictions"].setdefault(id, {"guess": None, "actual": None}))
        state["predictions"][id]["actual"] = measured

    store.update(change)
    guess = entry.get("guess")
    if guess is None:
        print(f"Measured: {text}. You made no prediction for this one.")
    else:
        held = "inside" if guess[0] <= measured <= guess[1] else "outside"
        print(f"Measured: {text}. Your interval, {_range(guess, '')}: the number lies {held} it.")


def calibration(slug: str) -> None:
    """Show how many of the reader's intervals in a chapter held the truth, against the four in five aimed at."""
    if in_build():
        show(_summary(slug), "How well calibrated were you? The published page counts your intervals here.")
        return
    predictions = store.read()["predictions"]
    mine = {id: entry for id, entry in predictions.items() if id.startswith(f"{slug}.")}
    scored = {id: e for id, e in mine.items() if e.get("guess") is not None and e.get("actual") is not None}
    if not scored:
        print(
            "No prediction to score yet: add guess=(low, high) to the predict cells before you run what follows them."
        )
        return
    width = max(map(len, scored))
    for id, entry in scored.items():
        held = entry["guess"][0] <= entry["actual"] <= entry["guess"][1]
        interval = f"{_short(entry['guess'][0])} to {_short(entry['guess'][1])}"
        print(f"{'✓' if held else '✗'} {id.ljust(width)}  you: {interval:<18} measured: {_short(entry['actual'])}")
    hits = sum(e["guess"][0] <= e["actual"] <= e["guess"][1] for e in scored.values())
    print(judgement(hits, len(scored)))


def judgement(hits: int, count: int) -> str:
    """What `hits` of `count` intervals say about someone who aims at four in five, in plain words."""
    aim = AIM * count
    said = f"{hits} of {count} interval{'' if count == 1 else 's'} held the truth; 80 % of {count} is {aim:.1f}."
    if count < 4:
        return f"{said} With so few, luck decides: go on predicting."
    if hits >= aim + 1 or hits == count:
        return f"{said} You know more than your intervals admit, or were lucky: try narrower ones."
    if hits < aim - 1:
        return f"{said} You were surer than you should have been: make the intervals wider."
    return f"{said} That is about as well calibrated as one can tell from {count}."


def _known_form(id: Any) -> bool:
    if isinstance(id, str) and _KEY.fullmatch(id):
        return True
    print(f"A prediction's id looks like 'residual_stream.first_guess', not {id!r}. Nothing was noted.")
    return False


def _interval(guess: Any) -> tuple[float, float] | None:
    if not isinstance(guess, (tuple, list)) or len(guess) != 2 or not all(map(store.number, guess)):
        return None
    return (float(guess[0]), float(guess[1])) if guess[0] <= guess[1] else None


def _short(value: float) -> str:
    return f"{value:.6g}"


def _range(interval: Any, unit: str) -> str:
    return f"{_short(interval[0])} and {_short(interval[1])}{f' {unit}' if unit else ''}"


def _form(id: str, question: str, unit: str) -> str:
    """The page's form; the script shows it, and without scripts the question stands as text."""
    safe, words = html.escape(id), html.escape(unit)
    field = '<label>{0} <input type="number" step="any" inputmode="decimal" name="{0}" required></label>'
    return (
        f'<div class="dtrs-predict" data-id="{safe}" data-unit="{words}">'
        f'<p class="dtrs-question"><strong>Predict.</strong> {html.escape(question)}</p>'
        '<p class="dtrs-paper">Write down a low and a high number that you are 80&nbsp;% sure hold it, and read on.</p>'
        "<form hidden><fieldset><legend>A range you are 80&nbsp;% sure of</legend>"
        f"{field.format('low')} {field.format('high')}{f'<span>{words}</span>' if unit else ''} "
        '<button type="submit">Commit</button></fieldset></form>'
        '<p class="dtrs-status" role="status" aria-live="polite"></p></div>'
    )


def _answer(id: str, text: str) -> str:
    return (
        f'<div class="dtrs-reveal" data-id="{html.escape(id)}" data-actual="{text}">'
        f"<details><summary>Show what was measured</summary><p>Measured: <strong>{text}</strong>.</p></details>"
        '<p class="dtrs-status" role="status" aria-live="polite"></p></div>'
    )


def _summary(slug: str) -> str:
    return (
        f'<div class="dtrs-calibration" data-slug="{html.escape(slug)}">'
        "<p>Count how many of your intervals held the measured number: about four in five is what 80&nbsp;% means.</p>"
        '<div class="dtrs-status" role="status" aria-live="polite"></div></div>'
    )
