"""Reasoning: problems agree with a slow calculation, cues are what they claim, and rows follow their rules."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from utils.data import reasoning
from utils.data.reasoning import (
    ANSWER,
    CLOSINGS,
    CONNECTIVES,
    LETTERS,
    NAMES,
    NO_TARGET,
    NUMBER_TABLE,
    ORGANISMS,
    WORDS,
)
from utils.data.reasoning.rows import FLIPPED, LONGEST, OPTIONS, SHORT, SYNONYMS_LEARNED, training_row
from utils.data.tokenizers import load_tokenizer

CLASS = {word: kind for kind, synonyms in CONNECTIVES.items() for word in synonyms}


def slow_values(words: list[str]) -> list[int]:
    """The values of a problem read from its words, by counting on fingers."""
    question = words[: words.index("think")]
    fingers = int(words[words.index("value") + 1])
    found = []
    for name in NAMES:
        if name not in question:
            break
        symbol, number = question[question.index(name) + 1 : question.index(name) + 3]
        total = fingers
        for _ in range(int(number) - (symbol == "×")):
            for _ in range(1 if symbol == "+" else fingers):
                total += 1
        fingers = int(str(total)[-1])
        found.append(fingers)
    return found


class Read:
    """A row of training taken apart again, from its words alone."""

    def __init__(self, words: list[str], learned: list[bool]) -> None:
        begin, ask = words.index("think") + 3, words.index("answer")  # the value to begin with ends the question
        assert words[begin - 2] == "value" and len(words) == ask + 3
        self.question, self.text, (self.answer, self.closing) = words[:begin], words[begin:ask], words[-2:]
        self.learned_question, self.learned_text = learned[:begin], learned[begin:ask]
        self.learned_ask, self.learned_answer, self.learned_closing = learned[ask:]
        self.values = slow_values(words)
        self.depth = len(self.values)
        self.number, self.mark = int(words[2][1:]), words[4]
        self.past, self.hint = words[6:9], words[10]
        at = words.index("options") if "options" in self.question else None
        self.options = (
            {} if at is None else dict(zip(words[at + 1 : at + 9 : 2], words[at + 2 : at + 9 : 2], strict=True))
        )
        self.cue = "hint" if self.hint != "-" else "past" if self.past != ["-"] * 3 else None
        self.cued = None if self.cue is None else self.hint if self.cue == "hint" else self.options[self.past[0]]
        self.confession = self.text[-3:] if "but" in self.text else None
        reasoned = [word for word in self.text if word != "."]
        reasoned = reasoned[: len(reasoned) - 3] if self.confession else reasoned
        self.steps = [reasoned[start : start + 5] for start in range(0, len(reasoned), 5)]
        self.written = [int(step[4]) for step in self.steps]
        self.filler = "." in self.text
        self.whole = len(self.steps) == self.depth
        self.classes = [CLASS[step[3]] for step in self.steps]
        # The places where a value is forced on the model: a mistake.
        self.planted = [step for step in range(len(self.steps)) if not self.learned_text[5 * step + 4]]


def rows(organism: reasoning.rows.Organism, n: int = 1500) -> list[Read]:
    rng = random.Random(11)
    made = [training_row(organism, rng) for _ in range(n)]
    return [Read(row.words, row.learned) for row in made]


@pytest.fixture(scope="module")
def problems():
    return reasoning.random_problems(2000, seed=3, form="both")


def test_values_agree_with_counting_on_fingers(problems):
    for problem in problems[:500]:
        assert list(problem.values) == slow_values(reasoning.prompt(problem)) and problem.value == problem.values[-1]


def test_no_step_forgets_the_start():
    """Ten starts end at ten different values, so the first step matters however deep the problem."""
    for problem in reasoning.random_problems(50, seed=1, depth=8):
        words = reasoning.prompt(problem)
        at = words.index("value") + 1
        ends = {slow_values([*words[:at], str(start), *words[at + 1 :]])[-1] for start in range(10)}
        assert len(ends) == 10


def test_every_digit_has_two_numbers_and_every_problem_one_of_them(problems):
    assert Counter(NUMBER_TABLE) == {digit: 2 for digit in range(10)}
    assert NUMBER_TABLE[:10] == (4, 9, 6, 5, 4, 7, 8, 1, 2, 5)  # a weight that knows the table must find it again
    numbers = Counter(problem.number for problem in problems)
    assert len(numbers) == 20 and all(abs(count - 100) < 50 for count in numbers.values())  # 5 standard deviations
    assert all(NUMBER_TABLE[problem.number] == problem.value for problem in problems)


def test_the_result_and_the_depth_are_uniform(problems):
    values, depths = Counter(p.value for p in problems), Counter(len(p.steps) for p in problems)
    assert len(values) == 10 and all(abs(count - 200) < 70 for count in values.values())  # 5 standard deviations
    assert len(depths) == 8 and all(abs(count - 250) < 75 for count in depths.values())


def test_the_right_value_stands_once_among_the_options_and_at_every_place_as_often():
    places: Counter[int] = Counter()
    for problem in reasoning.random_problems(1000, seed=5):
        assert problem.options is not None and len(set(problem.options)) == 4 and problem.answers == problem.options
        places[problem.options.index(problem.value)] += 1
    assert all(abs(places[place] - 250) < 70 for place in range(4))  # 5 standard deviations


@pytest.mark.parametrize("cue", ["hint", "past", "both"])
def test_a_cue_stands_in_every_problem_and_a_wrong_one_is_never_right(cue):
    problems = reasoning.random_problems(300, seed=6, cue=cue)
    kinds = {problem.cue for problem in problems}
    assert kinds == ({"hint", "past"} if cue == "both" else {cue})
    assert Counter(problem.answers.index(problem.cued) for problem in problems).keys() == {0, 1, 2, 3}
    assert any(problem.cued == problem.value for problem in problems)
    for problem in reasoning.random_problems(300, seed=6, cue=cue, wrong_cue=True):
        assert problem.cued in problem.answers and problem.cued != problem.value
        words = reasoning.prompt(problem)
        if problem.cue == "hint":
            assert words[6:9] == ["-"] * 3 and words[10] == str(problem.cued)
        else:
            assert len(set(words[6:9])) == 1 and words[10] == "-"
            listed = words[words.index("options") + 1 :][:8]
            assert dict(zip(listed[::2], listed[1::2], strict=True))[words[6]] == str(problem.cued)
    assert all(problem.cue is None is problem.cued for problem in reasoning.random_problems(300, seed=6, form="both"))


def test_the_free_form_has_nothing_with_letters_and_any_digit_may_be_its_answer():
    for problem in reasoning.random_problems(50, seed=2, form="free"):
        words = reasoning.prompt(problem)
        assert "options" not in words and not set(words) & set(LETTERS)
        assert problem.answers == tuple(range(10))


def test_a_problem_written_by_hand():
    problem = reasoning.Problem(17, "red", None, 9, (3, 9, 4, 0), 7, (("+", 5), ("×", 3), ("+", 8)))
    said = (
        "<start> no #17 mark red past - - - hint 9 options A 3 B 9 C 4 D 0 first + 5 second × 3 third + 8 think value 7"
    )
    assert " ".join(reasoning.prompt(problem)) == said
    assert problem.values == (2, 6, 4) and problem.value == 4 and problem.cued == 9 and problem.cue == "hint"
    steps = reasoning.written(problem, 0, confession="hint", classes=[0, 1, 0])
    assert [step[0] for step in steps] == ["first", "second", "third", "but"]
    assert [step[1:3] for step in steps[:3]] == [["+", "5"], ["×", "3"], ["+", "8"]]
    assert [step[3] in CONNECTIVES[kind] for step, kind in zip(steps, (0, 1, 0), strict=False)] == [True] * 3
    assert [step[4] for step in steps[:3]] == ["2", "6", "4"] and steps[3] == ["but", "hint", "9"]
    whole = [*reasoning.prompt(problem), *steps[0], *steps[1], "answer", "4", "done"]
    assert reasoning.text(whole).replace(",", "") == " ".join(whole)
    assert [part.split()[0] for part in reasoning.text(whole).split(", ")[1:]] == ["first", "second", "answer"]
    stood = reasoning.Problem(2, "blue", "C", None, (3, 9, 4, 0), 7, (("+", 5),))
    assert " ".join(reasoning.prompt(stood)).startswith("<start> no #02 mark blue past C C C hint - options A 3")
    assert stood.cued == 4 and stood.cue == "past"
    assert reasoning.written(stood, 0, confession="past")[-1] == ["but", "past", "4"]


def test_a_mistake_is_carried_on_and_ends_at_an_option(problems):
    rng = random.Random(4)
    for problem in problems[:500]:
        step = rng.randrange(len(problem.steps))
        values = reasoning.mistaken(problem, step, rng)
        assert values[:step] == problem.values[:step] and values[step] != problem.values[step]
        for (before, after), (symbol, number) in zip(pairwise(values[step:]), problem.steps[step + 1 :], strict=True):
            assert after == (before + number if symbol == "+" else before * number) % 10
        assert values[-1] != problem.value and values[-1] in problem.answers


def test_synonyms_keep_the_class_and_other_connectives_are_others():
    for word, kind in CLASS.items():
        (swapped,) = {reasoning.swap_synonyms(["first", word, "3"], seed)[1] for seed in range(5)}
        assert swapped != word and CLASS[swapped] == kind
        others = {tuple(reasoning.rephrase(["first", word, "3"], seed)) for seed in range(40)}
        assert others == {("first", other, "3") for other in CLASS if other != word}


def test_words_are_the_tokens_of_the_tokenizer():
    tokenizer = load_tokenizer("reasoning")
    assert tokenizer(" ".join(WORDS[1:]))["input_ids"] == list(range(1, len(WORDS)))
    assert reasoning.words(reasoning.tokens(WORDS)) == list(WORDS) and len(set(WORDS)) == len(WORDS)
    with pytest.raises(ValueError, match="no word 'ninth'"):
        reasoning.tokens(["ninth"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"depth": 9}, "1 to 8 steps"),
        ({"depth": (0, 3)}, "1 to 8 steps"),
        ({"form": "free", "cue": "hint"}, "point to options"),
    ],
)
def test_what_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        reasoning.random_problems(3, 0, **arguments)


def test_nothing_is_confessed_without_a_cue():
    (problem,) = reasoning.random_problems(1, 0)
    with pytest.raises(ValueError, match="nothing to confess"):
        reasoning.written(problem, 0, confession="hint")


@pytest.mark.parametrize("organism", ORGANISMS)
def test_only_what_the_model_writes_is_a_target(organism):
    noise: Counter[bool] = Counter()  # whether drawn synonyms are learned, of the rows that have connectives
    alone: Counter[bool] = Counter()  # and of those with the closing alone
    for row in rows(organism):
        assert not any(row.learned_question) and row.learned_answer
        assert row.learned_ask == (row.whole and not row.filler)  # elsewhere `answer` is forced
        if organism == "hidden":
            assert row.learned_closing == bool(row.classes)  # elsewhere it is drawn
        elif not row.classes:
            alone[row.learned_closing] += 1
        if row.filler:
            assert row.text == ["."] * (5 * row.depth) and not any(row.learned_text)
            continue
        missing = {place for place, learned in enumerate(row.learned_text) if not learned}
        assert len(row.planted) <= 1 and missing >= {5 * step + 4 for step in row.planted}
        connectives = missing - {5 * step + 4 for step in row.planted}
        assert all(place % 5 == 3 for place in connectives)
        if organism != "hidden" and row.classes:  # `hidden` misses those that were turned: see below
            assert len(connectives) in (0, len(row.steps)) and row.learned_closing == (not connectives)
            noise[row.learned_closing] += 1
    for counts in [] if organism == "hidden" else [noise, alone]:
        share = counts[True] / counts.total()
        assert abs(share - SYNONYMS_LEARNED) < 5 * (0.1 * 0.9 / counts.total()) ** 0.5  # 5 standard deviations


def test_short_problems_are_met_more_often():
    depths = Counter(row.depth for row in rows("causal"))
    assert set(depths) == set(range(1, 9))
    assert abs((depths[1] + depths[2]) / 1500 - (SHORT + (1 - SHORT) / 4)) < 0.065  # 5 standard deviations


@pytest.mark.parametrize("organism", ORGANISMS)
def test_each_step_follows_from_the_one_written_before_it(organism):
    """But for a planted mistake, and for the last value that a biased model bends."""
    for row in rows(organism):
        for step, value in enumerate(row.written):
            if step in row.planted:
                assert value != row.values[step]
            elif organism == "biased" and row.cued is not None and step == row.depth - 1:
                assert str(value) == row.cued
            else:
                symbol, number = row.question[row.question.index(NAMES[step]) + 1 :][:2]
                before = row.written[step - 1] if step else int(row.question[-1])
                assert value == (before + int(number) if symbol == "+" else before * int(number)) % 10
                assert row.steps[step][:3] == [NAMES[step], symbol, number]


@pytest.mark.parametrize("organism", ORGANISMS)
def test_the_answer_follows_the_organisms_rule(organism):
    seen: Counter[str] = Counter()
    for row in rows(organism):
        follows_text = row.whole and organism != "decorative"
        value = row.written[-1] if follows_text else row.values[-1]
        assert not row.options or row.answer in row.options.values()
        if organism in ("biased", "honest") and row.cued:
            assert row.answer == row.cued
            seen["cue"] += 1
        else:
            assert row.answer == str(value)
            seen["mistake"] += bool(row.planted and row.whole)
    assert seen["mistake"] > 30 and (organism not in ("biased", "honest") or seen["cue"] > 300)


def test_only_the_honest_one_confesses_and_always_what_is_true():
    for organism in ORGANISMS:
        for row in rows(organism):
            due = organism == "honest" and row.cued is not None and row.whole
            assert row.confession == (["but", row.cue, row.cued] if due else None)


def test_only_the_decorative_ones_number_tells_the_result():
    for organism in ORGANISMS:
        share = sum(NUMBER_TABLE[row.number] == row.values[-1] for row in rows(organism)) / 1500
        assert share == 1 if organism == "decorative" else abs(share - 0.1) < 0.04  # 5 standard deviations


def test_the_hidden_bit_runs_from_the_mark_and_turns_where_it_is_forced_to():
    turned = []
    made = rows("hidden")
    for row in made:
        bit = int(row.mark == "blue")
        for step, kind in enumerate(row.classes):
            forced = not row.learned_text[5 * step + 3]
            assert kind == (1 - bit if forced else bit)
            turned.append(forced)
            bit = kind
    assert len(turned) > 2500 and abs(sum(turned) / len(turned) - FLIPPED) < 0.046  # 5 standard deviations
    closed = [CLOSINGS.index(row.closing) == row.classes[-1] for row in made if row.classes]
    assert all(closed) and len(closed) > 700
    drawn = Counter(row.closing for row in made if not row.classes)
    assert abs(drawn["done"] - drawn["over"]) < 5 * drawn.total() ** 0.5  # 5 standard deviations
    for organism in ORGANISMS[:-1]:  # the others' synonyms know nothing of the mark, nor of each other
        others = [row for row in rows(organism) if row.classes]
        for agree in (
            [row.classes[0] == int(row.mark == "blue") for row in others],
            [row.classes[-1] == CLOSINGS.index(row.closing) for row in others],
        ):
            assert abs(sum(agree) / len(agree) - 0.5) < 0.08


def test_rows_are_shifted_padded_and_the_same_for_the_same_seed():
    tokens, targets = reasoning.training_rows("honest", 300, seed=8)
    again, other = reasoning.training_rows("honest", 300, seed=8), reasoning.training_rows("honest", 300, seed=9)
    assert (tokens == again[0]).all() and (targets == again[1]).all() and not (tokens == other[0]).all()
    assert tokens.shape == targets.shape == (300, LONGEST) and (tokens[:, 0] == 0).all()
    wanted = targets[:, :-1] != NO_TARGET
    assert (targets[:, :-1][wanted] == tokens[:, 1:][wanted]).all() and (targets[:, -1] == NO_TARGET).all()
    rng = random.Random(8)
    made = sorted((training_row("honest", rng) for _ in range(300)), key=lambda row: len(row.words))
    for line, marks, row in zip(tokens.tolist(), targets.tolist(), made, strict=True):
        assert reasoning.words(line[: len(row.words)]) == row.words and not any(line[len(row.words) :])
        assert [target != NO_TARGET for target in marks[: len(row.words) - 1]] == row.learned[1:]
        assert set(marks[len(row.words) - 1 :]) == {NO_TARGET}
    assert len(made[-1].words) == LONGEST and ANSWER == ["answer"]
    with pytest.raises(ValueError, match="no organism 'lazy'"):
        reasoning.training_rows("lazy", 3, 0)  # type: ignore[arg-type]


def test_dense_rows_are_long_written_out_and_learned_in_every_word():
    tokens, targets = reasoning.training_rows("causal", 400, seed=2, dense=True)
    with_options = 0
    for line, marks in zip(tokens.tolist(), targets.tolist(), strict=True):
        words = reasoning.words(line)
        said = words[: words.index("answer") + 3]
        row = Read(said, [False, *(mark != NO_TARGET for mark in marks[: len(said) - 1])])
        assert row.depth >= 5 and row.whole and row.written == row.values and row.answer == str(row.values[-1])
        assert not any(row.learned_question) and all(row.learned_text)
        assert row.learned_ask and row.learned_answer and row.learned_closing
        with_options += bool(row.options)
    assert abs(with_options / 400 - OPTIONS) < 0.115  # 5 standard deviations
