"""Checks of the chapter on induction heads: the circuits in the weights, found and written by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape, fail
from utils.grading.checks.induction_heads import Student, fresh


def apart(values: list[float]) -> bool:
    """Whether a right answer and every known mistake can be told from one another."""
    return all(high - low > 0.02 for low, high in pairwise(sorted(values)))


@exercise(
    "induction_heads.copying_score",
    title="Does this head copy?",
    points=3,
    minutes=25,
    difficulty=2,
    hints=[
        "For matrices of fitting shapes, AB and BA have the same non-zero eigenvalues. Which of the four factors can "
        "you carry from the front to the back?",
        "W_E W_V W_O W_U is [d_vocab d_vocab], but it passes through d_head numbers. Cut it there and join the ends: "
        "(W_O W_U)(W_E W_V) is [d_head d_head]. Its eigenvalues are complex; divide the real part of their sum by the "
        "sum of their absolute values.",
        "small = W_O @ W_U @ W_E @ W_V; values = torch.linalg.eigvals(small); "
        "return small, (values.sum().real / values.abs().sum()).item()",
    ],
)
def check_copying_score(student: Student) -> None:
    generator = fresh()
    for d_vocab, d_model, d_head in ((23, 11, 5), (40, 9, 4)):
        weights = _telling_head(d_vocab, d_model, d_head, generator)
        small, score = _pair(student(*weights), d_vocab, d_head)
        _expect_same_spectrum(small, weights)
        expect_close(
            score,
            _copying(_cut(*weights)),
            mistakes=_copying_mistakes(weights),
            otherwise="The score differs: the sum of the eigenvalues over the sum of their absolute values.",
            what="the score",
            rtol=1e-3,
        )
    eye = torch.eye(3, 7)
    turn = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    cases = {1.0: (eye.T, eye), -1.0: (eye.T, -eye), 1 / 3: (eye.T, turn @ eye)}
    for want, (w_v, w_o) in cases.items():
        _, score = _pair(student(torch.eye(7), w_v, w_o, torch.eye(7)), 7, 3)
        note = "a pair of eigenvalues ±i and one 1" if want == 1 / 3 else f"eigenvalues that are all {want:.0f}"
        expect_close(
            score,
            want,
            mistakes={"With eigenvalues ±i and 1 your denominator lost the imaginary parts: take absolute values.": 1.0}
            if want == 1 / 3
            else {},
            otherwise=f"A head with {note} should score {want:.3g}.",
            what="the score",
            rtol=1e-3,
        )


def _telling_head(d_vocab: int, d_model: int, d_head: int, generator: torch.Generator) -> list[Tensor]:
    """W_E, W_V, W_O and W_U on which every known mistake gives a clearly different number."""
    shapes = ((d_vocab, d_model), (d_model, d_head), (d_head, d_model), (d_model, d_vocab))
    while True:
        weights = [torch.randn(shape, generator=generator) for shape in shapes]
        weights[3] = weights[3] + 0.5 * weights[0].T
        if apart([0.0, _copying(_cut(*weights)), *_copying_mistakes(weights).values()]):
            return weights


def _pair(got: Any, d_vocab: int, d_head: int) -> tuple[Tensor, Any]:
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        fail("Return two things: the [d_head d_head] matrix and the score.")
    small = got[0]
    if isinstance(small, Tensor) and small.shape == (d_vocab, d_vocab):
        fail(
            "Your matrix is [d_vocab d_vocab]. For a real vocabulary of 49,152 that is 9.7 GB, and all but d_head of "
            "its eigenvalues are 0. Find a [d_head d_head] matrix with the same non-zero eigenvalues."
        )
    expect_shape(small, (d_head, d_head), "the small matrix")
    return small, got[1]


def _cut(w_e: Tensor, w_v: Tensor, w_o: Tensor, w_u: Tensor) -> Float[Tensor, "d_head d_head"]:
    return (w_o @ w_u) @ (w_e @ w_v)


def _copying(small: Tensor) -> float:
    values = torch.linalg.eigvals(small.double())
    return (values.sum().real / values.abs().sum()).item()


def _expect_same_spectrum(small: Tensor, weights: list[Tensor]) -> None:
    """Traces of the powers fix the eigenvalues, in whatever basis the student wrote the matrix."""
    want = _cut(*weights).double()
    bare = (weights[2] @ weights[1]).double()
    got = small.double()
    if not torch.allclose(got.trace(), want.trace(), rtol=1e-3, atol=1e-3):
        if torch.allclose(got.trace(), bare.trace(), rtol=1e-3):
            fail("Those are eigenvalues of W_V W_O alone. The head copies tokens: W_E and W_U belong to the circuit.")
        fail("The small matrix has other eigenvalues than W_E W_V W_O W_U. Its factors go round in a circle, in order.")
    if not torch.allclose((got @ got).trace(), (want @ want).trace(), rtol=1e-3, atol=1e-2):
        fail("The small matrix has the right trace and other eigenvalues. Multiply whole matrices.")


def _copying_mistakes(weights: list[Tensor]) -> dict[str, float]:
    values = torch.linalg.eigvals(_cut(*weights).double())
    singular = torch.linalg.svdvals(_cut(*weights).double())
    real = values.real
    return {
        "That is the share of eigenvalues with a positive real part. Large ones should weigh more: sum λ over sum "
        "|λ|.": (real > 0).double().mean().item(),
        "Your denominator adds up |Re λ|. Eigenvalues are complex: their absolute value includes the imaginary part.": (
            real.sum() / real.abs().sum()
        ).item(),
        "You divided by the singular values. The sum of |λ| runs over eigenvalues.": (
            (real.sum() / singular.sum()).item()
        ),
        "Your numerator has absolute values too. The sign is the point: positive copies, negative suppresses.": (
            real.abs().sum() / values.abs().sum()
        ).item(),
        "That is the sum of the eigenvalues. Divide by the sum of their absolute values, so that size drops "
        "out.": real.sum().item(),
        "That is the mean of λ / |λ|, in which small eigenvalues weigh as much as large ones.": (
            (real / values.abs()).mean().item()
        ),
    }


@exercise(
    "induction_heads.auroc",
    title="Predicting heads from weights alone",
    points=2,
    minutes=15,
    difficulty=1,
    hints=[
        "Take one positive and one negative at random. How often does the positive have the higher score?",
        "Compare every positive with every negative: positives[:, None] against negatives[None, :]. Higher counts 1, "
        "equal counts a half, lower counts 0.",
        "a, b = scores[labels][:, None], scores[~labels][None, :]; "
        "return ((a > b).float() + 0.5 * (a == b).float()).mean().item()",
    ],
)
def check_auroc(student: Student) -> None:
    generator = fresh()
    for count in (17, 40):
        scores, labels, want, mistakes = _telling_ranking(count, generator)
        expect_close(
            student(scores, labels),
            want,
            mistakes=mistakes,
            otherwise="The area differs: the share of (positive, negative) pairs in which the positive scores higher.",
            what="the area",
        )
    ranked = torch.arange(9.0)
    level = torch.full((9,), 2.0)
    expect_close(student(ranked, ranked > 5), 1.0, otherwise="A perfect ranking has an area of 1.")
    expect_close(student(level, ranked > 5), 0.5, otherwise="When all scores are equal, the area is 0.5.")


def _telling_ranking(
    count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "count"], Bool[Tensor, "count"], float, dict[str, float]]:
    """Scores with ties, labels, the area, and what every known mistake gives: clearly different numbers."""
    while True:
        scores = (6 * torch.rand(count, generator=generator)).round() - 2
        labels = torch.rand(count, generator=generator) < 0.4
        labels[:2] = torch.tensor([True, False])
        above, tied = _pairs(scores, labels)
        want = above + 0.5 * tied
        mistakes = {
            "Ties count as wins. A tie is a coin toss: it counts a half.": above + tied,
            "Ties count as losses. A tie is a coin toss: it counts a half.": above,
            "The order is turned round: it should be the chance that the positive scores higher.": 1 - want,
            "That is the accuracy at a threshold. AUROC has no threshold: compare all pairs.": (
                ((scores > scores.median()) == labels).float().mean().item()
            ),
            "That is the accuracy at a threshold of 0. AUROC has no threshold: compare all pairs.": (
                ((scores > 0) == labels).float().mean().item()
            ),
            "You divided by all pairs of heads. Only pairs of a positive and a negative are compared.": (
                want * int(labels.sum()) * int((~labels).sum()) / count**2
            ),
        }
        if apart([want, *mistakes.values()]):
            return scores, labels, want, mistakes


def _pairs(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    a, b = scores[labels][:, None], scores[~labels][None, :]
    return (a > b).float().mean().item(), (a == b).float().mean().item()


@exercise(
    "induction_heads.k_composition",
    title="Is anyone listening?",
    points=3,
    minutes=25,
    difficulty=2,
    hints=[
        "Tokens are rows here: the earlier head adds x W_V W_O to the stream. What does the later head's key matrix "
        "make of that?",
        "A = W_V W_O is what the earlier head writes, B = W_K W_Qᵀ is how the later head's keys meet its queries. The "
        "score is ‖A B‖ / (‖A‖ ‖B‖) with Frobenius norms. For the baseline, the same of random normal matrices of the "
        "same four shapes, averaged.",
        "Write score(w_v, w_o, w_q, w_k): a, b = w_v @ w_o, w_k @ w_q.T; return (a @ b).norm() / (a.norm() * "
        "b.norm()). Then average score(*[torch.randn(w.shape, generator=g) for w in (W_V, W_O, W_Q, W_K)]) over the "
        "draws.",
    ],
)
def check_k_composition(student: Student) -> None:
    generator = fresh()
    for d_model, early, late in ((20, 4, 6), (31, 7, 5)):
        shapes = ((d_model, early), (early, d_model), (d_model, late), (d_model, late))
        weights = _telling_pair(shapes, generator)
        seed = int(torch.randint(0, 2**30, (1,), generator=generator))
        got = student(*weights, 300, seed)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            fail("Return two numbers: the score and the mean score of random heads.")
        expect_close(
            got[0],
            _composition(*weights),
            mistakes=_composition_mistakes(*weights),
            otherwise="The score differs: ‖W_V W_O W_K W_Qᵀ‖ / (‖W_V W_O‖ ‖W_K W_Qᵀ‖) with Frobenius norms.",
            what="the score",
            rtol=1e-3,
        )
        draws = [_composition(*(torch.randn(shape, generator=generator) for shape in shapes)) for _ in range(300)]
        positive = [_composition(*(torch.rand(shape, generator=generator) for shape in shapes)) for _ in range(50)]
        mean = sum(draws) / len(draws)
        expect_close(
            got[1],
            mean,
            mistakes={
                "torch.rand draws positive numbers only: such heads all share one direction. Use torch.randn.": (
                    sum(positive) / len(positive)
                ),
                "You added the random scores up: divide by the number of draws.": 300 * mean,
            },
            otherwise="The baseline is off: the mean score of heads with random normal weights of the same shapes.",
            what="the baseline",
            rtol=0.1,
        )
    _expect_narrow_baseline(student, generator)
    line = torch.eye(6)[:, :1]
    other = torch.eye(6)[:, 1:2]
    for key, want, what in ((line, 1.0, "exactly what"), (other, 0.0, "nothing of what")):
        got = student(other, line.T, line, key, 3, 0)
        expect_close(got[0], want, otherwise=f"A head that reads {what} another writes should score {want:.0f}.")


def _expect_narrow_baseline(student: Student, generator: torch.Generator) -> None:
    """Heads of width 1 overlap by |cos| of two random directions, on average a fifth less than wide heads do."""
    d_model = 15
    shapes = ((d_model, 1), (1, d_model), (d_model, 1), (d_model, 1))
    got = student(*(torch.randn(shape, generator=generator) for shape in shapes), 2000, 3)
    expect_close(
        got[1],
        math.exp(math.lgamma(d_model / 2) - math.lgamma((d_model + 1) / 2)) / math.sqrt(math.pi),
        mistakes={
            "The baseline is that of heads as wide as the stream, or 1/√d_model, which is close to it. Narrow heads "
            "overlap less on average: draw matrices of the same four shapes.": 1 / math.sqrt(d_model),
        },
        otherwise="The baseline is off for heads of width 1: draw matrices of the same four shapes.",
        what="the baseline",
        rtol=0.1,
    )


def _telling_pair(shapes: tuple[tuple[int, int], ...], generator: torch.Generator) -> list[Tensor]:
    """W_V, W_O of one head and W_Q, W_K of another on which every known mistake gives a clearly different number."""
    while True:
        weights = [torch.randn(shape, generator=generator) for shape in shapes]
        weights[3][:, 0] += 2 * weights[1][0]  # the later head's key reads a part of what the earlier head writes
        weights[2][:, 1] += weights[0][:, 0]
        if apart([_composition(*weights), *_composition_mistakes(*weights).values()]):
            return weights


def _composition(w_v: Tensor, w_o: Tensor, w_q: Tensor, w_k: Tensor) -> float:
    writes, meets = w_v @ w_o, w_k @ w_q.T
    return ((writes @ meets).norm() / (writes.norm() * meets.norm())).item()


def _composition_mistakes(w_v: Tensor, w_o: Tensor, w_q: Tensor, w_k: Tensor) -> dict[str, float]:
    writes, meets = w_v @ w_o, w_k @ w_q.T
    product = (writes @ meets).norm()

    def top(matrix: Tensor) -> Tensor:
        return torch.linalg.matrix_norm(matrix, 2)

    return {
        "That is Q-composition: the earlier head's output meets the later head's queries. Here it feeds its "
        "keys.": _composition(w_v, w_o, w_k, w_q),
        "Your product has the order turned round: it asks what the later head does before the earlier one. Rows come "
        "in from the left: W_V W_O first.": ((meets @ writes).norm() / (writes.norm() * meets.norm())).item(),
        "You transposed what the earlier head writes. Rows come in from the left: x W_V W_O W_K W_Qᵀ.": (
            (writes.T @ meets).norm() / (writes.norm() * meets.norm())
        ).item(),
        "You did not divide by the norms, so large weights look like composition.": product.item(),
        "You divided by the squared norms: that is the square of the score or a mixture with it.": (
            product**2 / (writes.norm() * meets.norm()) ** 2
        ).item(),
        "Those are spectral norms (the largest singular value). Use the Frobenius norm, which counts every "
        "direction.": (top(writes @ meets) / (top(writes) * top(meets))).item(),
        "You left out W_Q. The keys matter as far as queries meet them: W_K W_Qᵀ.": (
            (writes @ w_k).norm() / (writes.norm() * w_k.norm())
        ).item(),
    }


@exercise(
    "induction_heads.smear_keys",
    title="A head start for one layer",
    points=1,
    minutes=10,
    difficulty=1,
    hints=[
        "Every key becomes a blend of itself and the key before it. Which key has none before it, and what should "
        "happen to that one?",
        "share = alpha.sigmoid() has one number per head: give it the shape [head 1] so that it meets [batch position "
        "head d_head]. Work on a clone.",
        "out = keys.clone(); share = alpha.sigmoid()[:, None]; out[:, 1:] = share * keys[:, 1:] + (1 - share) * "
        "keys[:, :-1]; return out",
    ],
)
def check_smear_keys(student: Student) -> None:
    generator = fresh()
    for batch, length, head, d_head in ((2, 7, 3, 5), (3, 1, 4, 2)):
        keys = torch.randn(batch, length, head, d_head, generator=generator)
        alpha = 0.5 + torch.randn(head, generator=generator)
        got = student(keys, alpha)
        expect_shape(got, (batch, length, head, d_head), "the smeared keys")
        share = alpha.sigmoid()[:, None]
        want = _smeared(keys, share)
        rolled = share * keys + (1 - share) * keys.roll(1, dims=1)
        ahead = keys.clone()
        ahead[:, :-1] = share * keys[:, :-1] + (1 - share) * keys[:, 1:]
        faded = torch.cat([share * keys[:, :1], want[:, 1:]], dim=1)
        running = want.clone()
        for position in range(1, length):
            running[:, position] = share * keys[:, position] + (1 - share) * running[:, position - 1]
        expect_close(
            got,
            want,
            mistakes={
                "The blend is turned round: σ(α) is the share of the position's own key.": _smeared(keys, 1 - share),
                "The first key has none before it; torch.roll gave it the last one, from the future. Leave it as it "
                "is.": rolled,
                "You blended with the next key, which looks into the future. Take the one before.": ahead,
                "You faded the first key. It has no predecessor: leave it as it is.": faded,
                "You used α itself as the share. It is any real number; its sigmoid lies between 0 and 1.": _smeared(
                    keys, alpha[:, None]
                ),
                "Each key mixes with the key before it as it was, not with the already smeared one.": running,
                "You smeared across heads. The axes are [batch position head d_head]: shift axis 1.": share * keys
                + (1 - share) * keys.roll(1, dims=2),
            }
            if length > 1
            else {},
            otherwise="The keys differ: σ(α) k[j] + (1 − σ(α)) k[j − 1] for j ≥ 1, and k[0] unchanged.",
        )


def _smeared(keys: Tensor, share: Tensor) -> Tensor:
    out = keys.clone()
    out[:, 1:] = share * keys[:, 1:] + (1 - share) * keys[:, :-1]
    return out
