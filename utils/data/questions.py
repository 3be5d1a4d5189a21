"""Simple questions with one right and two wrong answers, written for this book; a small language model knows many."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "samples" / "questions.txt"
LETTERS = "ABC"


class Question(NamedTuple):
    """A question, its right answer, and two wrong ones; each answer is one word."""

    text: str
    right: str
    wrong: tuple[str, str]

    def options(self, place: int) -> tuple[str, ...]:
        """The three answers in the order in which they are offered, the right one at `place`: 0, 1 or 2."""
        return (*self.wrong[:place], self.right, *self.wrong[place:])


def questions() -> list[Question]:
    """All questions, in the order of the file: one a line, `question | right | wrong | wrong`."""
    rows = [[part.strip() for part in line.split("|")] for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [Question(text, right, (one, other)) for text, right, one, other in rows]
