"""Checks of the chapter on chains of thought: a scratchpad and its filler, and what can cross from word to word.

The other modules go by what is done to a text: it is cut (`_cut`), edited (`_edited`), hidden from the answer or given
other keys and values (`_inside`), led by a cue (`_led`). The hour-long exercise is in `_spied`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from utils.data import reasoning
from utils.data.reasoning import FILLER, NAMES
from utils.grading import exercise, expect_close, expect_equal, fail
from utils.grading.checks.superposition import Student, expect_parts, fresh

CONNECTIVES = tuple(word for words in reasoning.CONNECTIVES.values() for word in words)

Step = tuple[str, int]
Text = list[list[str]]


def pick(choices: Any, g: torch.Generator) -> Any:
    """One of several things, at random."""
    return choices[int(torch.randint(len(choices), (), generator=g))]


def random_steps(count: int, g: torch.Generator) -> list[Step]:
    """Steps of a problem: additions and multiplications, of which each kind is there if there are two or more."""
    steps: list[Step] = []
    while len({sign for sign, _ in steps}) < min(2, count):
        steps = [("+", pick(range(1, 10), g)) if pick((0, 1), g) else ("×", pick((3, 7, 9), g)) for _ in range(count)]
    return steps


def values_after(start: int, steps: Iterable[Step], keep_digit: bool = True) -> list[int]:
    """The value after each step, its last digit only unless told otherwise."""
    values = []
    for sign, number in steps:
        start = start + number if sign == "+" else start * number
        start = start % 10 if keep_digit else start
        values.append(start)
    return values


def write(steps: Sequence[Step], values: Sequence[int], connectives: Sequence[str]) -> Text:
    """A scratchpad: for every step its name, its sign and number, a connective and the value after it."""
    return [
        [name, sign, str(number), word, str(value)]
        for name, (sign, number), word, value in zip(NAMES, steps, connectives, values, strict=False)
    ]


def distinct(*texts: Any) -> bool:
    """Whether no two of these are the same, so that no mistake can be taken for another."""
    return len({repr(text) for text in texts}) == len(texts)


@exercise(
    "chain_of_thought.scratchpad",
    title="Write it down",
    points=2,
    minutes=10,
    difficulty=1,
    hints=[
        "Keep one number in hand and change it step by step. After each change, five words are written. The filler "
        "needs no arithmetic at all, only the lengths.",
        "The value after a step is (value + number) % 10 or (value * number) % 10, and the next step starts from it. "
        "Words are strings. For the filler, replace every word of every step.",
        "for name, (sign, number), word in zip(NAMES, steps, connectives): start = (start + number if sign == '+' else "
        "start * number) % 10; text.append([name, sign, str(number), word, str(start)]); at the end return text, "
        "[['.'] * len(step) for step in text]",
    ],
)
def check_scratchpad(student: Student) -> None:
    g = fresh()
    for count in (5, 8, 1):
        start, steps, connectives = _sum(count, g)
        while count > 1 and not distinct(*_texts(start, steps, connectives).values()):
            start, steps, connectives = _sum(count, g)
        got = student(start, steps, connectives)
        expect_parts(got, 2, "Return two things, (text, filler): two lists of steps.")
        _expect_steps(got[0], "text")
        _expect_steps(got[1], "filler")
        texts = _texts(start, steps, connectives)
        text = texts.pop("")
        expect_equal(
            got[0],
            text,
            mistakes=texts,
            otherwise="text differs: for every step its name, sign, number, connective and the value after it.",
            what="text",
        )
        expect_equal(
            got[1],
            [[FILLER] * 5] * count,
            mistakes={
                "There is one filler word for each step. The control has to be as long as the text that it replaces, "
                "or it lacks positions as well as words.": [[FILLER]] * count,
                "The filler words of a step are glued together. Each word gets one of its own.": [[FILLER * 5]] * count,
                "Only the values became filler. The other words are part of the text too.": [
                    [*words[:4], FILLER] for words in text
                ],
                "filler is the text itself.": text,
                "filler has no words.": [[]] * count,
            },
            otherwise="filler differs: the steps of the text, with every word replaced by a full stop.",
            what="filler",
        )


def _sum(count: int, g: torch.Generator) -> tuple[int, list[Step], list[str]]:
    return pick(range(10), g), random_steps(count, g), [pick(CONNECTIVES, g) for _ in range(count)]


def _expect_steps(got: Any, what: str) -> None:
    if isinstance(got, str):
        fail(f"{what} is one string. Return a list of steps, each a list of words.")
    if isinstance(got, (list, tuple)) and got and all(isinstance(item, str) for item in got):
        fail(f"{what} is one list of words. Keep the steps apart: a list of words for each.")


def _texts(start: int, steps: list[Step], connectives: list[str]) -> dict[str, Any]:
    """Mistake → the text that it would write; the right one under no mistake."""
    values = values_after(start, steps)

    def text(values: list[int]) -> Text:
        return write(steps, values, connectives)

    def all_as(sign: str) -> Text:
        return text(values_after(start, [(sign, number) for _, number in steps]))

    right = text(values)
    return {
        "": right,
        "The values grow past 9. Every step keeps the last digit only.": text(values_after(start, steps, False)),
        "Each step shows the value that it starts from. Write the value after it.": text([start, *values[:-1]]),
        "Every step was taken as an addition. Look at its sign.": all_as("+"),
        "Every step was taken as a multiplication. Look at its sign.": all_as("×"),
        "The last word of a step is its number once more. Write the value after the step.": (
            text([number for _, number in steps])
        ),
        "Every step was done on the start. A step goes on from the value before it.": (
            text([values_after(start, [step])[0] for step in steps])
        ),
        "The start was left out: you began at 0.": text(values_after(0, steps)),
        "The last value stands in every step.": text([values[-1]] * len(steps)),
        "Values are numbers in yours. Words are strings.": [[*words[:4], int(words[4])] for words in right],
        "Values and the steps' numbers are numbers in yours. Words are strings.": [
            [name, sign, int(number), word, int(value)] for name, sign, number, word, value in right
        ],
        "One connective stands in every step. Each step has its own.": write(
            steps, values, connectives[:1] * len(steps)
        ),
        "The connectives are gone.": [[*words[:3], words[4]] for words in right],
        "Sign and number are missing. A step says what it does before it says what comes of it.": [
            [words[0], *words[3:]] for words in right
        ],
        "Steps are numbered in yours. They have names.": [[str(i), *words[1:]] for i, words in enumerate(right, 1)],
    }


@exercise(
    "chain_of_thought.channel",
    title="How deep, how wide",
    points=2,
    minutes=15,
    difficulty=1,
    hints=[
        "Depth: draw a path from the problem to the answer that never goes down or back. How can it get from the top "
        "of the model to its bottom? Width: what does the next position get from a word, and what from the cache?",
        "A path climbs all layers once in every pass. Only a word that the model chose brings the top of one pass to "
        "the bottom of the next, and the answer takes a last pass. A word that is known beforehand carries nothing. "
        "The cache holds a key and a value in every layer, for every key-value head.",
        "depth = layers * (written + 1 if chosen else 1); token_bits = written * math.log2(vocabulary) if chosen else "
        "0; cache_bits = written * 2 * layers * kv_heads * d_head * bits",
    ],
)
def check_channel(student: Student) -> None:
    g = fresh()
    for chosen in (True, False):
        sizes = _sizes(g)
        got = student(*sizes, chosen)
        expect_parts(got, 3, "Return three numbers, (depth, token_bits, cache_bits).")
        for what, value, wrong in zip(("depth", "token_bits", "cache_bits"), got, _widths(sizes, chosen), strict=True):
            expect_close(
                value,
                wrong.pop(""),
                mistakes=wrong,
                otherwise={
                    "depth": "depth differs: the blocks that stand one after another on the longest path from the "
                    "problem to the answer.",
                    "token_bits": "token_bits differs: what the choice of all written words can say.",
                    "cache_bits": "cache_bits differs: the size of all keys and values at the written words.",
                }[what],
                what=what,
            )


def _sizes(g: torch.Generator) -> tuple[int, ...]:
    """Layers, heads, key-value heads, d_head, bits of a number, vocabulary, written words: all unequal."""
    layers, kv_heads, written = pick((5, 7, 11), g), pick((2, 3), g), pick((13, 17, 19), g)
    return (
        layers,
        4 * kv_heads,
        kv_heads,
        pick((24, 40, 56), g),
        pick((4, 16, 32), g),
        pick((60, 900, 49152), g),
        written,
    )


def _widths(sizes: tuple[int, ...], chosen: bool) -> list[dict[str, float]]:
    """For depth, bits of words and bits of the cache: mistake → what it would give."""
    layers, heads, kv_heads, d_head, bits, vocabulary, written = sizes
    cache = written * 2 * layers * kv_heads * d_head * bits
    depth: dict[str, float] = {
        "": layers * (written + 1),
        "The last pass is missing: after the last written word, the model reads it and answers.": layers * written,
        "That is the depth of one pass. A word that the model chose brings the top of one pass to the bottom of the "
        "next.": layers,
        "A written word takes a pass through all layers, not through one more.": layers + written,
    }
    words = {
        "": written * math.log2(vocabulary),
        "That is what one word can say. Count all that are written.": math.log2(vocabulary),
        "Those are natural logarithms. Bits count to base 2.": written * math.log(vocabulary),
        "Those are as many bits as there are words in the vocabulary. Choosing one of n says less.": (
            written * vocabulary
        ),
    }
    if not chosen:
        deep, wide = depth[""], words[""]
        depth = {
            "": layers,
            "Filler is known beforehand, so nothing waits for it: all its positions are computed side by side. It adds "
            "no depth.": deep,
            "Filler is known beforehand, so nothing waits for it. It adds no depth, and the answer's own pass "
            "counts.": layers * written,
        }
        words = {"": 0.0, "Filler is the same words whatever the problem is. It says nothing.": wide}
    return [
        depth,
        words,
        {
            "": cache,
            "Keys and values are both in the cache.": cache / 2,
            "The cache has keys and values for the key-value heads, which several heads share.": (
                cache / kv_heads * heads
            ),
            "That is the cache of one layer. Every layer has its own.": cache / layers,
            "That is the cache at one word. Count all that are written.": cache / written,
            "Those are numbers, and not bits.": cache / bits,
            "Those are bytes. Bits are asked for.": cache / 8,
            "Filler says nothing, but the keys and values at its positions are there all the same.": 0,
        },
    ]
