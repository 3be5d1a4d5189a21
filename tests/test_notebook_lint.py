"""Every notebook keeps the book's rules, and the lint that says so catches each kind of offence."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from notebooks import MIN_TEXT_RESULTS, SETUP, NotebookError, execute, keep_text, main, problems, read

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(
    path for folder in ("chapters", "solutions", "exercises") for path in (ROOT / folder).glob("*.ipynb")
)
ALT = "Loss in nats at every position of the sequence; it falls at the second copy and stays low."


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_notebook_keeps_the_rules(path: Path) -> None:
    assert problems(read(path)) == []


def test_all_three_kinds_of_notebook_are_there() -> None:
    slugs = {folder: {path.stem for path in (ROOT / folder).glob("*.ipynb")} for folder in ("chapters", "solutions")}
    assert slugs["chapters"] and slugs["chapters"] == slugs["solutions"]
    assert slugs["solutions"] == {path.stem for path in (ROOT / "exercises").glob("*.ipynb")}


def test_set_up_cell_fetches_this_version_and_runs_here() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert "requirements-colab.txt" in SETUP and f"--branch v{version} " in SETUP
    exec(SETUP, {})


# The lint itself -----------------------------------------------------------------------------------------------------


def good_notebook() -> Any:
    """A notebook that keeps every rule."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells.append(nbformat.v4.new_markdown_cell("# A chapter"))
    notebook.cells.append(nbformat.v4.new_code_cell(SETUP, execution_count=1, id="set-up"))
    for number in range(MIN_TEXT_RESULTS):
        cell = nbformat.v4.new_code_cell(f"print({number})", execution_count=number + 2, id=f"cell-{number}")
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{number}\n")]
        notebook.cells.append(cell)
    return notebook


def with_code(source: str, **cell: Any) -> Any:
    """The good notebook with one more executed cell."""
    notebook = good_notebook()
    notebook.cells.append(nbformat.v4.new_code_cell(source, execution_count=99, id="added", **cell))
    return notebook


def test_good_notebook_passes() -> None:
    assert problems(good_notebook()) == []


def drop_a_result(notebook: Any) -> None:
    notebook.cells[3].outputs = []


def forget_to_run(notebook: Any) -> None:
    notebook.cells[3].execution_count = None


def tag(notebook: Any) -> None:
    notebook.cells[3].metadata["tags"] = ["remove-ouput"]


def switch_comparison_off(notebook: Any) -> None:
    notebook.cells[3].source = "# NBVAL_IGNORE_OUTPUT\nprint(2)"


def store_a_picture(notebook: Any) -> None:
    data = {"text/plain": "a figure", "text/html": "<svg/>"}
    notebook.cells[3].outputs.append(nbformat.v4.new_output("display_data", data))


def store_an_error(notebook: Any) -> None:
    notebook.cells[3].outputs.append(nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[]))


def change_the_set_up(notebook: Any) -> None:
    notebook.cells[1].source = "import utils"


def leave_an_empty_cell(notebook: Any) -> None:
    notebook.cells.append(nbformat.v4.new_code_cell(""))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (drop_a_result, "only 7 cells print a result"),
        (forget_to_run, "was never executed"),
        (tag, "unknown tag 'remove-ouput'"),
        (switch_comparison_off, "switches the comparison off"),
        (store_a_picture, "stores a rich output"),
        (store_an_error, "stores an error"),
        (leave_an_empty_cell, "empty code cell"),
        (change_the_set_up, "not the set-up cell"),
    ],
)
def test_lint_catches(spoil: Callable[[Any], None], complaint: str) -> None:
    notebook = good_notebook()
    spoil(notebook)
    assert any(complaint in problem for problem in problems(notebook)), problems(notebook)


def test_figure_alternatives_do_not_count_as_results() -> None:
    notebook = good_notebook()
    notebook.cells[3].outputs = [nbformat.v4.new_output("display_data", {"text/plain": ALT})]
    assert problems(notebook) == ["only 7 cells print a result that is compared; at least 8 are needed."]


@pytest.mark.parametrize(
    "source",
    [
        "from utils.figures import lines\nlines({'a': y}, x=x, title='t')",
        "from utils.figures import lines as draw\ndraw({'a': y}, x=x, title='t')",
        "from utils import figures\nfigures.heatmap(z, title='t')",
        "import utils.figures as f\nf.heatmap(z, title='t')",
        "import utils.figures\nutils.figures.attention(tokens, pattern)",
        "from utils.figures import bars\nfor y in ys:\n    bars(a, y, title='t')",
    ],
)
def test_lint_catches_figures_without_alternative(source: str) -> None:
    assert any("has no alt" in problem for problem in problems(with_code(source))), source


def test_lint_follows_imports_between_cells() -> None:
    notebook = with_code("from utils.figures import lines")
    notebook.cells.append(nbformat.v4.new_code_cell("lines({}, x=x, title='t')", execution_count=100))
    assert any("lines(…) has no alt" in problem for problem in problems(notebook))


@pytest.mark.parametrize(
    "source",
    [
        f"from utils.figures import lines\nlines({{'a': y}}, x=x, title='t', alt='{ALT}')",
        "from utils.figures import lines\nlines({'a': y}, x=x, title='t', alt=f'Loss of {name}')",
        "from utils.figures import Row, replication_card, token_labels\nreplication_card([Row()], title='t')",
        "from elsewhere import lines\nlines(x)",
    ],
)
def test_lint_lets_described_figures_pass(source: str) -> None:
    assert problems(with_code(source)) == []


def test_lint_catches_an_alternative_that_says_nothing() -> None:
    found = problems(with_code("from utils.figures import lines\nlines({}, x=x, title='t', alt='A figure.')"))
    assert any("fewer than 40 characters" in problem for problem in found)


# Running -------------------------------------------------------------------------------------------------------------


def write(path: Path, *sources: str) -> Path:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    nbformat.write(notebook, path)
    return path


def test_run_keeps_text_only(tmp_path: Path) -> None:
    path = write(
        tmp_path / "n.ipynb",
        "import pathlib; print(pathlib.Path.cwd().name); print('two')",
        "from IPython.display import display\ndisplay({'text/plain': 'words', 'text/html': '<b>words</b>'}, raw=True)",
        "6 * 7",
    )
    assert main(["run", str(path)]) == 0
    first, second, third = read(path).cells
    assert first.outputs[0].text == f"{tmp_path.name}\ntwo\n" and len(first.outputs) == 1
    assert second.outputs[0].data == {"text/plain": "words"}
    assert third.outputs[0].data == {"text/plain": "42"} and third.execution_count == 3
    assert [cell.metadata for cell in read(path).cells] == [{}, {}, {}]


def test_run_renews_the_set_up_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "n.ipynb", "# Set-up: an older one\nimport utils", "print(1)")
    assert main(["run", str(path)]) == 0
    assert [cell.source for cell in read(path).cells] == [SETUP, "print(1)"]


def test_run_names_notebook_cell_and_error_and_leaves_the_file(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "bad.ipynb", "x = 1", "x / 0")
    before = path.read_bytes()
    assert main(["run", str(path)]) == 1
    message = capsys.readouterr().err
    assert "bad.ipynb" in message and "cell 1 (c1)" in message and "ZeroDivisionError: division by zero" in message
    assert path.read_bytes() == before


def test_unreadable_notebooks_get_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(NotebookError, match="not a readable notebook"):
        read(tmp_path / "broken.ipynb")
    with pytest.raises(NotebookError, match="there is no such notebook"):
        read(tmp_path / "absent.ipynb")


def test_settings_reach_the_kernel(tmp_path: Path) -> None:
    path = write(tmp_path / "n.ipynb", "import os; print(os.environ['DTRS_BUILD'], os.environ['RESIDUAL_STREAM_HOME'])")
    executed = keep_text(execute(path, settings={"DTRS_BUILD": "1"}))
    assert executed.cells[0].outputs[0].text == "1 memory\n"
