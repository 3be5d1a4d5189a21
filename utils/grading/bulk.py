"""Grade many submitted notebooks: every answer runs in a process of its own, every check in this one.

What the isolation does. Each submission gets a worker process with an empty temporary folder, a bare environment and
bounds on processor time, memory, file size and time per call; it runs only the imports, definitions and assignments
that the checked functions need, sends back values that cannot carry code, and is killed when it overstays. It never
receives an expected value: it sees the inputs, this process compares the results. The worker refuses to import the
checks and the model answers.

What it does not do. The worker is an ordinary process of the same user: it can read files that this user can read
(the book's own sources among them, so a determined cheat finds the checks on disk), use the network, and leave
processes that broke away from it. Against such submissions run the grader in a container without network, or as a
user who owns nothing, and without `solutions/`. On Windows the bounds on memory and processor time are not set.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from utils.grading import submission as notebooks
from utils.grading.checking import Outcome, judge
from utils.grading.isolation import Limits, RemoteStudent, Stopped, Worker
from utils.grading.registry import Exercise, UnknownExercise, all_exercises, find
from utils.grading.student import CouldNotRun

FORMAT = 1


@dataclass
class Marks:
    """The result of one submission: an outcome for every exercise, the total, and notes on what was left out."""

    submission: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Points earned in all exercises."""
        return sum(outcome.points for outcome in self.outcomes.values())


def gather(paths: Iterable[Path]) -> list[Path]:
    """The notebooks among `paths`, folders searched through, each once.

    Raises:
        FileNotFoundError: if a path does not exist; the message is a sentence.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.ipynb"))
            found |= {item: None for item in inside if ".ipynb_checkpoints" not in item.parts}
        elif path.exists():
            found[path] = None
        else:
            raise FileNotFoundError(f"There is no file or folder {str(path)!r}.")
    return list(found)


def columns(paths: list[Path]) -> list[Exercise]:
    """The exercises to mark: all of every chapter from which some submission checks an exercise."""
    slugs: set[str] = set()
    for path in paths:
        try:
            answers = notebooks.read(path).answers
        except notebooks.Unreadable:
            continue
        slugs |= {id.partition(".")[0] for id in answers}
    return [item for item in all_exercises() if item.slug in slugs]


def grade(path: Path, chosen: list[Exercise], limits: Limits | None = None) -> Marks:
    """Grade one submission on the exercises `chosen`; whatever it contains, the marks come back."""
    marks = Marks(str(path))
    try:
        submission = notebooks.read(path)
    except notebooks.Unreadable as error:
        marks.notes.append(str(error))
        marks.outcomes = {item.id: Outcome("could not run", 0, str(error)) for item in chosen}
        return marks
    marks.notes += submission.notes
    for id in submission.answers:
        try:
            find(id)
        except UnknownExercise as unknown:
            marks.notes.append(str(unknown))
    worker: Worker | None = None
    try:
        for item in chosen:
            if item.id not in submission.answers:
                call = f'check("{item.id}", ...)'
                marks.outcomes[item.id] = Outcome("not solved", 0, f"The notebook has no cell with {call}.")
                continue
            if worker is not None and not worker.usable:
                worker.close()
                worker = None
            try:
                worker = worker or Worker(limits or Limits())
                student = RemoteStudent(worker, submission, submission.answers[item.id])
                marks.outcomes[item.id] = judge(item, student)
            except (Stopped, CouldNotRun) as error:
                marks.outcomes[item.id] = Outcome("could not run", 0, str(error))
    finally:
        if worker is not None:
            worker.close()
    return marks


def grade_all(paths: list[Path], csv_path: Path | None, json_path: Path | None, limits: Limits | None = None) -> int:
    """Grade submissions one after another and write each result as it comes; returns how many were graded."""
    chosen = columns(paths)
    done: list[Marks] = []
    table = open(csv_path, "w", newline="", encoding="utf-8") if csv_path else None  # noqa: SIM115
    try:
        if table:
            csv.writer(table).writerow(["submission", *(item.id for item in chosen), "total"])
            table.flush()
        for path in tqdm(paths, desc="grading", unit="notebook", file=sys.stderr):
            marks = grade(path, chosen, limits)
            done.append(marks)
            if table:
                csv.writer(table).writerow(row(marks, chosen))
                table.flush()
            if json_path:
                save(json_path, done, chosen)
    except KeyboardInterrupt:
        print(f"Interrupted after {len(done)} of {len(paths)}; those results are written.", file=sys.stderr)
    finally:
        if table:
            table.close()
    return len(done)


def row(marks: Marks, chosen: list[Exercise]) -> list[str | int]:
    """A submission's line in the CSV. A name that a spreadsheet would take for a formula gets an apostrophe."""
    name = f"'{marks.submission}" if marks.submission[:1] in "=+-@\t\r" else marks.submission
    return [name, *(marks.outcomes[item.id].points for item in chosen), marks.total]


def save(path: Path, done: list[Marks], chosen: list[Exercise]) -> None:
    """Write all results so far as JSON, replacing the file in one step."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "exercises": {item.id: {"title": item.title, "points": item.points} for item in chosen},
        "submissions": [
            {
                "submission": marks.submission,
                "total": marks.total,
                "of": sum(item.points for item in chosen),
                "exercises": {id: asdict(outcome) for id, outcome in marks.outcomes.items()},
                "notes": marks.notes,
            }
            for marks in done
        ],
    }
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")
    os.replace(part, path)
