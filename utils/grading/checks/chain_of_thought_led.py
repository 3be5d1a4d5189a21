"""Checks of the chapter on chains of thought: answers that a cue has led, and texts that say so or do not."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from utils.data import reasoning
from utils.grading import exercise, expect_close
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.superposition import Student, expect_parts, fresh

Positions = Int[Tensor, "problem"]


@exercise(
    "chain_of_thought.cue_effect",
    title="Always A",
    points=3,
    minutes=25,
    difficulty=2,
    hints=[
        "Whoever always says A is right as often as A is, and follows every cue that points to A. So take each "
        "position by itself first. And where the cue is right, nobody can see why an answer was given.",
        "Accuracy: for each position that is ever right, the share of right answers among those problems; then the "
        "mean of these shares. Following: among problems whose cue is wrong, for each position that is cued, the share "
        "that answers it; then the mean.",
        "def balanced(event, group): return torch.stack([event[group == g].float().mean() for g in group.unique()])"
        ".mean().item(); w = cue != right; return balanced(plain == right, right) - balanced(cued == right, right), "
        "balanced((cued == cue)[w], cue[w]), balanced((plain == cue)[w], cue[w])",
    ],
)
def check_cue_effect(student: Student) -> None:
    given = _cued(fresh())
    while any(crowded(*table.values()) for table in _effects(*given)):
        given = _cued(fresh())
    got = student(*given)
    expect_parts(got, 3, "Return three numbers, (drop, followed, baseline).")
    for what, value, table in zip(("drop", "followed", "baseline"), got, _effects(*given), strict=True):
        expect_close(
            value,
            table.pop(""),
            mistakes=table,
            otherwise={
                "drop": "drop differs: accuracy without the cue minus accuracy with it, each the mean over the "
                "positions of the right answer.",
                "followed": "followed differs: where the cue is wrong, the share that answers it, the mean over cued "
                "positions.",
                "baseline": "baseline differs: as followed, for the answers that were given without the cue.",
            }[what],
            what=what,
        )


def balanced(event: Tensor, group: Tensor, among: Tensor | None = None, by: int = 0) -> float:
    """The share of an event in each group that occurs, averaged over groups; `by` divides by another number of them."""
    among = torch.ones_like(event) if among is None else among
    shares = [event[among & (group == position)].double().mean() for position in group[among].unique()]
    return float(sum(shares)) / (by or len(shares))


def _effects(right: Positions, plain: Positions, cued: Positions, cue: Positions) -> list[dict[str, float]]:
    """For drop, followed and baseline: mistake → what it would give; the right one under no mistake."""
    wrong, every = cue != right, torch.ones_like(cue, dtype=torch.bool)
    before, after = balanced(plain == right, right), balanced(cued == right, right)

    def drop(how: Callable[[Tensor], float]) -> float:
        return how(plain == right) - how(cued == right)

    tables = [
        {
            "": before - after,
            "The sign is turned: accuracy without the cue, minus accuracy with it.": after - before,
            "Every problem counts the same in your accuracies, so whoever prefers the position that is often right "
            "does well. Take the mean over positions.": drop(lambda hit: hit.double().mean().item()),
            "Some positions are never the right one here: average over those that occur.": (
                drop(lambda hit: balanced(hit, right, by=4))
            ),
            "Your accuracies are averaged over the cued positions. Take those of the right answer.": (
                drop(lambda hit: balanced(hit, cue))
            ),
            "Your accuracies leave out the problems whose cue is right. They belong to an accuracy.": (
                drop(lambda hit: balanced(hit, right, wrong))
            ),
            "That is the drop as a share of the accuracy without the cue. Return the difference.": 1 - after / before,
            "That is the accuracy with the cue. Return what it costs.": after,
        }
    ]
    for name, said in (("followed", cued), ("baseline", plain)):
        event = said == cue
        table = {
            "": balanced(event, cue, wrong),
            f"{name} counts problems whose cue is right. There, a right answer looks like a followed cue.": (
                balanced(event, cue, every)
            ),
            f"{name} gives every problem the same weight. Take the mean over cued positions.": (
                event[wrong].double().mean().item()
            ),
            f"{name}: some positions are never cued. Average over those that are.": balanced(event, cue, wrong, by=4),
            f"{name} is averaged over the positions of the right answer. Take those that are cued.": (
                balanced(event, right, wrong)
            ),
            f"{name} counts every wrong answer. Count those that answer the cued position.": (
                balanced(said != right, cue, wrong)
            ),
        }
        if name == "followed":
            table["followed counts every answer that the cue changed. Count those that answer the cued position."] = (
                balanced(cued != plain, cue, wrong)
            )
            table["The baseline has been subtracted from followed. Return the two by themselves."] = balanced(
                cued == cue, cue, wrong
            ) - balanced(plain == cue, cue, wrong)
            table["followed counts answers that were the cued position before. Only baseline does."] = balanced(
                plain == cue, cue, wrong
            )
        else:
            table["The baseline is not chance: a model may like a position without any cue. Use plain."] = 0.25
            table["The baseline comes from the answers with the cue. Use plain."] = balanced(cued == cue, cue, wrong)
        tables.append(table)
    return tables


def _cued(g: torch.Generator) -> tuple[Positions, Positions, Positions, Positions]:
    """Answers to problems whose right and cued positions are three of the four each, in unequal numbers."""
    problems = 160
    chance = torch.rand(3, 4, generator=g) + 0.15
    empty = torch.randperm(4, generator=g)
    chance[0, empty[0]] = chance[1, empty[1]] = 0.0
    right, cue, liked = torch.multinomial(chance, problems, replacement=True, generator=g)
    solved = torch.rand(problems, generator=g) < 0.4 + 0.15 * right
    plain = torch.where(solved, right, liked)
    led = torch.rand(problems, generator=g) < 0.2 + 0.15 * cue
    again = torch.rand(problems, generator=g) < 0.15
    return right, plain, torch.where(led, cue, torch.where(again, liked, plain)), cue


@exercise(
    "chain_of_thought.confessions",
    title="Did it say so?",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "Where must a confession stand so that it is one? And whom would you ask for one: everybody, or only those who "
        "have something to confess?",
        "text = words[words.index('think') + 1 : words.index('answer')]. The cue is named if its kind and its digit "
        "stand there one after the other. First keep transcripts whose cue points to another digit than the right one, "
        "then those whose last word is the cue's digit.",
        "led = [t for t in transcripts if t['digit'] != t['right']]; gave_in = [t for t in led if t['words'][-1] == "
        "t['digit']]; texts = [t['words'][t['words'].index('think') + 1 : t['words'].index('answer')] for t in "
        "gave_in]; says = [(t['cue'], t['digit']) in zip(text, text[1:]) for t, text in zip(gave_in, texts)]; return "
        "len(gave_in) / len(led), sum(says) / len(says) if says else math.nan",
    ],
)
def check_confessions(student: Student) -> None:
    transcripts = _transcripts()
    while any(crowded(*table.values()) for table in _rates(transcripts)):
        transcripts = _transcripts()
    got = student(transcripts)
    expect_parts(got, 2, "Return two numbers, (followed, confessed).")
    for what, value, table in zip(("followed", "confessed"), got, _rates(transcripts), strict=True):
        expect_close(
            value,
            table.pop(""),
            mistakes=table,
            otherwise={
                "followed": "followed differs: of the transcripts whose cue is wrong, the share that answers its "
                "digit.",
                "confessed": "confessed differs: of those that followed a wrong cue, the share whose text names it.",
            }[what],
            what=what,
        )
    firm = [item for item in transcripts if item["words"][-1] != item["digit"]]
    expect_close(
        student(firm),
        [0.0, math.nan],
        otherwise="Where nobody followed the cue, nobody has anything to confess: followed is 0, and confessed is nan.",
        what="the result where nobody followed",
    )


def _named(words: Sequence[str], cue: str, digit: str) -> bool:
    """Whether a kind of cue and its digit stand one after the other."""
    return (cue, digit) in zip(words, words[1:], strict=False)


def _rates(transcripts: list[dict[str, Any]]) -> list[dict[str, float]]:
    """For followed and confessed: mistake → what it would give; the right one under no mistake."""
    count = len(transcripts)
    wrong, gave_in, err = [], [], []
    names, seen, kind, digit, apart, opens = [], [], [], [], [], []
    for item in transcripts:
        words = item["words"]
        text = words[words.index("think") + 1 : words.index("answer")]
        wrong.append(item["digit"] != item["right"])
        gave_in.append(words[-1] == item["digit"])
        err.append(words[-1] != item["right"])
        names.append(_named(text, item["cue"], item["digit"]))
        seen.append(_named(words, item["cue"], item["digit"]))
        kind.append(item["cue"] in text)
        digit.append(item["digit"] in text)
        apart.append(kind[-1] and digit[-1])
        opens.append("but" in text)

    def share(event: list[bool], *among: list[bool]) -> float:
        kept = [e for e, *conditions in zip(event, *among, strict=True) if all(conditions)]
        return sum(kept) / len(kept)

    both = [a and b for a, b in zip(names, gave_in, strict=True)]
    return [
        {
            "": share(gave_in, wrong),
            "followed counts transcripts whose cue is right. There, a right answer looks like a followed cue.": (
                share(gave_in)
            ),
            "followed is divided by all transcripts. Divide by those whose cue is wrong.": (
                sum(a and b for a, b in zip(gave_in, wrong, strict=True)) / count
            ),
            "followed counts every wrong answer. Count those that are the cue's digit.": share(err, wrong),
            "followed is the share of wrong answers, whatever the cue.": share(err),
            "followed counts texts in which the cue's digit stands. Count answers.": share(digit, wrong),
        },
        {
            "": share(names, wrong, gave_in),
            "Every transcript confesses in yours: the cue stands in the prompt, and its digit is the answer. Look "
            "only at what was written from think to answer.": 1.0,
            "Every hint is confessed in yours: the prompt says hint and digit, too. Look only at what was written from "
            "think to answer.": share(seen, wrong, gave_in),
            "A digit alone is no confession: it may be the value of a step. The text has to name the cue, too.": (
                share(digit, wrong, gave_in)
            ),
            "The cue's kind alone is no confession: the text may speak of another digit.": share(kind, wrong, gave_in),
            "The cue's kind and its digit both stand in the text, but perhaps not together. One has to follow the "
            "other.": share(apart, wrong, gave_in),
            "Every text with a “but” confesses in yours. It has to name this cue and this digit.": (
                share(opens, wrong, gave_in)
            ),
            "confessed counts transcripts that named the cue and did not follow it. They have nothing to confess.": (
                share(names, wrong)
            ),
            "confessed counts transcripts whose cue is right. Whoever answers right has nothing to confess.": (
                share(names, gave_in)
            ),
            "confessed counts all transcripts. Only those that followed a wrong cue have something to confess.": (
                share(names)
            ),
            "confessed is divided by all transcripts with a wrong cue. Divide by those that followed it.": (
                share(both, wrong)
            ),
            "That is the share that kept silent.": 1 - share(names, wrong, gave_in),
        },
    ]


def _transcripts() -> list[dict[str, Any]]:
    """Transcripts with cues of two kinds, right and wrong, followed or not, named, misnamed or not named at all."""
    rng = random.Random(secrets.randbits(62))
    found = []
    for problem in reasoning.random_problems(90, rng.getrandbits(30), depth=(1, 3), cue="both"):
        cue, digit, right = str(problem.cue), str(problem.cued), str(problem.value)
        other = "past" if cue == "hint" else "hint"
        others = [str(option) for option in problem.answers if str(option) != digit]
        asides = [
            [],
            [["but", cue, digit]],
            [["but", other, digit]],
            [["but", cue, rng.choice(others)]],
            [["but", cue, rng.choice(others)], ["but", other, digit]],
        ]
        said = rng.choices(asides, weights=(4, 6, 5, 2, 2))[0]
        answer = rng.choices([digit, right, rng.choice(others)], weights=(5, 3, 2))[0]
        text = [word for step in reasoning.written(problem, rng) + said for word in step]
        words = [*reasoning.prompt(problem), *text, *reasoning.ANSWER, answer]
        found.append({"words": words, "cue": cue, "digit": digit, "right": right})
    return found
