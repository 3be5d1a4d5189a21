"""The problems and scratchpads of the lab of the chain of thought are those of utils.data.reasoning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from labs import ROOT
from visit import served

from utils.data import reasoning
from utils.data.reasoning import Problem

FREE = reasoning.random_problems(1, seed=6, depth=3, form="free")[0]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def compute(chromium: Any) -> Iterator[Callable[..., Any]]:
    """`compute(module, body, given)`: what the body of a function returns that has a module of the lab as `lab`."""
    with served(ROOT / "book" / "labs") as address:
        tab = chromium.new_page()
        tab.goto(f"{address}/labs.json")
        yield lambda module, body, given=None: tab.evaluate(
            f"async (given) => {{ const lab = await import('/chain_of_thought_{module}.js'); {body} }}", given
        )
        tab.close()


def words_of(steps: Sequence[Sequence[str]]) -> list[str]:
    return [word for step in steps for word in step]


def many_problems() -> list[Problem]:
    """Of every form, depth and cue."""
    kinds: list[dict[str, Any]] = [{"form": "free"}, {}, {"cue": "hint"}, {"cue": "past"}]
    return [one for seed, kind in enumerate(kinds) for one in reasoning.random_problems(60, seed, **kind)]


def from_page(found: dict[str, Any]) -> Problem:
    """A problem of the page as Python's."""

    def listed(value: Any) -> Any:
        return tuple(map(listed, value)) if isinstance(value, list) else value

    return Problem(**{key: listed(value) for key, value in found.items()})


def test_problems_are_read_and_written_as_in_python(compute: Any) -> None:
    problems = many_problems()
    found = compute(
        "problems",
        """return given.map((words) => {
          const problem = lab.problemOf(words);
          const facts = { values: lab.valuesOf(problem), cued: lab.cuedOf(problem), table: lab.tabled(problem) };
          return { problem, again: lab.wordsOf(problem), answers: lab.answersOf(problem), ...facts };
        });""",
        [reasoning.prompt(problem) for problem in problems],
    )
    for problem, one in zip(problems, found, strict=True):
        assert from_page(one["problem"]) == problem and one["again"] == reasoning.prompt(problem)
        assert one["values"] == list(problem.values) and one["answers"] == list(map(str, problem.answers))
        assert one["cued"] == problem.cued and one["table"] == problem.value


def test_words_that_put_no_problem_are_refused(compute: Any) -> None:
    words = reasoning.prompt(reasoning.random_problems(1, seed=4, depth=3, cue="hint")[0])
    wrong = [
        words[:-1],
        words[:20],
        [],
        ["<start>", "think"],
        [*words[:-3], "fourth", "×", "4", *words[-3:]],
        [*words[:-3], "fifth", "+", "4", *words[-3:]],
        [*words[:-3], "fourth", "+", "0", *words[-3:]],
        [*words, "first"],
        [*words[:-1], "think"],
        [*words[:3], "A", *words[4:]],
        [word.replace("hint", "kint") for word in words],
        *(words_with(words, at, word) for at, word in [(2, "11"), (2, "#20"), (7, "A"), (10, "x"), (12, "B")]),
        words_with(words, 10, next(digit for digit in "0123456789" if digit not in words[13:20:2])),
        [*reasoning.prompt(FREE)[:10], "3", *reasoning.prompt(FREE)[11:]],
    ]
    assert compute("problems", "return given.map((words) => lab.problemOf(words));", wrong) == [None] * len(wrong)


def words_with(words: Sequence[str], at: int, word: str) -> list[str]:
    return [*words[:at], word, *words[at + 1 :]]


def test_what_depends_on_a_changed_word_follows_it(compute: Any) -> None:
    problem = Problem(17, "red", "C", 9, (3, 9, 5, 0), 7, (("+", 5), ("×", 3)))
    words = reasoning.prompt(problem)
    second = words.index("second")
    changes = {
        (2, "#04"): replace(problem, number=4),
        (6, "A"): replace(problem, past="A"),
        (6, "-"): replace(problem, past=None),
        (10, "-"): replace(problem, hint=None),
        (10, "0"): replace(problem, hint=0),
        (13, "8"): replace(problem, options=(8, 9, 5, 0)),
        (15, "8"): replace(problem, options=(3, 8, 5, 0), hint=8),
        (second - 2, "×"): replace(problem, steps=(("×", 3), ("×", 3))),
        (second + 1, "+"): replace(problem, steps=(("+", 5), ("+", 3))),
    }
    found = compute("problems", "return given.map((one) => lab.changed(...one));", [[words, *one] for one in changes])
    assert found == [reasoning.prompt(one) for one in changes.values()]
    choices = compute("problems", "return given.map((_, at) => lab.choicesOf(given, at));", words)
    offered = {at: found for at, found in enumerate(choices) if found}
    assert offered[2] == [word for word in reasoning.WORDS if word.startswith("#")]
    assert offered[6] == ["-", *reasoning.LETTERS] and offered[10] == ["-", "3", "9", "5", "0"]
    places = [2, 4, 6, 10, 13, 15, 17, 19, second - 2, second - 1, second + 1, second + 2, len(words) - 1]
    assert list(offered) == places


def test_new_problems_are_what_was_wished_for(compute: Any) -> None:
    wishes: list[dict[str, Any]] = [
        {"depth": depth, "form": form, "cue": cue}
        for depth in (1, 5, 8)
        for form, cue in [("free", "hint"), ("options", "none"), ("options", "hint"), ("options", "past")]
        for _ in range(30)
    ]
    found = compute(
        "problems",
        """const { randomFrom } = await import("/toy.js");
        return given.map((wish, seed) => lab.randomProblem(randomFrom(seed), wish));""",
        wishes,
    )
    for wish, one in zip(wishes, found, strict=True):
        problem = from_page(one)
        assert len(problem.steps) == wish["depth"] and set(problem.steps) <= set(reasoning.problems.STEPS)
        assert reasoning.NUMBER_TABLE[problem.number] == problem.value
        assert (problem.options is None) == (wish["form"] == "free")
        assert problem.cue == (None if problem.options is None or wish["cue"] == "none" else wish["cue"])
        assert problem.value in problem.answers and problem.cued != problem.value
        assert len(set(problem.answers)) == (4 if problem.options else 10)
    assert len({from_page(one) for one in found}) == len(found)


def test_the_other_problem_has_the_same_answers_and_another_result(compute: Any) -> None:
    problems = many_problems()
    found = compute(
        "problems",
        """const { randomFrom } = await import("/toy.js");
        return given.map(([words, avoided], seed) =>
          lab.otherProblem(lab.problemOf(words), avoided, randomFrom(seed)));""",
        [[reasoning.prompt(problem), [problem.value]] for problem in problems],
    )
    for problem, one in zip(problems, map(from_page, found), strict=True):
        assert (one.options, one.past, one.hint) == (problem.options, problem.past, problem.hint)
        assert one.value != problem.value and one.value in problem.answers
        assert one.mark != problem.mark and len(one.steps) == len(problem.steps)
        assert reasoning.NUMBER_TABLE[one.number] == one.value


def test_the_language_is_pythons(compute: Any) -> None:
    known = compute("scratchpad", "return given.map(lab.isWord);", [*reasoning.WORDS, "river", "10", "Answer", ""])
    assert known == [True] * len(reasoning.WORDS) + [False] * 4


def test_scratchpads_are_read_and_said_as_in_python(compute: Any) -> None:
    problems = many_problems()
    texts = [reasoning.written(one, seed, confession=one.cue) for seed, one in enumerate(problems)]
    found = compute(
        "scratchpad",
        """const { problemOf } = await import("/chain_of_thought_problems.js");
        return given.map(([prompt, words]) => {
          const problem = problemOf(prompt);
          const text = lab.textOf(words);
          return { text, words: lab.readText(text), steps: lab.stepsOf(words), said: lab.saidBy(words, problem),
            filler: lab.fillerFor(problem), cut: lab.cut(words), cutSaid: lab.saidBy(lab.cut(words), problem),
            same: lab.rephrased(words), other: lab.rephrased(words, true), kinds: lab.kindsOf(words) };
        });""",
        [[reasoning.prompt(problem), words_of(steps)] for problem, steps in zip(problems, texts, strict=True)],
    )
    kind_of = {word: kind for kind, synonyms in reasoning.CONNECTIVES.items() for word in synonyms}
    for problem, steps, one in zip(problems, texts, found, strict=True):
        words = words_of(steps)
        assert one["text"] == reasoning.text(["think", *words]).removeprefix("think ") and one["words"] == words
        assert one["steps"] == steps and one["filler"] == words_of(reasoning.filler(problem))
        confessed = str(problem.cued) if problem.cue else None
        answer = confessed or str(problem.value)
        assert one["said"] == {
            "value": problem.value,
            "complete": True,
            "confessed": confessed,
            "answer": answer,
        }
        assert one["cut"] == words_of(steps[:-1])
        if not problem.cue:
            value = problem.values[-2] if len(steps) > 1 else None
            assert one["cutSaid"] == {"value": value, "complete": False, "confessed": None, "answer": None}
        for was, same, other, kind in zip(words, one["same"], one["other"], one["kinds"], strict=True):
            if was in kind_of:
                assert same != was and kind_of[same] == kind_of[was] == 1 - kind_of[other]
            else:
                assert same == other == was and kind != "connective"
        written = 5 * len(problem.steps)
        assert one["kinds"][:written] == ["name", "sign", "number", "connective", "value"] * len(problem.steps)


def test_mistakes_shuffles_and_another_problems_values(compute: Any) -> None:
    problems = many_problems()
    texts = [words_of(reasoning.written(one, seed)) for seed, one in enumerate(problems)]
    others = [*problems[1:], problems[0]]
    found = compute(
        "scratchpad",
        """const { problemOf } = await import("/chain_of_thought_problems.js");
        const { randomFrom } = await import("/toy.js");
        return given.map(([prompt, words, other], seed) => ({
          wrong: lab.mistaken(words, problemOf(prompt), randomFrom(seed)),
          mixed: lab.inOtherOrder(words, randomFrom(seed)),
          as: lab.asFor(words, problemOf(other)),
        }));""",
        [
            [reasoning.prompt(one), words, reasoning.prompt(other)]
            for one, words, other in zip(problems, texts, others, strict=True)
        ],
    )
    first_wrong = set()
    for problem, words, other, one in zip(problems, texts, others, found, strict=True):
        wrong = [int(word) for word in one["wrong"][4::5]]
        first = next(at for at, value in enumerate(wrong) if value != problem.values[at])
        first_wrong.add((first, len(wrong)))
        value = wrong[first]
        for step, said in zip(problem.steps[first + 1 :], wrong[first + 1 :], strict=True):
            value = reasoning.problems.apply(step, value)
            assert value == said
        assert value in problem.answers and value != problem.value
        steps = [words[at : at + 5] for at in range(0, len(words), 5)]
        mixed = [one["mixed"][at : at + 5] for at in range(0, len(words), 5)]
        assert sorted(mixed) == sorted(steps) and (mixed != steps or len(steps) == 1)
        theirs = words_of(reasoning.written(other, 0))
        both = min(len(theirs), len(words))
        for place in (0, 1, 2, 4):
            assert one["as"][place:both:5] == theirs[place:both:5]
            assert one["as"][both + place :: 5] == words[both + place :: 5]
    assert len({first for first, _ in first_wrong}) == 8 and {(0, 8), (7, 8)} <= first_wrong
