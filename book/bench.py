"""How long chapters took, how heavy pages and weights are; how fast labs answer, games are played, dictionaries train.

python book/bench.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import bench_dictionaries
import bench_othello
from bench_labs import REPEATS, TOKENS, keystroke_rows, keystrokes, lab_rows, mark_times, move_times
from visit import NoBrowser, browser, pages, served, visit

ROOT = Path(__file__).resolve().parent.parent
MB = 1_000_000


def table(title: str, rows: list[tuple[str, str]]) -> None:
    """Print rows of a name and a value under a title."""
    width = max((len(name) for name, _ in rows), default=0)
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<{width}}  {value:>9}")


def run_times(state: Path) -> list[tuple[str, str]]:
    """Seconds that each notebook took when the build last ran it."""
    values = json.loads(state.read_text(encoding="utf-8"))
    return [
        (key.removeprefix("seconds "), f"{values[key]:.1f} s") for key in sorted(values) if key.startswith("seconds ")
    ]


def page_weights(chromium: Any, out: Path, address: str) -> list[tuple[str, str]]:
    """What a first visit to each page transfers when every figure is looked at."""
    weights = {page: sum(visit(chromium, out, address, page).transferred.values()) for page in pages(out)}
    return [(page, f"{weight / MB:.2f} MB") for page, weight in weights.items()]


def in_a_browser(out: Path) -> None:
    """Print what only a browser can measure.

    Raises:
        NoBrowser: if none is installed.
        RuntimeError: if a lab of the site does not work.
    """
    with served(out) as address, browser() as chromium:
        # The keystrokes come first: nothing else has made the browser busy yet.
        title = f"A keystroke in a lab, {TOKENS} tokens, median of {REPEATS}"
        table(title, keystroke_rows(keystrokes(chromium, address)))
        moves = move_times(chromium, address, "chapters/othello.html")
        table("A move in the lab of Othello", [(f"median of {len(moves)}", f"{median(moves):.1f} ms")])
        marks = mark_times(chromium, address, "chapters/experts.html")
        table("A mark in the lab of experts", [(f"median of {len(marks)}", f"{median(marks):.1f} ms")])
        table("Labs: download, first paint of the page, first numbers", lab_rows(chromium, out, address))
        table("First visit, compressed, shared scripts and labs included", page_weights(chromium, out, address))


def weight_sizes(folder: Path) -> list[tuple[str, str]]:
    """The shipped weights, summed by model."""
    models: dict[str, int] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        name = str(path.parent.relative_to(ROOT))
        models[name] = models.get(name, 0) + path.stat().st_size
    return [(name, f"{size / MB:.2f} MB") for name, size in [*models.items(), ("all", sum(models.values()))]]


def main() -> int:
    """Entry point."""
    state, out = ROOT / "_build" / "state.json", ROOT / "_build" / "html"
    if not state.is_file() or not out.is_dir():
        print("Nothing is built yet: type make book first.", file=sys.stderr)
        return 1
    table("Time to run", run_times(state))
    try:
        in_a_browser(out)
    except NoBrowser as error:
        print(f"\nPages and labs were not measured. {error}")
    table("Games of Othello per second of processor time, one thread", bench_othello.rows())
    table("Shipped weights", weight_sizes(ROOT / "utils"))
    try:
        table("Training a dictionary, tokens per second of processor time", bench_dictionaries.rows())
    except subprocess.CalledProcessError:
        print("\nTraining a dictionary was not compared: SAELens could not be installed. Connect to the internet once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
