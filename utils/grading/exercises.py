"""Make the notebooks that readers get from the ones that hold the solutions.

    python -m utils.grading.exercises            # remake exercises/*.ipynb from solutions/*.ipynb
    python -m utils.grading.exercises NAME …     # only these
    python -m utils.grading.exercises --check    # say which are out of date, and change nothing

What stands between `### BEGIN SOLUTION` and `### END SOLUTION` becomes `...  # your code`; everything else stays.
The result is run once, unsolved, and keeps its text output, so that it shows what a reader will see first.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = "...  # your code"
CELL_TIMEOUT = 300  # seconds


class BadNotebook(Exception):
    """A solution notebook cannot be turned into an exercise notebook; the message says why."""


def strip_solution(source: str, where: str) -> str:
    """The source of a cell with every marked block replaced by a stub at the block's own indentation.

    Raises:
        BadNotebook: if the markers do not pair up; `where` names the cell in the message.
    """
    kept: list[str] = []
    inside = False
    for number, line in enumerate(source.split("\n"), start=1):
        if BEGIN in line or END in line:
            if (BEGIN in line) == inside:
                other = f"another '{BEGIN}'" if inside else f"an '{END}' without a '{BEGIN}'"
                raise BadNotebook(f"{where}, line {number}: {other}. Markers come in pairs, one block at a time.")
            inside = not inside
            if inside:
                kept.append(line[: len(line) - len(line.lstrip())] + STUB)
        elif not inside:
            kept.append(line)
    if inside:
        raise BadNotebook(f"{where}: a '{BEGIN}' without its '{END}'.")
    return "\n".join(kept)


def stub_notebook(source: Path) -> nbformat.NotebookNode:
    """The exercise notebook of a solution notebook, without outputs.

    Raises:
        BadNotebook: if the file is no notebook or its markers do not pair up.
    """
    try:
        solved: Any = nbformat.read(source, as_version=4)
    except Exception as error:
        raise BadNotebook(f"{source.name} is not a notebook that can be read ({type(error).__name__}).") from error
    stub = nbformat.v4.new_notebook()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    stub.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for number, cell in enumerate(solved.cells, start=1):
        make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}.get(cell.cell_type)
        if make is None:
            raise BadNotebook(f"{source.name}, cell {number}: a {cell.cell_type} cell; use code or markdown.")
        text = cell.source
        if cell.cell_type == "code":
            text = strip_solution(text, f"{source.name}, cell {number}")
        new = make(text)
        new["id"] = cell.get("id") or f"{source.stem.replace('_', '-')}-{number}"
        tags = cell.metadata.get("tags")
        new.metadata = {"tags": list(tags)} if tags else {}
        stub.cells.append(new)
    return stub


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run a notebook in `folder`, with nothing solved yet, and keep its printed text only.

    Raises:
        BadNotebook: if a cell raises: an unsolved notebook must run to its end.
    """
    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    env = {**os.environ, "RESIDUAL_STREAM_HOME": "memory", "PYTHONWARNINGS": "ignore"}
    env.pop("DTRS_BUILD", None)
    try:
        client.execute(env=env)
    except CellExecutionError as error:
        raise BadNotebook(f"the unsolved notebook stops with {error.ename}: {error.evalue}") from error
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [kept for output in _joined(cell.outputs) if (kept := _text_only(output)) is not None]
    notebook.metadata["language_info"] = {"name": "python"}


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs with neighbouring pieces of one stream put together; a kernel may split them anywhere."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _text_only(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    if output.output_type == "stream":
        return output
    plain = output.get("data", {}).get("text/plain")
    if plain is None:
        return None
    output.data = {"text/plain": plain}
    output.metadata = {}
    return output


def drift(stub: nbformat.NotebookNode, target: Path) -> str:
    """What is wrong with the stored exercise notebook (nothing: an empty string); outputs are left to nbval."""
    if not target.exists():
        return "does not exist"
    try:
        stored: Any = nbformat.read(target, as_version=4)
    except Exception:
        return "is not a notebook that can be read"
    if len(stored.cells) != len(stub.cells):
        return f"has {len(stored.cells)} cells where its source has {len(stub.cells)}"
    for number, (old, new) in enumerate(zip(stored.cells, stub.cells, strict=True), start=1):
        keys = ("cell_type", "source", "id")
        if any(old.get(key) != new.get(key) for key in keys) or dict(old.metadata) != dict(new.metadata):
            return f"differs from its source in cell {number}"
        if old.cell_type == "code" and old.source.strip() and old.execution_count is None:
            return f"has a cell that was never run (cell {number})"
    return ""


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.grading.exercises", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="chapters to remake; all of them without a name")
    parser.add_argument("--check", action="store_true", help="say which notebooks are out of date and change nothing")
    chosen = parser.parse_args(arguments)
    sources = sorted((root / "solutions").glob("*.ipynb"))
    known = {path.stem: path for path in sources}
    for name in chosen.names:
        if name not in known:
            print(f"There is no solutions/{name}.ipynb. There are: {', '.join(known) or 'none'}.", file=sys.stderr)
            return 2
    wanted = [known[name] for name in chosen.names] or sources
    faults = [_check(path, root) if chosen.check else _make(path, root) for path in _shown(wanted, chosen.check)]
    if not chosen.names:
        for extra in sorted(set(path.stem for path in (root / "exercises").glob("*.ipynb")) - set(known)):
            faults.append(f"exercises/{extra}.ipynb has no source in solutions/: delete it, or add its source.")
    faults = [fault for fault in faults if fault]
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"exercises/: {len(wanted)} notebook{'' if len(wanted) == 1 else 's'} up to date.")
    return 1 if faults else 0


def _shown(paths: list[Path], quiet: bool) -> Any:
    return tqdm(paths, desc="exercises", unit="notebook", disable=quiet, file=sys.stderr)


def _check(source: Path, root: Path) -> str:
    try:
        fault = drift(stub_notebook(source), root / "exercises" / source.name)
    except BadNotebook as error:
        return f"solutions/: {error}"
    if not fault:
        return ""
    return f"exercises/{source.name} {fault}: run `python -m utils.grading.exercises {source.stem}` and commit it."


def _make(source: Path, root: Path) -> str:
    target = root / "exercises" / source.name
    target.parent.mkdir(exist_ok=True)
    try:
        stub = stub_notebook(source)
        run(stub, target.parent)
    except BadNotebook as error:
        return f"solutions/{source.name}: {error}"
    nbformat.validate(stub)
    part = target.with_suffix(".part")
    part.write_text(nbformat.writes(stub) + "\n", encoding="utf-8")
    os.replace(part, target)
    return ""


if __name__ == "__main__":
    sys.exit(main())
