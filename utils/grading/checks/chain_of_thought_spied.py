"""Checks of the chapter on chains of thought: an auditor who looks for a bit in the choice of words."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from utils.grading import exercise, expect_close
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.superposition import Student, expect_parts, fresh

Audit = tuple[Tensor, Tensor, Tensor, int, int, Tensor]


@exercise(
    "chain_of_thought.auditor",
    title="The auditor",
    points=6,
    minutes=60,
    difficulty=3,
    hints=[
        "Write three functions, one for each number: the guesses for given bits, the bits that guesses and truth have "
        "in common, and the average of those over shuffled bits. Start with the guesses: what may the auditor have "
        "seen when it judges a text?",
        "For each fold, and for both values of the bit, count over the training texts how often each word stands at "
        "position, [position word], add 1, and divide by the number of texts with that value of the bit plus the size "
        "of the vocabulary. The score of a text is log of the bit's share plus the logs of its words at their places. "
        "For the shuffled bits, the whole procedure runs again, with bit[order] in the place of bit.",
        "def guess(bit): label = bit[problem]; out = empty; for f in range(folds): test = problem % folds == f; score "
        "= []; for b in (0, 1): rows = ~test & (label == b); p = (one_hot(words[rows], vocabulary).sum(0) + 1) / "
        "(rows.sum() + vocabulary); score.append((rows.sum() / (~test).sum()).log() + p.log()[arange(positions), "
        "words[test]].sum(-1)); out[test] = score[1] > score[0]. def common(guess, label): sum over the 2 × 2 table of "
        "p log2(p / (p of its row · p of its column)), where p > 0. corrected = bits − the mean of "
        "common(guess(bit[o]), bit[o][problem]) over orders",
    ],
)
def check_auditor(student: Student) -> None:
    audit = _audit(fresh())
    while _unclear(audit):
        audit = _audit(fresh())
    _expect_audit(student, audit)
    words, problem, bit, vocabulary, folds, orders = audit
    rare = (torch.randperm(len(bit), generator=fresh()) < 6).long()  # so rare that every auditor guesses 0
    nothing = (torch.zeros_like(words), problem, rare, vocabulary, folds, orders)
    _, bits, corrected = student(*nothing)
    expect_close(
        [bits, corrected],
        [0.0, 0.0],
        otherwise="Where all texts are alike, every guess is the same and says nothing: 0 bits. A cell of the table "
        "that is empty adds 0, and not nan.",
        what="[bits, corrected]",
    )
    chance = _shuffled(audit)
    while _numbers(chance)[2] > -1e-3:
        chance = _shuffled(audit)
    expect_close(
        student(*chance)[2],
        _numbers(chance)[2],
        mistakes={"What is below 0 became 0. Chance is below its own average half of the time: leave it.": 0.0},
        otherwise="corrected differs for bits that have nothing to do with the words.",
        what="corrected",
    )


def _expect_audit(student: Student, audit: Audit) -> None:
    got = student(*audit)
    expect_parts(got, 3, "Return three numbers, (accuracy, bits, corrected).")
    for what, value, table in zip(("accuracy", "bits", "corrected"), got, _tables(audit), strict=True):
        expect_close(
            value,
            table.pop(""),
            mistakes=table,
            otherwise={
                "accuracy": "accuracy differs: the share of texts whose bit is guessed by an auditor that has learned "
                "from the other folds.",
                "bits": "bits differs: the mutual information of guess and truth, over all texts together.",
                "corrected": "corrected differs: bits, minus the mean of what shuffled bits give.",
            }[what],
            what=what,
        )


def _audit(g: torch.Generator) -> Audit:
    """Texts of which some words lean on a bit, to one side here and to the other there, and one tells the problem."""
    problems, each, positions, vocabulary = 26, 9, 5, 12
    bit = (torch.randperm(problems, generator=g) < 10).long()
    problem = torch.arange(problems).repeat_interleave(each)[torch.randperm(problems * each, generator=g)]
    words = torch.randint(0, vocabulary, (problems * each, positions), generator=g)
    lean = torch.rand(words.shape, generator=g) < torch.tensor([0.5, 0.45, 0.0, 0.2, 0.0])
    side = torch.tensor([0, 1, 0, 0, 1])
    leaning = 2 * torch.randint(0, vocabulary // 2, words.shape, generator=g) + (bit[problem][:, None] + side) % 2
    words = torch.where(lean, leaning, words)
    words[:, 2] = torch.where(torch.rand(len(words), generator=g) < 0.8, (7 * problem // 3) % vocabulary, words[:, 2])
    orders = torch.stack([torch.randperm(problems, generator=g) for _ in range(5)])
    return words, problem, bit, vocabulary, 4, orders


def _shuffled(audit: Audit) -> Audit:
    words, problem, bit, vocabulary, folds, orders = audit
    return words, problem, bit[torch.randperm(len(bit), generator=fresh())], vocabulary, folds, orders


def _scores(audit: Audit, bit: Int[Tensor, "problem"], flaw: str = "") -> Float[Tensor, "sample"]:
    """The auditor's log odds that a text's bit is 1; `flaw` names something done wrong."""
    words, problem, _, vocabulary, folds, _ = audit
    fold = torch.arange(len(words)) % folds if flaw == "by text" else problem % folds
    group = 2 * fold + bit[problem]  # texts of one fold with one value of the bit
    seen = one_hot(words, vocabulary).double()
    met = torch.zeros(2 * folds, *seen.shape[1:]).double().index_add(0, group, seen).unflatten(0, (folds, 2))
    count = {"all": met.sum(0).expand_as(met), "itself": met}.get(flaw, met.sum(0) - met)  # [fold bit position word]
    if flaw == "bag":
        count = count.sum(2, keepdim=True).expand_as(count)
    texts = count.sum(-1, keepdim=True)
    one = 0 if flaw == "unsmoothed" else 1
    chance = ((count + one) / (texts + one * vocabulary)).log()
    share = (texts[:, :, 0, 0] / texts[:, :, 0, 0].sum(1, keepdim=True)).log()
    places = torch.arange(words.shape[1] if flaw != "first" else 1)
    found = chance[fold[:, None], :, places, words[:, places]].sum(1)  # [sample bit]
    odds = found if flaw == "no prior" else found + share[fold]
    return odds[:, 1] - odds[:, 0]


def _common(guess: Bool[Tensor, "sample"], label: Int[Tensor, "sample"]) -> float:
    """The mutual information of guess and label, in bits."""
    joint = torch.bincount(2 * guess.long() + label, minlength=4).view(2, 2).double() / len(label)
    alone = joint.sum(1, keepdim=True) * joint.sum(0)
    return float(torch.where(joint > 0, joint * (joint / alone).log2(), 0.0).sum())


def _recovered(audit: Audit, bit: Int[Tensor, "problem"]) -> float:
    return _common(_scores(audit, bit) > 0, bit[audit[1]])


def _numbers(audit: Audit) -> tuple[float, float, float]:
    """The right answer."""
    _, problem, bit, _, _, orders = audit
    guess, label = _scores(audit, bit) > 0, bit[problem]
    bits = _common(guess, label)
    null = [_recovered(audit, bit[order]) for order in orders]
    return (guess == label).double().mean().item(), bits, bits - sum(null) / len(null)


WRONG_GUESSES = {
    "by text": "The folds go by texts. Texts of one problem are then on both sides, and the auditor recognises the "
    "problem: fold by problem.",
    "all": "The auditor has learned from the texts that it judges. Leave their fold out.",
    "itself": "The auditor has learned from the texts that it judges, and from no others. It should learn from the "
    "other folds.",
    "bag": "The auditor counts words wherever they stand. Count them for each position: a word may mean one thing here "
    "and another there.",
    "first": "The auditor looks at the first position alone. Add up the logs over all positions.",
    "no prior": "The auditor takes both values of the bit to be equally frequent. Add the log of the share that each "
    "has among the training texts.",
    "unsmoothed": "A word that was never seen has the probability 0 in yours, and outweighs all others. Add 1 to every "
    "count.",
}


def _tables(audit: Audit) -> list[dict[str, float]]:
    """For accuracy, bits and corrected: mistake → what it would give; the right one under no mistake."""
    _, problem, bit, _, _, orders = audit
    label, guess = bit[problem], _scores(audit, bit) > 0
    accuracy, bits, corrected = _numbers(audit)
    wrong = {
        said: ((_scores(audit, bit, flaw) > 0) == label).double().mean().item() for flaw, said in WRONG_GUESSES.items()
    }
    null = [_recovered(audit, bit[order]) for order in orders]
    kept = [_common(guess, bit[order][problem]) for order in orders]

    def entropy(share: float) -> float:
        return -sum(p * math.log2(p) for p in (share, 1 - share))

    of_label = entropy(label.double().mean().item())
    return [
        {
            "": accuracy,
            **wrong,
            "Those are the wrong guesses.": 1 - accuracy,
            "The two values are exchanged: guess 1 where its score is the larger.": 1 - accuracy,
        },
        {
            "": bits,
            "Those are nats. Bits are logarithms to base 2.": bits * math.log(2),
            "That is 1 bit minus the entropy of the errors. It takes both values to be equally frequent, and both "
            "errors too: use the table of guess and truth.": 1 - entropy(accuracy),
            "That is how uncertain the bit is without any text.": of_label,
            "That is how uncertain the bit is when the guess is known. The information is what this has gained.": (
                of_label - bits
            ),
            "That is the uncertainty of the bit minus the entropy of the errors. Errors come in two kinds: use the "
            "table of guess and truth.": of_label - entropy(accuracy),
        },
        {
            "": corrected,
            "Nothing was taken away. Even guesses at random agree with the truth a little: subtract what shuffled bits "
            "give.": bits,
            "The auditor did not learn anew. For each shuffle, the whole procedure runs on the shuffled bits.": (
                bits - sum(kept) / len(kept)
            ),
            "Only the first shuffle was taken away. Subtract the mean of all.": bits - null[0],
            "All shuffles were taken away together. Subtract their mean.": bits - sum(null),
            "The shuffles were added.": bits + sum(null) / len(null),
            "You subtracted the usual formula for independent texts. Those of one problem are not: use the shuffles.": (
                bits - 1 / (2 * len(label) * math.log(2))
            ),
            "That is what shuffled bits give. Subtract it from bits.": sum(null) / len(null),
        },
    ]


def _unclear(audit: Audit) -> bool:
    """Whether a guess is nearly a tie, or two mistakes would give the same number."""
    _, _, bit, _, _, orders = audit
    if any(_scores(audit, each).abs().min() < 1e-5 for each in (bit, *bit[orders])):
        return True
    accuracy, bits, corrected = (list(table.values()) for table in _tables(audit))
    return corrected[0] < 1e-3 or crowded(*accuracy[:-1]) or crowded(*bits) or crowded(*corrected)
