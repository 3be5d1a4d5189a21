"""Writes the table of points in the instructor's guide: `python book/point_table.py`, after exercises have changed."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from utils.grading.registry import all_exercises

PAGE = Path(__file__).parent / "instructors.md"
PLACE = re.compile(r"(<!-- written by .*? -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Brings `book/instructors.md` up to date."""
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def updated(page: str) -> str:
    """The page with the table as the exercises are now."""
    return PLACE.sub(lambda match: f"{match[1]}\n{table()}\n{match[2]}", page)


def table() -> str:
    """A Markdown table with a line for every exercise and a total for every chapter, in reading order."""
    lines = ["| Exercise | Level | Minutes | Points |", "|---|---|--:|--:|"]
    for slug, group in groupby(all_exercises(), key=lambda item: item.slug):
        items = list(group)
        link = f"[{slug.replace('_', ' ').capitalize()}](../exercises/{slug}.ipynb)"
        minutes, points = sum(item.minutes for item in items), sum(item.points for item in items)
        lines.append(f"| **{link}** | | **{minutes}** | **{points}** |")
        for item in items:
            stars = "●" * item.difficulty + "○" * (3 - item.difficulty)
            lines.append(f"| {item.title} | {stars} | {item.minutes} | {item.points} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
