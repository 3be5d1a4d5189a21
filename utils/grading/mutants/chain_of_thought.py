"""Answers about a scratchpad and what crosses from word to word: other right ones, and wrong ones that people give."""

from __future__ import annotations

import math

from utils.data.reasoning import NAMES
from utils.grading.mutants import Answers, Mutant

# --- scratchpad ------------------------------------------------------------------------------------------------------


def scratchpad_by_recursion(start, steps, connectives, names=NAMES):
    if not steps:
        return [], []
    (sign, number), *rest = steps
    value = int(str({"+": start.__add__, "×": start.__mul__}[sign](number))[-1])
    text, filler = scratchpad_by_recursion(value, rest, connectives[1:], names[1:])
    return [[names[0], sign, str(number), connectives[0], str(value)], *text], [[".", ".", ".", ".", "."], *filler]


def scratchpad_as_tuples(start, steps, connectives):
    """The value may grow as it likes if only its last digit is written."""
    text = []
    for i, (sign, number) in enumerate(steps):
        start = start + number if sign == "+" else start * number
        text.append((NAMES[i], sign, str(number), connectives[i], str(start % 10)))
    return tuple(text), tuple((".",) * 5 for _ in text)


def _scratchpad(
    begin=lambda start: start,
    after=lambda value, sign, number: (value + number if sign == "+" else value * number) % 10,
    last=lambda before, value, number: str(value),
    words=lambda words, i: words,
    filler=lambda text: [["."] * 5 for _ in text],
):
    def answer(start, steps, connectives):
        value, text = begin(start), []
        for i, (sign, number) in enumerate(steps):
            before, value = value, after(value, sign, number)
            row = [NAMES[i], sign, str(number), connectives[i], last(before, value, number)]
            text.append(words(row, i))
        return text, filler(text)

    return answer


def _plain(value, sign, number):
    return value + number if sign == "+" else value * number


def scratchpad_from_the_start(start, steps, connectives):
    text = [scratchpad_as_tuples(start, [step], [word])[0][0] for step, word in zip(steps, connectives, strict=True)]
    return [[NAMES[i], *words[1:]] for i, words in enumerate(text)], [["."] * 5] * len(steps)


def scratchpad_last_value(start, steps, connectives):
    text, filler = scratchpad_as_tuples(start, steps, connectives)
    return [[*words[:4], text[-1][4]] for words in text], filler


def scratchpad_one_connective(start, steps, connectives):
    return scratchpad_as_tuples(start, steps, connectives[:1] * len(steps))


def scratchpad_flat(start, steps, connectives):
    text, filler = scratchpad_as_tuples(start, steps, connectives)
    return [word for words in text for word in words], filler


def scratchpad_joined(start, steps, connectives):
    text, filler = scratchpad_as_tuples(start, steps, connectives)
    return " ".join(word for words in text for word in words), filler


def scratchpad_in_place(start, steps, connectives):
    right = scratchpad_as_tuples(start, list(steps), connectives)
    while steps:
        steps.pop()
    return right


# --- channel ---------------------------------------------------------------------------------------------------------


def channel_by_walking(layers, heads, kv_heads, d_head, bits, vocabulary, written, chosen):
    """Count passes one by one, and the cache layer by layer."""
    depth, words, cache = layers, 0.0, 0
    for _ in range(written):
        depth += layers if chosen else 0
        words += math.log(vocabulary) / math.log(2) if chosen else 0
        cache += sum(kv_heads * d_head * bits for _ in range(layers) for _ in ("key", "value"))
    return [depth, words, cache]


def _channel(depth=None, words=None, cache=None):
    """The right answer with one of its parts replaced."""

    def answer(layers, heads, kv_heads, d_head, bits, vocabulary, written, chosen):
        cached = written * 2 * layers * kv_heads * d_head * bits
        return (
            depth(layers, written, chosen) if depth else layers * (1 + written * chosen),
            words(vocabulary, written, chosen) if words else chosen * written * math.log2(vocabulary),
            cache(cached, layers, heads, kv_heads, bits, written, chosen) if cache else cached,
        )

    return answer


ANSWERS = {
    "chain_of_thought.scratchpad": Answers(
        alternatives=[scratchpad_by_recursion, scratchpad_as_tuples],
        mutants=[
            Mutant(lambda *given: scratchpad_as_tuples(*given)[0][:1], "Return two things"),
            Mutant(scratchpad_flat, "one list of words"),
            Mutant(scratchpad_joined, "one string"),
            Mutant(scratchpad_in_place, "changed its argument steps in place"),
            Mutant(_scratchpad(after=_plain), "grow past 9"),
            Mutant(_scratchpad(last=lambda before, value, number: str(before)), "the value that it starts from"),
            Mutant(_scratchpad(after=lambda v, sign, n: (v + n) % 10), "taken as an addition"),
            Mutant(_scratchpad(after=lambda v, sign, n: v * n % 10), "taken as a multiplication"),
            Mutant(_scratchpad(last=lambda before, value, number: str(number)), "its number once more"),
            Mutant(scratchpad_from_the_start, "done on the start"),
            Mutant(_scratchpad(begin=lambda start: 0), "began at 0"),
            Mutant(scratchpad_last_value, "last value stands in every step"),
            Mutant(_scratchpad(last=lambda before, value, number: value), "Values are numbers in yours"),
            Mutant(
                _scratchpad(words=lambda words, i: [*words[:2], int(words[2]), words[3], int(words[4])]),
                "the steps' numbers are numbers",
            ),
            Mutant(scratchpad_one_connective, "One connective stands in every step"),
            Mutant(_scratchpad(words=lambda words, i: [*words[:3], words[4]]), "connectives are gone"),
            Mutant(_scratchpad(words=lambda words, i: [words[0], *words[3:]]), "Sign and number are missing"),
            Mutant(_scratchpad(words=lambda words, i: [str(i + 1), *words[1:]]), "They have names"),
            Mutant(_scratchpad(filler=lambda text: [["."] for _ in text]), "one filler word for each step"),
            Mutant(_scratchpad(filler=lambda text: ["." for _ in text]), "Keep the steps apart"),
            Mutant(_scratchpad(filler=lambda text: [["....."] for _ in text]), "glued together"),
            Mutant(_scratchpad(filler=lambda text: [[*words[:4], "."] for words in text]), "Only the values became"),
            Mutant(_scratchpad(filler=lambda text: text), "filler is the text itself"),
        ],
    ),
    "chain_of_thought.channel": Answers(
        alternatives=[channel_by_walking, _channel()],
        mutants=[
            Mutant(lambda *given: channel_by_walking(*given)[:2], "Return three numbers"),
            Mutant(_channel(depth=lambda layers, n, chosen: layers * n if chosen else layers), "last pass is missing"),
            Mutant(_channel(depth=lambda layers, n, chosen: layers), "depth of one pass"),
            Mutant(_channel(depth=lambda layers, n, chosen: layers + n), "not through one more"),
            Mutant(_channel(depth=lambda layers, n, chosen: layers * (n + 1)), "It adds no depth"),
            Mutant(_channel(words=lambda v, n, chosen: chosen * math.log2(v)), "what one word can say"),
            Mutant(_channel(words=lambda v, n, chosen: chosen * n * math.log(v)), "natural logarithms"),
            Mutant(_channel(words=lambda v, n, chosen: chosen * n * v), "Choosing one of n says less"),
            Mutant(_channel(words=lambda v, n, chosen: n * math.log2(v)), "It says nothing"),
            Mutant(_channel(cache=lambda c, layers, h, kv, bits, n, chosen: c / 2), "Keys and values are both"),
            Mutant(_channel(cache=lambda c, layers, h, kv, bits, n, chosen: c / kv * h), "which several heads share"),
            Mutant(_channel(cache=lambda c, layers, h, kv, bits, n, chosen: c / layers), "cache of one layer"),
            Mutant(_channel(cache=lambda c, layers, h, kv, bits, n, chosen: c / n), "cache at one word"),
            Mutant(_channel(cache=lambda c, layers, h, kv, bits, n, chosen: c / bits), "numbers, and not bits"),
            Mutant(_channel(cache=lambda c, layers, h, kv, bits, n, chosen: c / 8), "Those are bytes"),
            Mutant(_channel(cache=lambda c, layers, h, kv, bits, n, chosen: c * chosen), "are there all the same"),
        ],
    ),
}
