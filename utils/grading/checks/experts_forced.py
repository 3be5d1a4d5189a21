"""Checks of the chapter on experts: a route that is changed, and nothing else with it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from utils.grading import exercise, expect_close, expect_equal, expect_shape
from utils.grading.checks.experts import even, picked, top
from utils.grading.checks.othello import expect_heard
from utils.grading.checks.superposition import Student, expect_parts, fresh


@exercise(
    "experts.force_route",
    title="One seat at the table",
    points=2,
    minutes=20,
    difficulty=2,
    hints=[
        "A weight of 0 means: not chosen. So the last choice is the smallest weight that is not 0, and the tokens to "
        "be changed are those that are asked for and do not have the expert yet.",
        "Set zeros to infinity and take argmin. Then two writes into a copy, for the changed tokens only: the expert "
        "gets the weight of the last choice, and the last choice gets 0. No other number moves.",
        "changed = where & (weights[:, expert] == 0); last = weights.masked_fill(weights == 0, "
        "torch.inf).argmin(-1)[changed]; new = weights.clone(); rows = changed.nonzero()[:, 0]; new[rows, expert] = "
        "weights[rows, last]; new[rows, last] = 0; return new, changed",
    ],
)
def check_force_route(student: Student) -> None:
    g = fresh()
    weights, expert, where = _seats(g)
    got = student(weights, expert, where)
    expect_parts(got, 2, "Return two tensors, (new, changed).")
    new, changed = got
    expect_shape(new, weights.shape, "new")
    expect_shape(changed, where.shape, "changed")
    right, moved = _forced(weights, expert, where)
    arguments = {"weights": weights, "expert": expert, "where": where}
    expect_heard(student, got, arguments, "where", ~where)
    expect_heard(student, got, arguments, "expert", (expert + 1) % weights.shape[1])
    expect_close(
        new,
        right,
        mistakes=_mistaken(weights, expert, where, right, moved),
        otherwise="new differs: at the tokens asked for, the expert has the place and the weight of the last choice.",
        what="new",
    )
    expect_equal(
        changed.float(),
        moved.float(),
        mistakes={
            "changed says where a change was asked for. A token that had the expert already is not changed, and would "
            "water down whatever you measure.": where.float(),
            "changed is turned round.": (~moved).float(),
            "changed counts tokens at which nothing was asked for.": (weights[:, expert] == 0).float(),
            "changed says where the expert has a weight now. Some tokens had it before.": (
                right[:, expert] > 0
            ).float(),
        },
        otherwise="changed differs: True for every token whose weights are others than before.",
        what="changed",
    )


def _seats(g: torch.Generator) -> tuple[Float[Tensor, "token expert"], int, Bool[Tensor, "token"]]:
    """Weights of three choices of seven; the expert is the first, the last and no choice, asked for and not."""
    tokens, n_experts, choices = 12, 7, 3
    scores = torch.rand(tokens, n_experts, generator=g)
    expert = int(torch.randint(0, n_experts - 1, (), generator=g))
    scores[:, expert] = torch.tensor([2.0, -1.0, -1.0]).repeat(4)  # the first choice, or none
    scores[[1, 7], expert] = scores[[1, 7]].topk(choices).values[:, 1:].mean(-1)  # the last
    weights = picked(top(scores, choices), n_experts) * (0.15 + 0.3 * scores.clamp(max=1.2))
    where = torch.tensor([True] * 6 + [False] * 6)
    order = torch.randperm(tokens, generator=g)
    return weights[order], expert, where[order]


def _forced(weights: Tensor, expert: int, where: Tensor) -> tuple[Tensor, Tensor]:
    moved = where & (weights[:, expert] == 0)
    return _swap(weights, expert, moved, _last(weights)), moved


def _last(weights: Tensor) -> Tensor:
    return weights.masked_fill(weights == 0, torch.inf).argmin(-1)


def _swap(weights: Tensor, expert: int, rows: Tensor, out: Tensor) -> Tensor:
    """The expert takes the seat of `out` in these rows."""
    seats = torch.arange(weights.shape[1])
    given = weights.gather(-1, out[:, None])
    new = torch.where(seats == out[:, None], 0.0, weights)
    return torch.where(rows[:, None], torch.where(seats == expert, given, new), weights)


def _mistaken(weights: Tensor, expert: int, where: Tensor, right: Tensor, moved: Tensor) -> dict[str, Tensor]:
    seats = torch.arange(weights.shape[1])
    here = where[:, None] & (seats == expert)
    had = where & ~moved
    last = _last(weights)
    lowest = weights.masked_fill(weights == 0, torch.inf).amin(-1, keepdim=True)
    added = torch.where(moved[:, None] & (seats == expert), lowest, weights)
    emptied = torch.where(moved[:, None] & (seats == last[:, None]), 0.0, weights)
    ones = torch.where(moved[:, None] & (seats == expert), 1.0, emptied)
    twice = torch.where((seats == last[:, None]) & had[:, None], 0.0, right)
    return {
        "The weights were renormalised afterwards, and with that the others' changed.": even(right),
        "The weights of the changed tokens were renormalised afterwards, and with that the others' changed.": (
            torch.where(moved[:, None], even(right), right)
        ),
        "The expert was added, and nobody left: such a token now has one choice too many.": added,
        "The last choice lost its seat, and nobody took it.": emptied,
        "The expert got the weight 1. It gets the weight of the one whose place it takes, so that nothing else about "
        "the token changes.": ones,
        "The expert took the place of the first choice. Take that of the last, which has the smallest weight.": _swap(
            weights, expert, moved, weights.argmax(-1)
        ),
        "Every token was forced. where says which.": _swap(weights, expert, weights[:, expert] == 0, last),
        "where was turned round.": _swap(weights, expert, ~where & (weights[:, expert] == 0), last),
        "Tokens that had the expert already were changed too. They stay as they are.": _swap(
            weights, expert, where, last
        ),
        "At tokens that had the expert already, the last choice lost its seat. They stay as they are.": twice,
        "The expert is the token's only choice now. The others keep their places and weights.": torch.where(
            where[:, None], (seats == expert).float(), weights
        ),
        "Nothing has changed. If you looked for the smallest weight of all, it is 0 and belongs to an expert that was "
        "not chosen: look among the chosen.": weights,
        "The expert was given the first choice's weight. It gets the weight of the one whose place it takes.": (
            torch.where(here & moved[:, None], weights.amax(-1, keepdim=True), right)
        ),
    }
