"""Every exercise of the book: its description, its check, its mutants and its alternatives, and its notebooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from utils.grading import all_exercises
from utils.grading.audit import audit, chapter_problems
from utils.grading.bulk import grade
from utils.grading.checking import Outcome, verdict
from utils.grading.mutants import all_answers
from utils.grading.registry import SLUGS
from utils.grading.submission import read

ROOT = Path(__file__).resolve().parents[1]
EXERCISES = {item.id: item for item in all_exercises()}
CHAPTERS = sorted({item.slug for item in EXERCISES.values()} | {path.stem for path in ROOT.glob("chapters/*.ipynb")})


@pytest.mark.parametrize("id", EXERCISES)
def test_mutants_fail_with_their_sentence_and_alternatives_pass(id: str) -> None:
    assert audit(EXERCISES[id], all_answers().get(id)) == []


def test_no_answers_without_an_exercise() -> None:
    assert set(all_answers()) <= set(EXERCISES)


@pytest.mark.parametrize("slug", CHAPTERS)
def test_a_chapter_has_enough_exercises(slug: str) -> None:
    assert slug in SLUGS
    assert chapter_problems(all_exercises(slug)) == []


@pytest.mark.parametrize("slug", CHAPTERS)
@pytest.mark.parametrize("folder", ["solutions", "exercises"])
def test_every_exercise_is_checked_in_its_notebook(slug: str, folder: str) -> None:
    notebook = read(ROOT / folder / f"{slug}.ipynb")
    assert set(notebook.answers) == {item.id for item in all_exercises(slug)}
    assert notebook.notes == []


@pytest.mark.parametrize("slug", CHAPTERS)
def test_solved_notebooks_print_full_marks_and_stubs_none(slug: str) -> None:
    chapter = all_exercises(slug)
    total = sum(item.points for item in chapter)
    solutions, stubs = _printed("solutions", slug), _printed("exercises", slug)
    for item in chapter:
        assert verdict(item, Outcome("solved", item.points)) in solutions
        assert verdict(item, Outcome("not solved", 0)) in stubs
    assert f"Total: {total} of {total} points." in solutions
    assert f"Total: 0 of {total} points." in stubs


@pytest.mark.parametrize("slug", CHAPTERS)
def test_isolated_grading_gives_solutions_full_marks_and_stubs_none(slug: str) -> None:
    chapter = all_exercises(slug)
    solved = grade(ROOT / "solutions" / f"{slug}.ipynb", chapter)
    assert {id: outcome.message for id, outcome in solved.outcomes.items() if outcome.status != "solved"} == {}
    stubs = grade(ROOT / "exercises" / f"{slug}.ipynb", chapter)
    assert {outcome.status for outcome in stubs.outcomes.values()} == {"not solved"} and stubs.total == 0


def _printed(folder: str, slug: str) -> str:
    """Everything a stored notebook has printed."""
    cells = json.loads((ROOT / folder / f"{slug}.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = [output.get("text", "") for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(text) for text in texts)
