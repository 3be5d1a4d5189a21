"""The audit of exercises catches checks that are bad on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape
from utils.grading.audit import audit, chapter_problems
from utils.grading.mutants import Answers, Mutant
from utils.grading.registry import Exercise, find, temporary_registry

OPTIONS = dict(title="Scale", points=1, minutes=5, difficulty=1, hints=["a", "b", "c"])
FIXED = torch.arange(28.0).reshape(4, 7)
COUNTER = [0]


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Nothing registered but what the test registers."""
    with temporary_registry():
        yield


def right(x: Tensor, s: Tensor) -> Tensor:
    return x * s[:, None]


def also_right(x: Tensor, s: Tensor) -> Tensor:
    return torch.einsum("ij,i->ij", x, s)


def in_place(x: Tensor, s: Tensor) -> Tensor:
    return x.mul_(s[:, None])


ANSWERS = Answers(
    alternatives=[right, also_right],
    mutants=[
        Mutant(lambda x, s: x + s[:, None], "You added."),
        Mutant(lambda x, s: x / s[:, None], "You divided."),
        Mutant(lambda x, s: (x * s[:, None]).T, "should have shape [4, 7]"),
        Mutant(in_place, "in place"),
        Mutant(lambda x, s: x * s.abs()[:, None], "The values are off."),
    ],
)


def made(check: Callable[..., None]) -> Exercise:
    exercise("fake.scale", **OPTIONS)(check)  # type: ignore[arg-type]
    return find("fake.scale")


def compare(got: Tensor, x: Tensor, s: Tensor) -> None:
    expect_shape(got, (4, 7))
    mistakes = {"You added.": x + s[:, None], "You divided.": x / s[:, None]}
    expect_close(got, x * s[:, None], mistakes=mistakes, otherwise="The values are off.")


def good(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), (torch.rand(4) + 0.5) * torch.tensor([1, -1, 1, -1])  # abs() always shows
    compare(student(x, s), x, s)


def test_a_good_exercise_has_no_problems() -> None:
    assert audit(made(good), ANSWERS) == []


def _too_lax(student: Callable[..., Tensor]) -> None:
    expect_shape(student(torch.randn(4, 7), torch.randn(4)), (4, 7))


def _too_kind(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), torch.rand(4)  # no negative scale: abs() does not show
    compare(student(x, s), x, s)


def _sometimes_equal(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), torch.randn(4)
    compare(student(x, s) if torch.rand(()) < 0.5 else x * s[:, None], x, s)


def _too_strict(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), torch.randn(4)
    compare(student(x, s) * 1.01, x, s)


def _vague(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), torch.randn(4)
    expect_close(student(x, s), x * s[:, None])


def _same_inputs(student: Callable[..., Tensor]) -> None:
    x, s = FIXED.clone(), torch.tensor([1.5, -2.0, 0.5, 3.0])
    compare(student(x, s), x, s)


def _spoils_its_arguments(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), torch.randn(4)
    got = student(x, s)
    compare(got, x.clone(), s)
    x.zero_()


def _remembers(student: Callable[..., Tensor]) -> None:
    COUNTER[0] += 1
    good(student)


def _leans_on_the_notebook(student: Callable[..., Tensor]) -> None:
    good(student)
    if COUNTER[0] > 10**9:
        print(tokens)  # type: ignore[name-defined]  # noqa: F821


def _looks_around(student: Callable[..., Tensor]) -> None:
    good(student)
    if COUNTER[0] > 10**9:
        print(globals())


def _hands_over_an_object(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), torch.randn(4)
    compare(student(x, s), x, s)
    student(x, s=s if torch.rand(()) > 2 else torch.nn.Parameter(s))
    student({1, 2}, s)


def _punishes_stubs(student: Callable[..., Tensor]) -> None:
    x, s = torch.randn(4, 7), torch.randn(4)
    try:
        got = student(x, s)
    except Exception:
        got = torch.zeros(1)
    compare(got, x, s)


BAD = {
    _too_lax: "mutant 1 (<lambda>) passes.",
    _too_kind: "mutant 5 (<lambda>) passes.",
    _sometimes_equal: "passes.",
    _too_strict: "alternative 1 (right) is wrong: The values are off.",
    _vague: "which does not say 'You added.'",
    _same_inputs: "the same inputs every time",
    _spoils_its_arguments: "changes an argument after handing it",
    _remembers: "changes a variable of its module",
    _leans_on_the_notebook: "uses 'tokens', which its module does not define",
    _looks_around: "looks around with 'globals'",
    _hands_over_an_object: "alternative 1 (right) is could not run",
    _punishes_stubs: "a function that returns None is judged 'wrong'",
}


@pytest.mark.parametrize(("check", "problem"), BAD.items(), ids=[check.__name__ for check in BAD])
def test_bad_checks_are_caught(check: Callable[..., None], problem: str) -> None:
    found = audit(made(check), ANSWERS, draws=12)
    assert any(problem in sentence for sentence in found), found


def test_an_argument_that_cannot_cross_is_caught() -> None:
    def hands_over_a_set(student: Callable[..., Tensor]) -> None:
        x = torch.randn(3)
        expect_close(student(x, {1, 2}), x * 2)

    def twice(x: Tensor, s: set[int]) -> Tensor:
        return x * len(s)

    found = audit(made(hands_over_a_set), replace(ANSWERS, alternatives=[twice, twice]))
    assert any("an argument cannot cross to an isolated process: set is not a tensor" in line for line in found), found


def test_too_few_answers_are_caught() -> None:
    found = audit(made(good), Answers(alternatives=ANSWERS.alternatives[:1], mutants=ANSWERS.mutants[:4]))
    assert found[0].endswith("4 mutants; at least 5 are needed.")
    assert found[1].endswith("1 alternative right answers; at least 2 are needed.")
    assert audit(made(good), None) == ["fake.scale has no answers in utils/grading/mutants/."]
    vague = replace(ANSWERS, mutants=[replace(mutant, message=" ") for mutant in ANSWERS.mutants])
    assert any("names no message" in sentence for sentence in audit(made(good), vague))


def test_a_chapter_needs_eight_exercises_short_ones_and_a_long_one() -> None:
    def item(number: int, minutes: int) -> Exercise:
        return Exercise(f"fake.e{number}", f"Title {number}", 1, minutes, 1, ("a", "b", "c"), good)

    assert chapter_problems([item(n, 10) for n in range(7)] + [item(7, 60)]) == []
    problems = chapter_problems([item(1, 20), item(1, 20)])
    assert len(problems) == 4 and problems[0] == "2 exercises; a chapter has at least 8."
