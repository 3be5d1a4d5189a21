"""Points: what has been solved, shown as a table and a bar, and carried from one machine to another."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from utils.grading import store
from utils.grading.display import in_notebook, show
from utils.grading.registry import Exercise, UnknownExercise, all_exercises, find, find_slug


def record(id: str, points: int) -> None:
    """Note the points of an exercise; a later, lower result does not take them away."""

    def change(state: store.State) -> None:
        state["exercises"][id] = max(points, state["exercises"].get(id, 0))

    store.update(change)


def progress(slug: Any = None) -> None:
    """Show the points earned so far, in one chapter or in all, as a table (and, in a notebook, a bar)."""
    try:
        chosen = all_exercises() if slug is None else all_exercises(find_slug(str(slug)))
    except UnknownExercise as unknown:
        print(unknown)
        return
    earned = store.read()["exercises"]
    print(table(chosen, earned))
    got, total = sum(_points(item, earned) for item in chosen), sum(item.points for item in chosen)
    if in_notebook():
        show(bar(got, total), f"{got} of {total}")


def _points(item: Exercise, earned: dict[str, Any]) -> int:
    return min(item.points, earned.get(item.id, 0))


def table(chosen: list[Exercise], earned: dict[str, Any]) -> str:
    """The plain-text table: a line per exercise, ✓ when it has its points, and the total."""
    if not chosen:
        return "There are no exercises yet."
    width = max(len(item.title) for item in chosen) + 2
    lines: list[str] = []
    chapter = ""
    for item in chosen:
        if item.slug != chapter:
            chapter = item.slug
            lines.append(chapter)
        sign = "✓" if _points(item, earned) == item.points else "○"
        lines.append(f"  {sign} {item.title.ljust(width)}{_points(item, earned):>3} of {item.points}")
    got, total = sum(_points(item, earned) for item in chosen), sum(item.points for item in chosen)
    lines.append(f"Total: {got} of {total} points.")
    return "\n".join(lines)


def bar(got: int, total: int) -> str:
    """The same total as a small HTML progress bar."""
    label = html.escape(f"{got} of {total} points")
    return (
        f'<div class="dtrs-progress" style="max-width:24rem"><progress max="{max(total, 1)}" value="{got}" '
        f'style="width:100%;height:1rem" aria-label="{label}"></progress></div>'
    )


def export_progress(path: Any) -> None:
    """Write points and predictions to a file that `import_progress` reads on another machine."""
    target = Path(path)
    state = store.read()
    try:
        store.write(target, state)
    except OSError as error:
        print(f"Your progress could not be written to {target.name}: {error.strerror}. Choose a folder that exists.")
        return
    print(f"Wrote {_counts(state)} to {target.name}.")


def import_progress(path: Any) -> None:
    """Add the points and predictions of an exported file to your own; where both have one, the better counts."""
    source = Path(path)
    try:
        text = source.read_bytes().decode("utf-8")
    except OSError as error:
        print(f"{source.name} could not be read: {error.strerror}. Nothing was changed.")
        return
    except UnicodeDecodeError:
        text = ""
    incoming, faults = store.parse(text)
    if "the whole file" in faults:
        print(f"{source.name} is not a file written by export_progress. Nothing was changed.")
        return
    unknown = _keep_known(incoming)

    def merge(state: store.State) -> None:
        for id, points in incoming["exercises"].items():
            state["exercises"][id] = max(points, state["exercises"].get(id, 0))
        for id, prediction in incoming["predictions"].items():
            mine = state["predictions"].get(id, {})
            if mine.get("actual") is None and mine.get("guess") is None:
                state["predictions"][id] = prediction

    store.update(merge)
    left_out = [*faults, *unknown]
    rest = f" Left out, because this version of the book does not know them: {', '.join(left_out)}." if left_out else ""
    print(f"Read {_counts(incoming)} from {source.name}.{rest}")


def _keep_known(incoming: store.State) -> list[str]:
    """Drop exercises that do not exist and cap the points of those that do; the names dropped."""
    dropped = []
    for id in list(incoming["exercises"]):
        try:
            incoming["exercises"][id] = min(incoming["exercises"][id], find(id).points)
        except UnknownExercise:
            dropped.append(id)
            del incoming["exercises"][id]
    return dropped


def _counts(state: store.State) -> str:
    done, guessed = len(state["exercises"]), len(state["predictions"])
    return f"{done} exercise{'' if done == 1 else 's'} and {guessed} prediction{'' if guessed == 1 else 's'}"
