"""`python -m utils.grading SUBMISSION.ipynb … [FOLDER …] --csv marks.csv --json results.json`: see `bulk`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from utils.grading import bulk


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.grading",
        description=bulk.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="SUBMISSION", help="notebooks, or folders of notebooks")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a line per submission, a column per exercise")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same with what each student is told")
    parser.add_argument("--seconds", type=float, default=10.0, help="the longest a function may take for one call")
    chosen = parser.parse_args(arguments)
    if chosen.seconds <= 0:
        print("--seconds must be more than 0.", file=sys.stderr)
        return 2
    try:
        paths = bulk.gather(chosen.paths)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    if not paths:
        print("There are no notebooks (.ipynb) in what you named.", file=sys.stderr)
        return 2
    try:
        done = bulk.grade_all(paths, chosen.csv, chosen.json, bulk.Limits(call_seconds=chosen.seconds))
    except OSError as error:
        print(f"The results cannot be written: {error.strerror} ({error.filename}).", file=sys.stderr)
        return 2
    where = " and ".join(str(path) for path in (chosen.csv, chosen.json) if path)
    print(f"Graded {done} of {len(paths)} submissions{f'; the marks are in {where}' if where else ''}.")
    return 0 if done == len(paths) else 1


if __name__ == "__main__":
    sys.exit(main())
