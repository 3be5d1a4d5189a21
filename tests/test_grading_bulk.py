"""Bulk grading: submissions in isolated processes, whatever they contain."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from utils.grading import bulk, codec, exercise, expect_close, expect_shape
from utils.grading import submission as notebooks
from utils.grading.__main__ import main
from utils.grading.isolation import MB, Limits
from utils.grading.registry import all_exercises, find, temporary_registry

LIMITS = Limits(call_seconds=3, exercise_seconds=10, cpu_seconds=60, reply_bytes=MB, file_bytes=MB)
NAMES = ["scale", "pair", "name"]


@pytest.fixture(autouse=True)
def fakes() -> Iterator[None]:
    """Three exercises: on tensors, on a tuple, on strings and dicts."""
    with temporary_registry():
        options = {"points": 2, "minutes": 5, "difficulty": 1, "hints": ["a", "b", "c"]}

        @exercise("fake.scale", title="Scale", **options)  # type: ignore[arg-type]
        def check_scale(student: Callable[..., Tensor]) -> None:
            x, s = torch.randn(4, 7), torch.randn(4)
            got = student(x, s=s)
            expect_shape(got, (4, 7))
            expect_close(got, x * s[:, None], mistakes={"You added.": x + s[:, None]})

        @exercise("fake.pair", title="Pair", **options)  # type: ignore[arg-type]
        def check_pair(student: Callable[..., tuple[Tensor, int]]) -> None:
            x = torch.randint(0, 9, (5,))
            expect_close(student(x), (x.max(), int(x.argmax())))

        @exercise("fake.name", title="Name", **options)  # type: ignore[arg-type]
        def check_name(student: Callable[..., dict[str, str]]) -> None:
            expect_close(student(["a", "b"], 2), {"a": "aa", "b": "bb"})

        yield


SCALE = "import torch\n\ndef scale(x, s):\n    return x * s[:, None]"
PAIR = "def pair(x):\n    return x.max(), int(x.argmax())"
NAME = "def name(words, n):\n    return {word: word * n for word in words}"


def checks(*names: str) -> list[str]:
    return [f'check("fake.{name}", {name})' for name in names or NAMES]


def write(path: Path, cells: list[str]) -> Path:
    """A notebook without any metadata, as some platforms hand it back."""
    made = [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in cells]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "# Hand-in"}, *made]}), encoding="utf-8")
    return path


def graded(tmp_path: Path, *cells: str) -> bulk.Marks:
    """The marks of a notebook with these cells and a check of everything."""
    return bulk.grade(write(tmp_path / "a.ipynb", [*cells]), all_exercises("fake"), LIMITS)


def test_full_marks_for_right_answers(tmp_path: Path) -> None:
    marks = graded(tmp_path, SCALE, PAIR, NAME, *checks())
    assert {id: outcome.status for id, outcome in marks.outcomes.items()} == dict.fromkeys(marks.outcomes, "solved")
    assert (marks.total, marks.notes) == (6, [])


CASES = {
    "def pair(x):\n    while True: pass": "did not return within 3 seconds: probably an endless loop.",
    "import os\ndef pair(x):\n    os._exit(7)": "ended with exit code 7 before it returned.",
    "import os, signal\ndef pair(x):\n    os.kill(os.getpid(), signal.SIGSEGV)": "ended by signal 11",
    "def pair(x):\n    return torch.zeros(10_000_000)": "returned more than 1 MB; that cannot be the answer.",
    "def pair(x):\n    return 'a' * 10_000_000": "returned more than 1 MB",
    "def pair(x):\n    return 10 ** 10_000": "cannot be graded: a number is too long",
    "def pair(x):\n    return undefined": "raised NameError: name 'undefined' is not defined. It happened in line 2",
    "def pair(x):\n    return 1 / 0": "It happened in line 2 of its cell: return 1 / 0",
    "def pair(x):\n    exit()": "raised SystemExit",
    "def pair(x):\n    raise KeyboardInterrupt": "raised KeyboardInterrupt",
    "def pair(x, y):\n    return x": "calls your function with 1 argument, but yours takes (x, y).",
    "def pair(x):\n    x += 1\n    return x": "changed its argument x in place",
    "def pair(x):\n    return {1, 2}": "yours is a set.",
    "def pair(x):\n    return x.numpy()": "yours is a NumPy array.",
    "def pair(x):\n    f = lambda: f()\n    return f()": "raised RecursionError: maximum recursion depth exceeded",
    "def pair(x):\n    y = []\n    y.append(y)\n    return y": "raised RecursionError",
    "def pair(x):\n    return torch.zeros(4 << 30, dtype=torch.uint8)": "raised RuntimeError: [enforce fail",
    "def pair(x):\n    open('big', 'wb').write(b'0' * (1 << 24))": "raised OSError: [Errno 27] File too large",
    "def pair(x):\n    from utils.grading.checks import residual_stream": "is not available while grading",
    "def pair(x):\n    from utils.grading.mutants import all_answers": "is not available while grading",
    "def pair(x):\n    raise ValueError('x' * 10_000)": "xxx. It happened in line 2",
    "import nowhere_to_be_found\ndef pair(x):\n    return nowhere_to_be_found": "NameError",
    "@nothing\ndef pair(x):\n    return x": "The code that defines your function raised NameError",
    "pair = 3": "`pair` is not a function.",
}


def test_every_failure_is_one_sentence_and_spares_the_other_exercises(tmp_path: Path) -> None:
    good = all_exercises("fake")
    cells = [SCALE, PAIR, NAME]
    for number, cell in enumerate(CASES):
        options = {"points": 2, "minutes": 5, "difficulty": 1, "hints": ["a", "b", "c"]}
        exercise(f"fake.case_{number}", title=str(number), **options)(find("fake.pair").check)  # type: ignore[arg-type]
        cells += [cell.replace("pair", f"pair_{number}"), f'check("fake.case_{number}", pair_{number})']
    marks = bulk.grade(write(tmp_path / "a.ipynb", [*cells, *checks()]), all_exercises("fake"), LIMITS)
    assert all(marks.outcomes[item.id].status == "solved" for item in good), marks
    for number, (cell, sentence) in enumerate(CASES.items()):
        got = marks.outcomes[f"fake.case_{number}"]
        assert sentence.replace("`pair`", f"`pair_{number}`") in got.message and got.points == 0, (cell, got)
        assert len(got.message) < 1000 and "Traceback" not in got.message


@pytest.mark.parametrize("stub", ["def pair(x):\n    ...  # your code", "def pair(x):\n    return None"])
def test_a_stub_is_not_solved(stub: str, tmp_path: Path) -> None:
    assert graded(tmp_path, stub, *checks("pair")).outcomes["fake.pair"] == bulk.Outcome(
        "not solved", 0, "The function still returns nothing."
    )


def test_prints_warnings_and_stderr_disturb_nothing(tmp_path: Path) -> None:
    noisy = "import sys, os, warnings\ndef pair(x):\n    print('x' * 1_000_000); warnings.warn('!')\n    "
    noisy += "os.write(1, b'forged'); os.write(2, b'forged'); sys.stdin.read()\n    return x.max(), int(x.argmax())"
    assert graded(tmp_path, noisy, *checks("pair")).outcomes["fake.pair"].status == "solved"


def test_only_what_the_functions_need_runs(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    poison = f"x = open({str(witness)!r}, 'w')\nprint(x)\nfor _ in range(3):\n    open({str(witness)!r}, 'w')"
    magic = "%matplotlib inline\n!rm -rf nothing\nif True:\n    !pip install nothing\npair?"
    helper = "STEP = 1\ndef top(x):\n    return x.max()"
    pair = "def pair(x):\n    return top(x), int(x.argmax()) * STEP"
    marks = graded(tmp_path, magic, poison, helper, pair, "%%bash\nexit 1", "broken(", *checks("pair"))
    assert marks.outcomes["fake.pair"].status == "solved", marks
    assert not witness.exists()
    assert marks.notes == ["Cell 6 is not valid Python and was passed over."]


def test_a_function_counts_as_it_was_when_it_was_checked(tmp_path: Path) -> None:
    again = "def pair(x):\n    return 'something else'"
    assert graded(tmp_path, PAIR, *checks("pair"), again).outcomes["fake.pair"].status == "solved"
    first_wrong = graded(tmp_path, again, *checks("pair"), PAIR, *checks("pair"))
    assert first_wrong.outcomes["fake.pair"].status == "solved"


def test_other_ways_to_call_check(tmp_path: Path) -> None:
    cells = [PAIR, "from utils import grading", "grading.check(id='fake.pair', function=lambda x: pair(x))"]
    assert graded(tmp_path, *cells).outcomes["fake.pair"].status == "solved"


def test_missing_and_unknown_exercises(tmp_path: Path) -> None:
    marks = graded(tmp_path, PAIR, *checks("pair"), 'check("fake.pairs", pair)')
    assert marks.outcomes["fake.scale"].message == 'The notebook has no cell with check("fake.scale", ...).'
    assert marks.notes[0].startswith("There is no exercise 'fake.pairs'. Did you mean 'fake.pair'")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"not json", "its JSON cannot be read"),
        (b"[" * 200_000, "its JSON cannot be read"),
        (b"[1]", "no list of cells"),
        (b'{"worksheets": []}', "no list of cells"),
    ],
)
def test_files_that_are_no_notebooks(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    marks = bulk.grade(path, all_exercises("fake"), LIMITS)
    assert marks.total == 0 and len(marks.outcomes) == 3 and sentence in marks.notes[0]


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "LARGEST_FILE", MB)
    (tmp_path / "a.ipynb").write_bytes(b" " * (MB + 1))
    assert "larger than 1 MB" in bulk.grade(tmp_path / "a.ipynb", [], LIMITS).notes[0]


def test_strange_cells_are_passed_over(tmp_path: Path) -> None:
    cells: list[object] = [3, None, {"cell_type": "code"}, {"cell_type": "code", "source": {"a": 1}}]
    cells += [{"cell_type": "code", "source": [1, PAIR]}, {"cell_type": "code", "source": checks("pair")[0]}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert bulk.grade(tmp_path / "a.ipynb", all_exercises("fake"), LIMITS).outcomes["fake.pair"].status == "solved"


def test_the_worker_has_its_own_empty_folder_and_a_bare_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hush")
    peek = "import os\ndef pair(x):\n    raise ValueError(f\"{os.listdir()} {'A_SECRET' in os.environ} {os.getcwd()}\")"
    message = graded(tmp_path, peek, *checks("pair")).outcomes["fake.pair"].message
    assert "ValueError: [] False" in message
    folder = message.split("False ")[1].split(". It")[0]
    assert not os.path.exists(folder)


def test_the_command_writes_csv_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "hand-ins"
    folder.mkdir()
    write(folder / "ada.ipynb", [SCALE, PAIR, *checks()])
    (folder / "bob.ipynb").write_bytes(b"\xff")
    (folder / ".ipynb_checkpoints").mkdir()
    write(folder / ".ipynb_checkpoints" / "ada.ipynb", [])
    marks, results = tmp_path / "marks.csv", tmp_path / "results.json"
    assert main([str(folder), "--csv", str(marks), "--json", str(results), "--seconds", "5"]) == 0
    assert "Graded 2 of 2 submissions" in capsys.readouterr().out
    rows = list(csv.reader(marks.open(encoding="utf-8")))
    assert rows[0] == ["submission", "fake.scale", "fake.pair", "fake.name", "total"]
    assert [row[1:] for row in rows[1:]] == [["2", "2", "0", "4"], ["0", "0", "0", "0"]]
    told = json.loads(results.read_text(encoding="utf-8"))
    assert [(entry["total"], entry["of"]) for entry in told["submissions"]] == [(4, 6), (0, 6)]
    assert "NameError: name 'name' is not defined" in told["submissions"][0]["exercises"]["fake.name"]["message"]


def test_an_interrupt_keeps_what_was_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path / f"{name}.ipynb", [PAIR, *checks("pair")]) for name in "abc"]
    grade = bulk.grade

    def interrupted(path: Path, *rest: object) -> bulk.Marks:
        if path.stem == "b":
            raise KeyboardInterrupt
        return grade(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bulk, "grade", interrupted)
    assert bulk.grade_all(paths, tmp_path / "m.csv", tmp_path / "r.json", LIMITS) == 1
    assert len((tmp_path / "m.csv").read_text().splitlines()) == 2
    assert len(json.loads((tmp_path / "r.json").read_text())["submissions"]) == 1


def test_the_command_called_wrongly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent")]) == 2
    assert "There is no file or folder" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "There are no notebooks" in capsys.readouterr().err
    write(tmp_path / "a.ipynb", [])
    assert main([str(tmp_path), "--seconds", "0"]) == 2
    assert main([str(tmp_path), "--csv", str(tmp_path / "no" / "m.csv")]) == 2
    assert "The results cannot be written: No such file" in capsys.readouterr().err


def test_names_that_spreadsheets_would_run_are_quoted() -> None:
    assert bulk.row(bulk.Marks("=cmd.ipynb"), [])[0] == "'=cmd.ipynb"
    assert bulk.row(bulk.Marks("cmd.ipynb"), [])[0] == "cmd.ipynb"


# --- the codec -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -2.5, float("inf"), "naïve \ud800", ..., [], (1, (2,)), {"a": [1], 2: None, (1, "b"): ()}, 10**30],
)
def test_plain_values_cross(value: object) -> None:
    got = codec.unpack(codec.pack(value))
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("dtype", codec.DTYPES.values(), ids=list(codec.DTYPES))
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (1,)])
def test_tensors_cross(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape) * 3).to(dtype)
    got = codec.unpack(codec.pack([tensor, (tensor, 1)]))
    assert got[0].dtype == dtype and torch.equal(got[0], tensor) and torch.equal(got[1][0], tensor)


def test_views_gradients_and_sparse_tensors_cross_as_values() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    for tensor in (base.T, base[::2, 1:], base.clone().requires_grad_(), base.expand(2, 3, 4), base.to_sparse()):
        assert torch.equal(codec.unpack(codec.pack(tensor)), tensor.detach().to_dense() if tensor.is_sparse else tensor)
    conjugate = torch.tensor([1 + 2j]).conj()
    assert torch.equal(codec.unpack(codec.pack(conjugate)), conjugate)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"{}\n", b"[1]\n", b"1\n2", b"\xff\n", b'{"t":"code","v":[]}\n', b'{"t":"dict","v":[1]}\n',
        b'{"t":"tensor","d":"float32","s":[4]}\n123', b'{"t":"tensor","d":"float32","s":[-1]}\n',
        b'{"t":"tensor","d":"float32","s":[99999999999999]}\n', b'{"t":"tensor","d":"object","s":[]}\n',
        b'{"t":"tensor","d":"bool","s":[1]}\n\x07', b'{"t":"dict","v":[[{"t":"list","v":[]},1]]}\n',
        b'{"t":"list","v":[' * 5000 + b"\n", b'{"t":"tensor","d":"float32","s":[true]}\n1234', b"9" * 9999 + b"\n",
    ],
)  # fmt: skip
def test_forged_messages_are_refused(data: bytes) -> None:
    with pytest.raises(codec.Unfit):
        codec.unpack(data)


def test_what_cannot_cross_is_refused_or_named() -> None:
    with pytest.raises(codec.Unfit, match="set is not a tensor"):
        codec.pack({1})
    assert codec.unpack(codec.pack([{1}], foreign=True))[0].foreign_type == "set"
