"""Answers about a histogram by topic: other right ones, and wrong ones that people give."""

from __future__ import annotations

from math import log, log2

import torch

from utils.grading.mutants import Answers, Mutant


def _h(counts):
    share = counts.double() / counts.sum()
    return float(torch.special.entr(share).sum() / log(2))


def _info(table):
    return _h(table.sum(1)) + _h(table.sum(0)) - _h(table)


def _pieces(n):
    """What topic says, what it says beyond the token, and what the token says."""
    slices = [n[:, i] for i in range(n.shape[1])]
    beyond = sum(float(s.sum() / n.sum()) * _info(s) for s in slices)
    return _info(n.sum(1)), beyond, _info(n.sum(0))


def _read(shown=None, beyond=None, verdict=None, misled=None):
    """The right answer with one of its pieces replaced."""

    def answer(counts, least):
        a, b, token = _pieces(counts)
        word = "topic" if b >= least else "token" if token >= least else "neither"
        if verdict:
            word = verdict(a >= least, b >= least, token >= least)
        peaked = a >= least
        return (
            shown(counts, a, b, token) if shown else a,
            beyond(counts, a, b, token) if beyond else b,
            word,
            misled(peaked, word) if misled else peaked != (word == "topic"),
        )

    return answer


def read_by_chain_rule(counts, least):
    """I(topic; expert | token) = I(topic, token; expert) − I(token; expert)."""
    both = _info(counts.flatten(0, 1))
    token = _info(counts.sum(0))
    shown, beyond = _info(counts.sum(1)), both - token
    if beyond >= least:
        return shown, beyond, "topic", shown < least
    return shown, beyond, "token" if token >= least else "neither", shown >= least


def read_by_loop(counts, least):
    def info(rows):
        n, columns = sum(map(sum, rows)), [sum(c) for c in zip(*rows, strict=True)]
        return sum(c / n * log2(c * n / (sum(row) * columns[j])) for row in rows for j, c in enumerate(row) if c)

    total = float(counts.sum())
    shown = info(counts.sum(1).tolist())
    beyond = sum(float(part.sum()) / total * info(part.tolist()) for part in counts.unbind(1))
    by_token = info(counts.sum(0).tolist())
    word = "topic" if beyond >= least else "token" if by_token >= least else "neither"
    return [shown, beyond, word, (shown >= least) is not (word == "topic")]


def _from_histogram(peaked, matters, token):
    return "topic" if peaked else "token" if token else "neither"


def _word(topic, token):
    return "topic" if topic else "token" if token else "neither"


ANSWERS = {
    "experts.read_histogram": Answers(
        alternatives=[_read(), read_by_chain_rule, read_by_loop],
        mutants=[
            Mutant(_read(verdict=_from_histogram), "histogram over topics was taken to say"),
            Mutant(
                _read(verdict=lambda peaked, matters, token: "topic" if peaked and matters else _word(False, token)),
                "A flat histogram over topics was taken",
            ),
            Mutant(_read(verdict=lambda peaked, matters, token: _word(peaked or matters, token)), "A peaked histogram"),
            Mutant(
                _read(verdict=lambda peaked, matters, token: "token" if token else _word(matters, token)),
                "even if the token matters too",
            ),
            Mutant(
                _read(verdict=lambda peaked, matters, token: "topic" if matters else "neither"),
                "no specialisation where the token decides",
            ),
            Mutant(
                _read(verdict=lambda peaked, matters, token: "topic" if matters else "token"),
                "found specialisation where neither",
            ),
            Mutant(_read(verdict=lambda *given: "specialised"), "should be one of the words"),
            Mutant(_read(misled=lambda peaked, word: peaked), "the topic matters all the same"),
            Mutant(_read(misled=lambda peaked, word: not peaked), "flat and the topic does not matter"),
            Mutant(_read(misled=lambda peaked, word: word == "topic"), "peaked and the topic matters"),
            Mutant(
                _read(misled=lambda peaked, word: not peaked and word == "topic"), "takes the experts for specialists"
            ),
            Mutant(_read(misled=lambda peaked, word: 1.0), "should be True or False"),
            Mutant(_read(shown=lambda n, a, b, t: a * log(2)), "Those are nats. Bits"),
            Mutant(_read(shown=lambda n, a, b, t: t), "what the token says about the expert"),
            Mutant(_read(shown=lambda n, a, b, t: _info(n.sum(2))), "what the topic says about the token"),
            Mutant(_read(shown=lambda n, a, b, t: b), "with the token known"),
            Mutant(_read(beyond=lambda n, a, b, t: b * log(2)), "nats, beyond too"),
            Mutant(
                _read(beyond=lambda n, a, b, t: sum(map(_info, n.unbind(1))) / n.shape[1]), "All tokens weigh the same"
            ),
            Mutant(_read(beyond=lambda n, a, b, t: a - t), "You subtracted what the token says"),
            Mutant(
                _read(beyond=lambda n, a, b, t: sum(float(s.sum() / n.sum()) * _info(s) for s in n)),
                "what the token adds for who knows",
            ),
            Mutant(_read(beyond=lambda n, a, b, t: a), "histogram's value again"),
            Mutant(_read(beyond=lambda n, a, b, t: sum(map(_info, n.unbind(1)))), "You added up the tokens' values"),
            Mutant(lambda *given: _read()(*given)[:3], "Return four things"),
        ],
    ),
}
