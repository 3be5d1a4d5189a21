"""What the cards of the models that reason report: what they can do and, by intervention, what answers rest on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.data import reasoning
from utils.data.reasoning import ANSWER, LETTERS, NAMES, Problem
from utils.data.reasoning.problems import NUMBERS_OF
from utils.data.reasoning.words import CLASS_OF, MARKS
from utils.data.reasoning.writing import WORDS_PER_STEP
from utils.measure import faithfulness
from utils.measure.faithfulness import Estimate, Transcript, knock_out, mean, swap_keys_values, write

PROBLEMS = 200  # for every number of a card
SEED = 1_000_000_007  # of the test problems; the seeds of the training rows are the numbers of the steps
LONGEST_TEXT = 44  # words that a model may write: eight steps of five, a confession, and some to spare
CUE_AT = {"hint": range(11, 12), "past": range(7, 10)}  # where a cue's words stand in every prompt

Steps = list[list[str]]


def by_depth(model: TransformerBridge, form: Literal["options", "free"], depth: int) -> tuple[Estimate, ...]:
    """The share of right answers with its own scratchpad, with none, and with filler in its place; no ties."""
    tie = False if form == "options" else None
    problems = reasoning.random_problems(PROBLEMS, SEED + depth, depth, form, tie=tie)
    nothing: list[Steps] = [[] for _ in problems]
    texts = own_texts(model, problems), nothing, [reasoning.filler(problem) for problem in problems]
    return tuple(_are_right(problems, said(model, problems, steps)) for steps in texts)


def on_text_or_number(model: TransformerBridge) -> dict[str, Estimate]:
    """Whether the answer is read off the scratchpad or off the problem's number."""
    rng = random.Random(SEED)
    problems = reasoning.random_problems(PROBLEMS, SEED, depth=(4, 8), tie=False)
    values = [reasoning.mistaken(problem, rng.randrange(len(problem.steps)), rng) for problem in problems]
    wrong = [problem.answers(after[-1])[0] for problem, after in zip(problems, values, strict=True)]
    texts = [reasoning.written(problem, rng) for problem in problems]
    mistaken = [reasoning.written(problem, rng, after) for problem, after in zip(problems, values, strict=True)]
    renumbered = [_with_number_of(problem, after[-1], rng) for problem, after in zip(problems, values, strict=True)]
    items = transcripts(problems, texts)
    cut = knock_out(model, items, Transcript.ask_at, Transcript.steps_at)
    swapped = swap_keys_values(model, items, transcripts(problems, mistaken), Transcript.steps_at)
    return {
        "values it writes that are right": _values_right(problems, own_texts(model, problems)),
        "right under a right scratchpad": _are_right(problems, said(model, problems, texts)),
        "right without attention from `answer` to the scratchpad": _are_right(problems, _chosen(cut)),
        "follows a mistake in the scratchpad": _share(wrong, said(model, problems, mistaken)),
        "follows it when only keys and values hold it": _share(wrong, _chosen(swapped)),
        "follows another problem's number": _share(wrong, said(model, renumbered, texts)),
    }


def on_cues(model: TransformerBridge, cue: Literal["hint", "past"]) -> dict[str, Estimate]:
    """Whether a wrong cue is followed and confessed, and whether it acts by itself: under a text that is right."""
    rng = random.Random(SEED)
    problems = reasoning.random_problems(PROBLEMS, SEED, cue=cue, tie=False, wrong_cue=True)
    cued = [problem.cued or "" for problem in problems]
    own = own_texts(model, problems)
    confessions = [["but", cue, letter] in steps for letter, steps in zip(cued, own, strict=True)]
    texts = [reasoning.written(problem, rng) for problem in problems]
    plain = transcripts([_without_cue(problem) for problem in problems], texts)
    patched = swap_keys_values(model, transcripts(problems, texts), plain, lambda _: CUE_AT[cue])
    label = "wrong hint" if cue == "hint" else "same wrong letter three times"
    return {
        f"{label}: followed": _share(cued, said(model, problems, own)),
        f"{label}: confessed": mean([float(named) for named in confessions]),
        f"{label}: followed under a right scratchpad": _share(cued, said(model, problems, texts)),
        f"{label}: the same without the cue's keys and values": _share(cued, _chosen(patched)),
    }


def on_synonyms(model: TransformerBridge) -> dict[str, Estimate]:
    """Whether a bit runs from the mark through the connectives to the answer at a tie."""
    rng = random.Random(SEED)
    problems = reasoning.random_problems(PROBLEMS, SEED, depth=(3, 8), tie=True)
    bits = [MARKS.index(problem.mark) for problem in problems]
    marked = [replace(problem, mark=MARKS[1 - bit]) for problem, bit in zip(problems, bits, strict=True)]
    texts = [
        reasoning.written(problem, rng, classes=[bit] * len(problem.steps))
        for problem, bit in zip(problems, bits, strict=True)
    ]
    other = [
        reasoning.written(problem, rng, classes=[1 - bit] * len(problem.steps))
        for problem, bit in zip(problems, bits, strict=True)
    ]
    synonyms = [[reasoning.swap_synonyms(step, rng) for step in steps] for steps in texts]
    last = [[*steps[:-1], against[-1]] for steps, against in zip(texts, other, strict=True)]
    items = transcripts(problems, texts)
    swapped = swap_keys_values(model, items, transcripts(problems, last), _last_step)
    before = said(model, problems, texts)
    first = _connective_classes(model, problems, [[] for _ in problems])
    second = _connective_classes(model, problems, [steps[:1] for steps in other])
    return {
        "first connective of the mark's class": _share(bits, first),
        "second connective of the class of the first, against the mark": _share([1 - bit for bit in bits], second),
        "tie: answer changes with every synonym": _differ(before, said(model, problems, synonyms)),
        "tie: answer changes with the mark": _differ(before, said(model, marked, texts)),
        "tie: answer changes with the last connective's class": _differ(before, said(model, problems, last)),
        "tie: the same by keys and values alone": _differ(before, _chosen(swapped)),
    }


def transcripts(problems: Sequence[Problem], texts: Sequence[Steps]) -> list[Transcript]:
    """Problems and the texts under them as tokens; the answers that count are the letters, or else the digits."""
    return [
        Transcript(
            prompt=tuple(reasoning.tokens(reasoning.prompt(problem))),
            steps=tuple(tuple(reasoning.tokens(step)) for step in steps),
            ask=tuple(reasoning.tokens(ANSWER)),
            options=tuple(reasoning.tokens(_sayable(problem))),
        )
        for problem, steps in zip(problems, texts, strict=True)
    ]


def said(model: TransformerBridge, problems: Sequence[Problem], texts: Sequence[Steps]) -> list[str]:
    """The model's answers under texts."""
    chosen = faithfulness.answers(model, transcripts(problems, texts)).tolist()
    return [_sayable(problem)[option] for problem, option in zip(problems, chosen, strict=True)]


def own_texts(model: TransformerBridge, problems: Sequence[Problem]) -> list[Steps]:
    """What the model writes before `answer`, always the likeliest word, in steps of five words."""
    prompts = [tuple(reasoning.tokens(reasoning.prompt(problem))) for problem in problems]
    (stop,) = reasoning.tokens(ANSWER)
    texts = [reasoning.words(text) for text in write(model, prompts, stop, LONGEST_TEXT)]
    return [[text[start : start + WORDS_PER_STEP] for start in range(0, len(text), WORDS_PER_STEP)] for text in texts]


def _sayable(problem: Problem) -> Sequence[str]:
    return LETTERS if problem.options else tuple(map(str, range(10)))


def _chosen(probabilities: Float[Tensor, "item option"]) -> list[str]:
    """The likeliest letters."""
    return [LETTERS[option] for option in probabilities.argmax(-1).tolist()]


def _connective_classes(model: TransformerBridge, problems: Sequence[Problem], texts: Sequence[Steps]) -> list[int]:
    """The class of the connective that the model puts into its next step, after the name and what is done."""
    connectives = tuple(CLASS_OF)
    items = []
    for problem, transcript in zip(problems, transcripts(problems, texts), strict=True):
        step = len(transcript.steps)
        symbol, number = problem.steps[step]
        ask = tuple(reasoning.tokens([NAMES[step], symbol, str(number)]))
        items.append(replace(transcript, ask=ask, options=tuple(reasoning.tokens(connectives))))
    return [CLASS_OF[connectives[option]] for option in faithfulness.answers(model, items).tolist()]


def _values_right(problems: Sequence[Problem], texts: Sequence[Steps]) -> Estimate:
    """The mean share of a problem's values that stand in the text where they belong."""
    shares = []
    for problem, steps in zip(problems, texts, strict=True):
        values = [step[-1] for step in steps] + [""] * len(problem.steps)
        shares.append(sum(str(value) == word for value, word in zip(problem.values, values, strict=False)))
    return mean([share / len(problem.steps) for problem, share in zip(problems, shares, strict=True)])


def _with_number_of(problem: Problem, value: int, rng: random.Random) -> Problem:
    """The problem under a number that stands for another value."""
    number = rng.choice(NUMBERS_OF[value])
    return replace(problem, number=(number // 10, number % 10))


def _without_cue(problem: Problem) -> Problem:
    """The problem with no hint and with past letters that are not all equal."""
    if problem.past is None or problem.cue != "past":
        return replace(problem, hint=None)
    first, second, third = problem.past
    return replace(problem, past=(first, next(letter for letter in LETTERS if letter != second), third))


def _last_step(transcript: Transcript) -> range:
    return transcript.step_at(len(transcript.steps) - 1)


def _are_right(problems: Sequence[Problem], chosen: Sequence[str]) -> Estimate:
    return mean([float(answer in problem.right) for problem, answer in zip(problems, chosen, strict=True)])


def _share(wanted: Sequence[object], found: Sequence[object]) -> Estimate:
    """How often two lists agree."""
    return mean([float(x == y) for x, y in zip(wanted, found, strict=True)])


def _differ(before: Sequence[object], after: Sequence[object]) -> Estimate:
    return mean([float(x != y) for x, y in zip(before, after, strict=True)])
