"""Answers to the hour-long exercise: auditors, and the places where they go wrong."""

from __future__ import annotations

import math
from collections import Counter

import torch

from utils.grading.mutants import Answers, Mutant


def _log_odds(
    words, label, fold, vocabulary, trained_on=lambda fold, f: fold != f, place=lambda i: i, one=1, prior=True
):
    """Log odds of every text, with a linear score: one weight for each word at each position."""
    n, positions = words.shape
    odds = torch.zeros(n, dtype=torch.float64)
    for f in fold.unique().tolist():
        train = trained_on(fold, f)
        ones, zeros = train & (label == 1), train & (label == 0)
        start = float((ones.sum() / zeros.sum()).log()) if prior else 0.0
        counts = torch.zeros(2, positions, vocabulary, dtype=torch.float64)
        for side, rows in enumerate((zeros, ones)):
            for i in range(positions):
                counts[side, place(i)] += torch.bincount(words[rows, i], minlength=vocabulary)
        counts = counts[:, [place(i) for i in range(positions)]]
        weights = ((counts + one) / (counts.sum(-1, keepdim=True) + one * vocabulary)).log()
        here = fold == f
        for side, sign in enumerate((-1, 1)):
            odds[here] += sign * weights[side][torch.arange(positions), words[here]].sum(-1)
        odds[here] += start
    return odds


def _entropy(*events):
    """Of tuples of events, in bits."""
    counts = Counter(zip(*(event.tolist() for event in events), strict=True))
    total = sum(counts.values())
    return -sum(c / total * math.log2(c / total) for c in counts.values())


def _information(guess, label):
    return _entropy(guess.long()) + _entropy(label) - _entropy(guess.long(), label)


def _auditor(bits=_information, fold=lambda words, problem, folds: problem % folds, corrected=None, guess=None, **how):
    """The right auditor with one of its pieces replaced."""

    def answer(words, problem, bit, vocabulary, folds, orders):
        def run(bit):
            label = bit[problem]
            odds = _log_odds(words, label, fold(words, problem, folds), vocabulary, **how)
            return (guess(odds) if guess else odds > 0), label

        said, label = run(bit)
        found = bits(said, label)
        null = [bits(*run(bit[order])) for order in orders]
        kept = [bits(said, bit[order][problem]) for order in orders]
        last = corrected(found, null, kept, len(words)) if corrected else found - sum(null) / len(null)
        return (said == label).double().mean().item(), found, last

    return answer


def audit_by_loop(words, problem, bit, vocabulary, folds, orders):
    """Text by text, with plain counters."""
    texts, owner = words.tolist(), problem.tolist()

    def guesses(bit):
        tables = {}
        for f in range(folds):
            for b in (0, 1):
                rows = [t for t, p in zip(texts, owner, strict=True) if p % folds != f and bit[p] == b]
                tables[f, b] = len(rows), [Counter(column) for column in zip(*rows, strict=True)]
        said = []
        for text, p in zip(texts, owner, strict=True):
            score = []
            for b in (0, 1):
                count, columns = tables[p % folds, b]
                chances = [
                    (column[word] + 1) / (count + vocabulary) for column, word in zip(columns, text, strict=True)
                ]
                score.append(count * math.prod(chances))
            said.append(int(score[1] > score[0]))
        return torch.tensor(said), torch.tensor([bit[p] for p in owner])

    def common(guess, label):
        total = 0.0
        for g in (0, 1):
            for b in (0, 1):
                both = ((guess == g) & (label == b)).double().mean()
                if both > 0:
                    total += float(both * (both / (guess == g).double().mean() / (label == b).double().mean()).log2())
        return total

    guess, label = guesses(bit.tolist())
    null = [common(*guesses(bit[order].tolist())) for order in orders]
    return [float((guess == label).double().mean()), common(guess, label), common(guess, label) - sum(null) / len(null)]


def audit_first_position(words, *given):
    return _auditor()(words[:, :1], *given)


def audit_with_nan(guess, label):
    joint = torch.bincount(2 * guess.long() + label, minlength=4).view(2, 2).double() / len(label)
    return float((joint * (joint / joint.sum(1, keepdim=True) / joint.sum(0)).log2()).sum())


def _errors(guess, label):
    return _entropy((guess != label).long())


def audit_in_place(words, problem, bit, vocabulary, folds, orders):
    right = audit_by_loop(words, problem, bit, vocabulary, folds, orders)
    bit[:] = bit[orders[-1]]
    return right


ANSWERS = {
    "chain_of_thought.auditor": Answers(
        alternatives=[_auditor(), audit_by_loop],
        mutants=[
            Mutant(lambda *given: audit_by_loop(*given)[:2], "Return three numbers"),
            Mutant(audit_in_place, "changed its argument bit in place"),
            Mutant(_auditor(fold=lambda words, problem, folds: torch.arange(len(words)) % folds), "folds go by texts"),
            Mutant(_auditor(trained_on=lambda fold, f: fold > -1), "Leave their fold out"),
            Mutant(_auditor(trained_on=lambda fold, f: fold == f), "and from no others"),
            Mutant(_auditor(place=lambda i: 0), "wherever they stand"),
            Mutant(audit_first_position, "first position alone"),
            Mutant(_auditor(prior=False), "equally frequent. Add the log"),
            Mutant(_auditor(one=0), "outweighs all others"),
            Mutant(_auditor(guess=lambda odds: odds < 0), "wrong guesses"),
            Mutant(_auditor(lambda guess, label: math.log(2) * _information(guess, label)), "Those are nats"),
            Mutant(_auditor(lambda guess, label: 1 - _errors(guess, label)), "1 bit minus the entropy"),
            Mutant(_auditor(lambda guess, label: _entropy(label)), "without any text"),
            Mutant(
                _auditor(lambda guess, label: _entropy(guess.long(), label) - _entropy(guess.long())),
                "when the guess is known",
            ),
            Mutant(
                _auditor(lambda guess, label: _entropy(label) - _errors(guess, label)),
                "minus the entropy of the errors",
            ),
            Mutant(_auditor(audit_with_nan), "and not nan"),
            Mutant(_auditor(corrected=lambda bits, null, kept, n: bits), "Nothing was taken away"),
            Mutant(_auditor(corrected=lambda bits, null, kept, n: bits - sum(kept) / len(kept)), "did not learn anew"),
            Mutant(_auditor(corrected=lambda bits, null, kept, n: bits - null[0]), "Only the first shuffle"),
            Mutant(_auditor(corrected=lambda bits, null, kept, n: bits - sum(null)), "taken away together"),
            Mutant(_auditor(corrected=lambda bits, null, kept, n: bits + sum(null) / len(null)), "were added"),
            Mutant(_auditor(corrected=lambda bits, null, kept, n: bits - 1 / (2 * n * math.log(2))), "usual formula"),
            Mutant(
                _auditor(corrected=lambda bits, null, kept, n: sum(null) / len(null)), "what shuffled bits give. Sub"
            ),
            Mutant(_auditor(corrected=lambda bits, null, kept, n: max(0.0, bits - sum(null) / len(null))), "became 0"),
        ],
    ),
}
