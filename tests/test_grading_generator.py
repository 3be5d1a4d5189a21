"""Exercise notebooks are made from solution notebooks, and a drift between the two is found."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from utils.grading import exercises

SOLVED = '''def double(x):
    """Twice x."""
    if x is None:
        ### BEGIN SOLUTION
        return None
        ### END SOLUTION
    ### BEGIN SOLUTION
    y = x + x
    return y
    ### END SOLUTION


print(double(2))'''
STUB = '''def double(x):
    """Twice x."""
    if x is None:
        ...  # your code
    ...  # your code


print(double(2))'''


def notebook(path: Path, *cells: str) -> Path:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_markdown_cell("# Exercises", id="title")]
    made.cells += [nbformat.v4.new_code_cell(text, id=f"cell-{i}") for i, text in enumerate(cells)]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(made, path)
    return path


def test_solutions_become_stubs() -> None:
    assert exercises.strip_solution(SOLVED, "here") == STUB
    assert exercises.strip_solution("x = 1", "here") == "x = 1"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("### BEGIN SOLUTION\nx", "here: a '### BEGIN SOLUTION' without its '### END SOLUTION'."),
        ("x\n### END SOLUTION", "here, line 2: an '### END SOLUTION' without a '### BEGIN SOLUTION'."),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "here, line 2: another '### BEGIN SOLUTION'"),
    ],
)
def test_unbalanced_markers_are_refused(source: str, message: str) -> None:
    with pytest.raises(exercises.BadNotebook) as error:
        exercises.strip_solution(source, "here")
    assert message in str(error.value)


def test_the_command_makes_runs_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = notebook(tmp_path / "solutions" / "fake.ipynb", SOLVED, "import sys\nprint('two')\nprint('lines')\n1 + 1")
    assert exercises.main(["--check"], tmp_path) == 1
    assert (
        "exercises/fake.ipynb does not exist: run `python -m utils.grading.exercises fake`" in capsys.readouterr().err
    )
    assert exercises.main([], tmp_path) == 0
    target = tmp_path / "exercises" / "fake.ipynb"
    made = nbformat.read(target, as_version=4)
    assert [cell.id for cell in made.cells] == ["title", "cell-0", "cell-1"]
    assert made.cells[1].source == STUB
    assert made.cells[1].outputs[0].text == "None\n"
    assert made.cells[2].outputs[0].text == "two\nlines\n"
    assert dict(made.cells[2].outputs[1].data) == {"text/plain": "2"}
    assert all(dict(cell.metadata) == {} for cell in made.cells)
    assert exercises.main(["--check"], tmp_path) == 0
    before = target.read_bytes()
    assert exercises.main(["fake"], tmp_path) == 0 and target.read_bytes() == before

    notebook(source, SOLVED + "\n# more", "import sys\nprint('two')\nprint('lines')\n1 + 1")
    capsys.readouterr()
    assert exercises.main(["--check"], tmp_path) == 1
    assert "fake.ipynb differs from its source in cell 2: run" in capsys.readouterr().err
    notebook(tmp_path / "solutions" / "fake.ipynb", SOLVED)
    assert exercises.main(["--check"], tmp_path) == 1
    assert "has 3 cells where its source has 2" in capsys.readouterr().err


def test_notebooks_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook(tmp_path / "solutions" / "a.ipynb", "### BEGIN SOLUTION")
    (tmp_path / "solutions" / "b.ipynb").write_text("{")
    notebook(tmp_path / "solutions" / "c.ipynb", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION\nx + 1")
    notebook(tmp_path / "exercises" / "d.ipynb", "x = 1")
    assert exercises.main([], tmp_path) == 1
    said = capsys.readouterr().err
    assert "solutions/a.ipynb: a.ipynb, cell 2: a '### BEGIN SOLUTION' without" in said
    assert "b.ipynb is not a notebook that can be read" in said
    assert "solutions/c.ipynb: the unsolved notebook stops with NameError" in said
    assert "exercises/d.ipynb has no source in solutions/" in said
    assert not (tmp_path / "exercises" / "a.ipynb").exists()


def test_an_unknown_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook(tmp_path / "solutions" / "fake.ipynb", "x = 1")
    assert exercises.main(["fakes"], tmp_path) == 2
    assert "There is no solutions/fakes.ipynb. There are: fake." in capsys.readouterr().err


def test_a_cell_that_was_never_run_counts_as_drift(tmp_path: Path) -> None:
    source = notebook(tmp_path / "solutions" / "fake.ipynb", "x = 1")
    target = notebook(tmp_path / "exercises" / "fake.ipynb", "x = 1")
    assert "was never run (cell 2)" in exercises.drift(exercises.stub_notebook(source), target)


def test_the_books_exercises_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.main(["--check"]) == 0, capsys.readouterr().err
