"""Answers about edited texts: other right ones, and wrong ones that people give."""

from __future__ import annotations

import copy

import torch

from utils.grading.mutants import Answers, Mutant

# --- plant_mistake ---------------------------------------------------------------------------------------------------


def _after(value, words):
    number = int(words[2])
    return (value + number if words[1] == "+" else value * number) % 10


def _drawn(value, draw):
    return draw + (draw >= value)


def plant_by_slices(text, where, draw):
    wrong = _drawn(int(text[where][-1]), draw)
    start = [*text[:where], [*text[where][:-1], str(wrong)]]
    rest = []
    for words in text[where + 1 :]:
        wrong = _after(wrong, words)
        rest.append([*words[:-1], str(wrong)])
    return start + text[where + 1 :], start + rest


def plant_by_offset(text, where, draw):
    """How far off the values are: an addition keeps it, a multiplication multiplies it."""
    texts = copy.deepcopy(text), copy.deepcopy(text)
    right = int(text[where][4])
    wrong = sorted(set(range(10)) - {right})[draw]
    off = wrong - right
    texts[0][where][4] = str(wrong)
    for i in range(where, len(text)):
        if i > where and text[i][1] == "×":
            off = off * int(text[i][2]) % 10
        texts[1][i][4] = str((int(text[i][4]) + off) % 10)
    return list(texts)


def _plant(drawn=_drawn, kept=None, followed=None, word=str):
    """The right answer with the digit, or one of the two texts, made in another way."""

    def answer(text, where, draw):
        wrong = drawn(int(text[where][4]), draw)
        texts = copy.deepcopy(text), copy.deepcopy(text)
        texts[0][where][4] = texts[1][where][4] = word(wrong)
        value = wrong
        for words in texts[1][where + 1 :]:
            value = _after(value, words)
            words[4] = str(value)
        first = kept(copy.deepcopy(text), where, str(wrong)) if kept else texts[0]
        second = followed(copy.deepcopy(text), where, wrong) if followed else texts[1]
        return first, second

    return answer


def _all_alike(text, where, wrong):
    return [[*words[:4], wrong if words[4] == text[where][4] else words[4]] for words in text]


def _word(place, later=0):
    def change(text, where, wrong):
        text[(where + later) % len(text)][place] = wrong
        return text

    return change


def _values(values):
    """A text with other values from the mistake on."""

    def change(text, where, wrong):
        for i, value in enumerate(values(text, where, wrong), start=where):
            text[i][4] = str(value)
        return text

    return change


def _again(text, where, wrong):
    values = []
    for words in text[where:]:
        wrong = _after(wrong, words)
        values.append(wrong)
    return values


def _shifted(text, where, wrong):
    off = wrong - int(text[where][4])
    return [(int(words[4]) + off) % 10 for words in text[where:]]


def _unreduced(text, where, wrong):
    values = [wrong]
    for _, sign, number, *_ in text[where + 1 :]:
        values.append(values[-1] + int(number) if sign == "+" else values[-1] * int(number))
    return values


def _on_the_mistake(text, where, wrong):
    return [wrong, *(_after(wrong, words) for words in text[where + 1 :])]


def plant_in_place(text, where, draw):
    kept, followed = plant_by_slices(text, where, draw)
    text[where][4] = kept[where][4]
    return text, followed


# --- crossed ---------------------------------------------------------------------------------------------------------


def crossed_by_loop(says, value, steps):
    counted, text, problem = 0, 0, 0
    for i, row in enumerate(says.tolist()):
        for j, answer in enumerate(row):
            if steps[i] == steps[j] and value[i] != value[j]:
                counted += 1
                text += answer == int(value[j])
                problem += answer == int(value[i])
    return text / counted, problem / counted


def crossed_by_index(says, value, steps):
    i, j = torch.where((steps[:, None] == steps[None]) & (value[:, None] != value[None]))
    answers = says[i, j]
    return [(answers == value[j]).double().mean(), (answers == value[i]).double().mean()]


def _crossed(counts=None, by=None):
    """The right answer with other entries counted, or shares taken in another way."""

    def answer(says, value, steps):
        long, differ = steps[:, None] == steps, value[:, None] != value
        own = torch.eye(len(value), dtype=torch.bool)
        chosen = counts(long, differ, own) if counts else long & differ
        events = says == value, says == value[:, None]
        return tuple(by(event, chosen, own) if by else event[chosen].double().mean() for event in events)

    return answer


ANSWERS = {
    "chain_of_thought.plant_mistake": Answers(
        alternatives=[plant_by_slices, plant_by_offset],
        mutants=[
            Mutant(lambda *given: plant_by_slices(*given)[1], "Return two texts"),
            Mutant(plant_in_place, "changed its argument text in place"),
            Mutant(_plant(word=int), "value of kept is a number"),
            Mutant(_plant(drawn=lambda value, draw: 10 + draw), "has two digits"),
            Mutant(_plant(kept=lambda text, where, wrong: [*text[:where], [*text[where][:4], wrong]]), "a cut as well"),
            Mutant(_plant(drawn=lambda value, draw: draw), "may then be the true one"),
            Mutant(_plant(drawn=lambda value, draw: draw + 1), "below the true one are counted too"),
            Mutant(_plant(drawn=lambda value, draw: (value + draw) % 10), "The draw was added to the value."),
            Mutant(_plant(drawn=lambda value, draw: (value + draw + 1) % 10), "added to the value, one step on"),
            Mutant(_plant(kept=_all_alike), "One mistake is enough"),
            Mutant(_plant(kept=_word(4, later=1)), "one step late"),
            Mutant(_plant(kept=_word(4, later=-1)), "one step early"),
            Mutant(_plant(kept=_word(0)), "name of the step was replaced"),
            Mutant(_plant(kept=_word(3)), "connective of the step was replaced"),
            Mutant(_plant(kept=_word(2)), "adds or multiplies by was replaced"),
            Mutant(_plant(kept=lambda text, where, wrong: text), "Nothing has changed"),
            Mutant(_plant(followed=_values(lambda text, where, wrong: [wrong])), "nothing follows"),
            Mutant(_plant(followed=lambda text, where, wrong: text), "gone in followed"),
            Mutant(_plant(followed=_values(_again)), "written over"),
            Mutant(_plant(followed=_values(lambda *given: [given[2], *_again(*given)[:-1]])), "is the one after it"),
            Mutant(
                _plant(followed=_values(lambda text, where, wrong: [wrong] * (len(text) - where))),
                "All later values are the wrong digit",
            ),
            Mutant(_plant(followed=_values(_shifted)), "multiplies it as well"),
            Mutant(_plant(followed=_values(_unreduced)), "value of followed has two digits"),
            Mutant(_plant(followed=_values(_on_the_mistake)), "on the wrong value itself"),
        ],
    ),
    "chain_of_thought.crossed": Answers(
        alternatives=[crossed_by_loop, crossed_by_index],
        mutants=[
            Mutant(lambda *given: crossed_by_loop(*given)[0], "Return two numbers"),
            Mutant(lambda *given: crossed_by_loop(*given)[::-1], "Rows and columns are exchanged"),
            Mutant(lambda says, *given: crossed_by_loop(says.T, *given), "Rows and columns are exchanged"),
            Mutant(_crossed(lambda long, differ, own: long), "with their own text, too"),
            Mutant(_crossed(lambda long, differ, own: long & ~own), "pairs whose values are equal"),
            Mutant(_crossed(lambda long, differ, own: differ), "another number of steps"),
            Mutant(_crossed(lambda long, differ, own: long | True), "counts every entry"),
            Mutant(_crossed(lambda long, differ, own: ~own), "leaves out only"),
            Mutant(
                _crossed(by=lambda event, chosen, own: (event & chosen).double().mean()), "is divided by all entries."
            ),
            Mutant(
                _crossed(by=lambda event, chosen, own: (event & chosen).sum() / (~own).sum()),
                "all entries with texts of other problems",
            ),
            Mutant(_crossed(lambda long, differ, own: long & differ & own.roll(1, 1)), "only neighbours"),
            Mutant(_crossed(lambda long, differ, own: own), "looks at the problems with their own text"),
        ],
    ),
}
