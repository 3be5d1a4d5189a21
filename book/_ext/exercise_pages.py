"""Show each exercise with its hints and, behind a click, its solution.

An exercise page is `exercises/SLUG.ipynb`, the notebook a reader downloads: unsolved and never run by the build. While
Sphinx reads it, closed boxes are put below each cell that waits for an answer: the graded hints of `utils.grading`, and
the solution from `solutions/SLUG.ipynb`. The download is the untouched file. With `dtrs_solutions` off, which
is what `make book SOLUTIONS=no` sets, no solution is read at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
CHECK = re.compile(r"""\bcheck\(\s*["']([\w.]+)["']""")
MARKUP = re.compile(r"[\\`*_{}\[\]<>#$~|]")
Cell = dict[str, Any]


def with_boxes(
    exercises: dict[str, Any], solutions: dict[str, Any], hints_of: Callable[[str], Sequence[str]], show_solutions: bool
) -> dict[str, Any]:
    """The exercise notebook for display: no outputs, and boxes below each cell that waits for an answer.

    Args:
        exercises: the stub notebook, as JSON.
        solutions: the notebook it was generated from, with the same cell ids.
        hints_of: exercise id -> its hints, gentlest first.
        show_solutions: whether to add the solutions.

    Raises:
        ExtensionError: if a solution has no stub cell, so that its box would be lost without a word.
    """
    solved = {cell["id"]: text(cell) for cell in solutions["cells"] if BEGIN in text(cell)}
    missing = set(solved) - {cell.get("id") for cell in exercises["cells"]}
    if missing:
        raise ExtensionError(f"The exercises lack the cells {sorted(missing)} of the solutions: run make exercises.")
    shown: list[Cell] = []
    for index, cell in enumerate(exercises["cells"]):
        if cell["cell_type"] == "code":
            cell = cell | {"outputs": [], "execution_count": None}
        shown.append(cell)
        if cell.get("id") in solved:
            exercise = checked_below(exercises["cells"][index:])
            boxes = hint_boxes(hints_of(exercise) if exercise else ())
            if show_solutions:
                boxes += solution_box(solved[cell["id"]])
            if boxes:
                shown.append({"cell_type": "markdown", "id": f"{cell['id']}-help", "metadata": {}, "source": boxes})
    return exercises | {"cells": shown}


def text(cell: Cell) -> str:
    """A cell's source as one string; notebooks may store a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def checked_below(cells: Sequence[Cell]) -> str | None:
    """The id of the first exercise that these cells check."""
    return next(
        (found[1] for cell in cells if cell["cell_type"] == "code" and (found := CHECK.search(text(cell)))), None
    )


def hint_boxes(hints: Sequence[str]) -> str:
    """One closed box per hint, to be opened one after the other."""
    return "".join(
        f":::{{dropdown}} Hint {level} of {len(hints)}\n:class-container: dtrs-hint\n\n{as_markdown(hint)}\n:::\n\n"
        for level, hint in enumerate(hints, start=1)
    )


def as_markdown(hint: str) -> str:
    """A hint, which notebooks print as plain text, so that Markdown shows the same characters; `code` stays code."""
    pieces = re.split(r"(`[^`]+`)", hint)
    return "".join(piece if index % 2 else MARKUP.sub(r"\\\g<0>", piece) for index, piece in enumerate(pieces))


def solution_box(source: str) -> str:
    """A closed box with a solution cell, without the markers around the answer."""
    lines = [line for line in source.splitlines() if line.strip() not in (BEGIN, END)]
    code = "\n".join(lines).strip("\n")
    return f"::::{{dropdown}} Solution\n:class-container: dtrs-solution\n\n~~~~~python\n{code}\n~~~~~\n::::\n"


def registered_hints(exercise: str) -> Sequence[str]:
    """An exercise's hints as its check declares them.

    Raises:
        ExtensionError: if no check has this id.
    """
    from utils.grading import registry

    try:
        return registry.find(exercise).hints
    except registry.UnknownExercise as error:
        raise ExtensionError(str(error)) from None


def on_source_read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Sphinx hands over each page's text before it is parsed; exercise pages get their boxes here."""
    if not docname.startswith("exercises/"):
        return
    solutions = Path(app.srcdir) / "solutions" / f"{docname.removeprefix('exercises/')}.ipynb"
    if not solutions.is_file():
        raise ExtensionError(f"{docname} has no solutions/{solutions.name} to be made from.")
    app.env.note_dependency(str(solutions))
    shown = with_boxes(
        json.loads(source[0]),
        json.loads(solutions.read_text(encoding="utf-8")),
        registered_hints,
        app.config.dtrs_solutions,
    )
    source[0] = json.dumps(shown)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_config_value("dtrs_solutions", True, "env", types=[bool])
    app.connect("source-read", on_source_read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
