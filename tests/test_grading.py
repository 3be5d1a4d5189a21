"""The grading framework, on a small exercise of its own: verdicts, misuse, hints, points and their file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from utils.grading import (
    WrongAnswer,
    check,
    exercise,
    expect_close,
    expect_equal,
    expect_shape,
    export_progress,
    hint,
    import_progress,
    progress,
    solved,
    store,
)
from utils.grading.checking import judge
from utils.grading.expect import fail
from utils.grading.registry import UnknownExercise, find, temporary_registry
from utils.grading.student import Student

Output = Callable[[], str]


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One exercise and an empty record of progress."""
    monkeypatch.setenv("RESIDUAL_STREAM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DTRS_BUILD", raising=False)
    store.forget_memory()
    with temporary_registry():

        @exercise(
            "fake.scale", title="Scale a stream", points=2, minutes=5, difficulty=1, hints=["axis", "times", "x * s"]
        )
        def check_scale(student: Callable[..., Tensor]) -> None:
            x, s = torch.randn(4, 7), torch.randn(4)
            got = student(x, s)
            expect_shape(got, (4, 7), "the scaled stream")
            added = {"You added the scale instead of multiplying.": x + s[:, None]}
            expect_close(got, x * s[:, None], mistakes=added, otherwise="The scaled values are off.")

        yield
    store.forget_memory()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Output:
    """What was printed since the last call."""
    return lambda: capsys.readouterr().out


def right(x: Tensor, s: Tensor) -> Tensor:
    return x * s[:, None]


def test_a_right_answer_gets_its_points_and_is_remembered(said: Output) -> None:
    check("fake.scale", right)
    assert said() == "✓ Scale a stream: solved, 2 of 2 points.\n"
    assert solved("fake.scale")
    progress("fake")
    assert said().endswith("Total: 2 of 2 points.\n")


@pytest.mark.parametrize("empty", [None, Ellipsis])
def test_a_stub_scores_nothing_and_does_not_raise(empty: object, said: Output) -> None:
    check("fake.scale", lambda x, s: empty)
    assert said().startswith("○ Scale a stream: not solved yet, 0 of 2 points.")
    assert not solved("fake.scale")
    progress()
    assert said().endswith("Total: 0 of 2 points.\n")


def test_a_later_stub_keeps_the_points_but_is_not_solved_in_this_session(said: Output) -> None:
    check("fake.scale", right)
    check("fake.scale", lambda x, s: None)
    assert not solved("fake.scale")
    said()
    progress("fake")
    assert "2 of 2" in said()


def _in_place(x: Tensor, s: Tensor) -> Tensor:
    x *= s[:, None]
    return x


def _raises(x: Tensor, s: Tensor) -> Tensor:
    y = x * 2
    return y[len(x) + 100]


def _exits(x: Tensor, s: Tensor) -> Tensor:
    raise SystemExit(3)


def _silent_error(x: Tensor, s: Tensor) -> Tensor:
    raise ValueError


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda x, s: x + s[:, None], "You added the scale instead of multiplying."),
        (lambda x, s: (x * s[:, None]).T, "should have shape [4, 7]; yours has [7, 4]. The sizes are right but"),
        (lambda x, s: x, "The scaled values are off. 28 of the 28 values differ, most at index ["),
        (lambda x, s: x / 0 * 0, "contains NaN"),
        (lambda x, s: 3.0, "should be a tensor of shape [4, 7]; your function returned a number."),
        (lambda x, s: np.zeros((4, 7)), "your function returned a NumPy array."),
        (lambda x, s: [x], "your function returned a list."),
        (lambda x, s: "x", "your function returned a string."),
        (_in_place, "changed its argument x in place"),
        (_raises, "raised IndexError: index 104 is out of bounds for dimension 0 with size 4. It happened in line"),
        (_raises, "of its cell: return y[len(x) + 100]"),
        (_silent_error, "raised ValueError. It happened in line"),
        (_exits, "raised SystemExit: 3."),
        (lambda x: x, "calls your function with 2 arguments, but yours takes (x)."),
        (lambda x, s, more: x, "calls your function with 2 arguments, but yours takes (x, s, more)."),
        (lambda: 1, "but yours takes (nothing)."),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(function: Callable[..., object], sentence: str, said: Output) -> None:
    check("fake.scale", function)
    printed = said()
    assert sentence in printed
    assert "0 of 2 points" in printed and "Traceback" not in printed
    assert not solved("fake.scale")


@pytest.mark.parametrize(
    "function",
    [
        lambda x, s: (x * s[:, None]).requires_grad_(),
        lambda x, s: (x * s[:, None]).double(),
        lambda x, s: torch.einsum("ij,i->ij", x, s),
        partial(lambda flag, x, s: x * s[:, None], True),
        lambda *args: args[0] * args[1][:, None],
    ],
)
def test_other_forms_of_a_right_answer_pass(function: Callable[..., Tensor], said: Output) -> None:
    check("fake.scale", function)
    assert "solved, 2 of 2" in said()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "it got nothing (None). Nothing was checked."),
        ((3, right), "it got a whole number. Nothing was checked."),
        (("fake.scale",), "check got no function."),
        (("fake.scale", None), "check got no function."),
        (("fake.scale", "right"), "not its name in quotes"),
        (("fake.scale", torch.zeros(3)), "got a tensor, perhaps the result of calling your function."),
        (("fake.scale", 7), "Leave out the parentheses"),
        (("fake.scale", dict), "dict is a class."),
        (("fake.scal", right), "There is no exercise 'fake.scal'. Did you mean 'fake.scale'? Nothing was checked."),
        (("other.scale", right), "Did you mean 'fake.scale'?"),
        (("zzz", right), "Ids look like 'SLUG.exercise'."),
        (("", right), "There is no exercise ''."),
    ],
)
def test_a_check_called_wrongly_says_so_in_one_sentence(
    arguments: tuple[object, ...], sentence: str, said: Output
) -> None:
    check("fake.scale", right)
    said()
    check(*arguments)
    printed = said()
    assert sentence in printed and printed.count("\n") == 1
    progress("fake")
    assert "2 of 2" in said(), "a wrong call must lose nothing"


def test_swapped_arguments_are_understood(said: Output) -> None:
    check(right, "fake.scale")
    assert "solved" in said()


def test_an_answer_the_check_cannot_read_is_a_sentence_too(said: Output) -> None:
    @exercise("fake.sum", title="Sum", points=1, minutes=5, difficulty=1, hints=["a", "b", "c"])
    def check_sum(student: Callable[..., Tensor]) -> None:
        if student(torch.ones(3)).sum() != 3:
            fail("It should be 3.")

    check("fake.sum", lambda x: "three")
    assert "The check could not read what your function returned" in said()


def test_a_check_leaves_every_random_generator_as_it_was() -> None:
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    want = torch.rand(3), random.random(), np.random.rand()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    check("fake.scale", right)
    got = torch.rand(3), random.random(), np.random.rand()
    assert torch.equal(want[0], got[0]) and want[1:] == got[1:]


def test_a_check_draws_fresh_inputs_even_after_seeding() -> None:
    seen: list[Tensor] = []
    for _ in range(3):
        torch.manual_seed(0)
        judge(find("fake.scale"), Student(lambda x, s: seen.append(x)))
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])


def test_the_check_keeps_its_own_arguments_when_the_student_spoils_them() -> None:
    x = torch.ones(3)
    with pytest.raises(WrongAnswer, match="argument values in place"):
        Student(lambda values: values.zero_())(x)
    with pytest.raises(WrongAnswer, match="argument items in place"):
        Student(lambda items: items.pop())([1, 2])
    for spoil in (lambda items: items.pop(), lambda items: items[0].pop()):
        with pytest.raises(WrongAnswer, match="argument items in place.*Build new lists, those inside it as well"):
            Student(spoil)([[1, 2], [3]])
    with pytest.raises(WrongAnswer, match="argument k in place"):
        Student(lambda x, k: k.add_(1))(x, k=x)
    assert torch.equal(x, torch.ones(3))


def test_hints_go_level_by_level(said: Output) -> None:
    hint("fake.scale")
    assert said() == 'Hint 1 of 3, Scale a stream: axis\nThe next one: hint("fake.scale", 2)\n'
    hint("fake.scale", 3)
    assert said() == "Hint 3 of 3, Scale a stream: x * s\n"


@pytest.mark.parametrize("level", [0, 4, "2", None, True, 1.0])
def test_a_hint_that_does_not_exist(level: object, said: Output) -> None:
    hint("fake.scale", level)
    assert said().startswith("Scale a stream has hints 1 to 3;")


def test_hints_for_unknown_exercises(said: Output) -> None:
    hint("fake.scal")
    hint(None)
    printed = said()
    assert "Did you mean 'fake.scale'?" in printed and "it got nothing (None)" in printed


def test_progress_of_an_unknown_chapter_names_the_known_ones(said: Output) -> None:
    progress("fakes")
    assert said() == "No chapter 'fakes' has exercises. Chapters that do: 'fake'.\n"


GOOD = dict(title="t", points=1, minutes=1, difficulty=1, hints=["a", "b", "c"])


@pytest.mark.parametrize(
    ("id", "change", "message"),
    [
        ("fakescale", {}, "looks like"),
        ("fake.Scale", {}, "looks like"),
        ("fake.a", {"title": " "}, "needs a title"),
        ("fake.a", {"points": 0}, "points"),
        ("fake.a", {"minutes": 0}, "minutes"),
        ("fake.a", {"difficulty": 4}, "difficulty"),
        ("fake.a", {"hints": ["a", "b"]}, "three hints"),
        ("fake.a", {"hints": "abc"}, "three hints"),
        ("fake.a", {"hints": ["a", "b", " "]}, "three hints"),
    ],
)
def test_an_incomplete_exercise_is_refused(id: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exercise(id, **{**GOOD, **change})(lambda student: None)  # type: ignore[arg-type]


def test_two_checks_cannot_share_an_id() -> None:
    with pytest.raises(ValueError, match="Two checks claim"):
        exercise("fake.scale", **GOOD)(lambda student: None)  # type: ignore[arg-type]


def test_the_temporary_registry_hides_the_real_one() -> None:
    with pytest.raises(UnknownExercise):
        find("residual_stream.layer_norm")


# --- expect ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (torch.ones(2), torch.ones(2, dtype=torch.float64)),
        (1.0, torch.tensor(1.0)),
        (torch.tensor(3), 3),
        (torch.tensor([-torch.inf, 0.0]), torch.tensor([-torch.inf, 0.0])),
        ((torch.ones(2), 3), (torch.ones(2), 3.000001)),
        ([1, "a", None], [1, "a", None]),
        ({"a": torch.ones(1)}, {"a": torch.ones(1)}),
        (torch.tensor(True), True),
        (torch.tensor([True, False]), torch.tensor([True, False])),
        (torch.ones(2, 2).to_sparse(), torch.ones(2, 2)),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
    ],
)
def test_close_values_pass(got: object, want: object) -> None:
    expect_close(got, want)


@pytest.mark.parametrize(
    ("got", "want", "sentence"),
    [
        (torch.ones(3), torch.ones(2), "should have shape [2]; yours has [3]."),
        (torch.ones(2), 1.0, "should be one number; yours is a tensor of shape [2]."),
        (1.5, 1.0, "The result should be 1; yours is 1.5."),
        ("a", 1.0, "should be a number; yours is a string."),
        ([1.0], torch.ones(1), "should be a tensor of shape [1]; yours is a list."),
        (1, "a", "should be 'a'; yours is 1."),
        (1, True, "should be True; yours is 1."),
        (torch.ones(1), [1.0], "should be a list of 1; yours is a tensor."),
        ((1, 2), (1, 2, 3), "should have 3 parts; yours has 2."),
        ((1, 5), (1, 2), "Part 1 of the result should be 2; yours is 5."),
        ({"a": 1}, {"b": 1}, "should have the keys b; yours has a."),
        (3, {"b": 1}, "should be a dict; yours is a whole number."),
        (torch.tensor([1.0, torch.nan]), torch.ones(2), "contains NaN"),
        (torch.tensor([[0.0, 0.0], [torch.inf, 2.0]]), torch.zeros(2, 2), "2 of the 4 values differ, most at index [1"),
    ],
)
def test_different_values_are_described(got: object, want: object, sentence: str) -> None:
    with pytest.raises(WrongAnswer) as wrong:
        expect_close(got, want)
    assert sentence in str(wrong.value)


def test_the_first_fitting_mistake_is_said_and_may_have_another_shape() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    mistakes = {"Unrelated.": torch.zeros(9), "You averaged over the batch.": x.mean(0), "Second.": x.mean(0)}
    with pytest.raises(WrongAnswer, match="You averaged over the batch."):
        expect_close(x.mean(0), x.mean(1), mistakes=mistakes)


def test_expect_equal_allows_no_difference() -> None:
    expect_equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    with pytest.raises(WrongAnswer, match="Off by a little"):
        expect_equal(1.0000001, 1.0, otherwise="Off by a little.")
    with pytest.raises(WrongAnswer, match="should be 'L0H1'"):
        expect_equal("L1H0", "L0H1")


# --- the record ------------------------------------------------------------------------------------------------------


def _file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "progress.json"


def test_points_survive_a_restart(tmp_path: Path, said: Output) -> None:
    check("fake.scale", right)
    store.forget_memory()
    assert json.loads(_file(tmp_path).read_text())["exercises"] == {"fake.scale": 2}
    assert [path.name for path in _file(tmp_path).parent.glob("*.part")] == []


@pytest.mark.parametrize("damage", [b"{", b"\xff\xfe\x00", b"[]", b"", b'{"format": 99}', b"[" * 100_000])
def test_a_damaged_record_is_moved_aside(damage: bytes, tmp_path: Path, said: Output) -> None:
    _file(tmp_path).parent.mkdir()
    _file(tmp_path).write_bytes(damage)
    progress("fake")
    printed = said()
    assert "Your progress file was damaged" in printed and "0 entries" in printed and "0 of 2" in printed
    assert (tmp_path / "home" / "progress.damaged-1.json").read_bytes() == damage
    check("fake.scale", right)
    progress("fake")
    assert "2 of 2 points.\nfake" in said()


def test_sound_entries_of_a_damaged_record_are_kept(tmp_path: Path, said: Output) -> None:
    _file(tmp_path).parent.mkdir()
    record = {"format": 1, "exercises": {"fake.scale": 2, "fake.bad": "two"}, "predictions": {"fake.p": 3}}
    _file(tmp_path).write_text(json.dumps(record))
    progress("fake")
    assert "1 entry could be read" in (printed := said()) and "2 of 2" in printed


def test_a_record_that_cannot_be_written_is_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Output
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESIDUAL_STREAM_HOME", str(tmp_path / "file"))
    check("fake.scale", right)
    progress("fake")
    printed = said()
    assert "could not be saved" in printed and "kept until this kernel stops" in printed
    assert printed.endswith("Total: 2 of 2 points.\n")


def test_memory_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Output) -> None:
    monkeypatch.setenv("RESIDUAL_STREAM_HOME", "memory")
    monkeypatch.chdir(tmp_path)
    check("fake.scale", right)
    progress("fake")
    assert "2 of 2" in said() and list(tmp_path.iterdir()) == []


def test_export_and_import_merge_by_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Output) -> None:
    check("fake.scale", right)
    export_progress(tmp_path / "mine.json")
    assert said().endswith("Wrote 1 exercise and 0 predictions to mine.json.\n")
    monkeypatch.setenv("RESIDUAL_STREAM_HOME", str(tmp_path / "other"))
    import_progress(tmp_path / "mine.json")
    import_progress(tmp_path / "mine.json")
    progress("fake")
    assert said().endswith("Total: 2 of 2 points.\n")


def test_import_is_validated(tmp_path: Path, said: Output) -> None:
    check("fake.scale", right)
    said()
    import_progress(tmp_path / "absent.json")
    assert said() == "absent.json could not be read: No such file or directory. Nothing was changed.\n"
    (tmp_path / "bad.json").write_bytes(b"\xff")
    import_progress(tmp_path / "bad.json")
    assert said() == "bad.json is not a file written by export_progress. Nothing was changed.\n"
    record = {"format": 1, "exercises": {"fake.scale": 900, "fake.gone": 3, "fake.odd": -1}, "predictions": {}}
    (tmp_path / "more.json").write_text(json.dumps(record))
    import_progress(tmp_path / "more.json")
    printed = said()
    assert "Read 1 exercise" in printed and "fake.gone" in printed and "fake.odd" in printed
    progress("fake")
    assert "2 of 2" in said()


def test_export_to_a_folder_that_does_not_exist(tmp_path: Path, said: Output) -> None:
    export_progress(tmp_path / "nowhere" / "mine.json")
    assert "could not be written to mine.json" in said()
