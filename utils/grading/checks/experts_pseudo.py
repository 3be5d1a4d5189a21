"""Checks of the chapter on experts: experts cut out of a network that has none."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import gelu, one_hot

from utils.grading import exercise, expect_close, expect_equal, expect_shape, fail
from utils.grading.checks.experts import top
from utils.grading.checks.superposition import Student, expect_parts, fresh


@exercise(
    "experts.pseudo_experts",
    title="Experts out of nothing",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "The output of an MLP is a sum over its hidden units, and a sum can be split into groups. The GELU acts on "
        "each unit alone, so it does not mind.",
        "A mask [group unit] from group; the hidden layer times the mask, then W_out. b_out belongs to no unit: give "
        "each group the same part of it. For the choices take norms before b_out is added.",
        'mask = (group == torch.arange(n_groups)[:, None]).float(); hidden = gelu(x @ W_in + b_in); wrote = einsum("t '
        'h, g h, h d -> g t d", hidden, mask, W_out); chosen = wrote.norm(dim=-1).T.topk(choices).indices; return '
        "wrote + b_out / n_groups, chosen",
    ],
)
def check_pseudo_experts(student: Student) -> None:
    g = fresh()
    tokens, d_model, units, n_groups, choices = 6, 5, 13, 4, 2
    while True:
        x = torch.randn(tokens, d_model, generator=g)
        W_in, b_in = torch.randn(d_model, units, generator=g), 0.7 * torch.randn(units, generator=g)
        W_out, b_out = torch.randn(units, d_model, generator=g), 2 * torch.randn(d_model, generator=g)
        sizes = torch.tensor([1, 3, 4, 5])[torch.randperm(n_groups, generator=g)]
        group = torch.repeat_interleave(torch.arange(n_groups), sizes)[torch.randperm(units, generator=g)]
        outputs, orders = _answers(x, W_in, b_in, W_out, b_out, group, choices)
        if len({str(order.tolist()) for order in orders.values()}) == len(orders):
            break
    got = student(x, W_in, b_in, W_out, b_out, group, n_groups, choices)
    expect_parts(got, 2, "Return two tensors, (outputs, chosen).")
    written, chosen = got
    expect_shape(written, (n_groups, tokens, d_model), "outputs")
    expect_shape(chosen, (tokens, choices), "chosen")
    dense = gelu(x @ W_in + b_in) @ W_out + b_out
    right = outputs.pop("")
    for said, wrong in outputs.items():
        if _close(written, wrong):
            fail(said)
    if not _close(written.sum(0), dense):
        fail("The groups' outputs do not add up to the MLP's output. They have to, or nothing was cut but invented.")
    expect_close(
        written,
        right,
        otherwise="outputs differ: each group's units times their rows of W_out, plus an equal part of b_out.",
        what="outputs",
    )
    wanted = orders.pop("")
    expect_equal(
        chosen,
        wanted,
        mistakes=orders,
        otherwise="chosen differs: the groups whose units write the longest vectors, the longest first.",
        what="chosen",
    )


def _close(a: Tensor, b: Tensor) -> bool:
    return bool(torch.isclose(a.double(), b.double(), rtol=1e-4, atol=1e-5).all())


def _answers(
    x: Tensor, W_in: Tensor, b_in: Tensor, W_out: Tensor, b_out: Tensor, group: Tensor, choices: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Mistake → the outputs that it would give, and mistake → the choices; the right ones under no mistake."""
    n = int(group.max()) + 1
    mask = one_hot(group, n).float()  # [unit group]
    pre = x @ W_in + b_in
    hidden = gelu(pre)

    def wrote(units: Tensor, members: Tensor = mask) -> Tensor:
        return torch.einsum("th,hg,hd->gtd", units, members, W_out)

    right, part = wrote(hidden), b_out / n
    blocks = one_hot(group.sort().values, n).float()
    equal = one_hot((torch.arange(len(group)) * n).div(len(group), rounding_mode="floor"), n).float()
    turns = one_hot(torch.arange(len(group)) % n, n).float()
    outputs = {
        "": right + part,
        "b_out was added in every group, so the sum has it several times over.": right + b_out,
        "b_out is missing: the sum is not the MLP's output. Give each group an equal part of it.": right,
        "b_out went to the first group alone. Give each group an equal part of it.": right
        + torch.cat([b_out[None, None], torch.zeros(n - 1, 1, len(b_out))]),
        "b_in is missing.": wrote(gelu(x @ W_in)) + part,
        "The GELU came after the groups' outputs. It acts on hidden units.": gelu(wrote(pre)) + part,
        "The GELU is missing.": wrote(pre) + part,
        "The GELU is a ReLU in yours.": wrote(pre.relu()) + part,
        "You cut the units into blocks of neighbours. group says where each unit belongs.": wrote(hidden, blocks)
        + part,
        "You cut the units into equal blocks of neighbours. group says where each unit belongs.": wrote(hidden, equal)
        + part,
        "You dealt the units out in turn. group says where each unit belongs.": wrote(hidden, turns) + part,
        "Each output was divided by the number of the group's units. A group writes the sum over its units.": right
        / mask.sum(0)[:, None, None]
        + part,
        "b_out was split by the number of units. Give each group an equal part of it.": right
        + b_out * (mask.sum(0) / len(group))[:, None, None],
    }

    def order(scores: Tensor) -> Tensor:
        return top(scores, choices)

    lengths = right.norm(dim=-1).T
    return outputs, {
        "": order(lengths),
        "You compared lengths with b_out in them, which is the same in every group and says nothing about its units.": (
            order((right + part).norm(dim=-1).T)
        ),
        "You chose the groups that write least.": order(-lengths),
        "The last choice comes first: turn the order round.": order(lengths).flip(-1),
        "You chose by how active the units are. What they write also depends on W_out.": order(
            (hidden.abs() @ mask) + 1e-6
        ),
        "You chose by the length of the hidden units. What they write also depends on W_out.": order(
            (hidden**2 @ mask).sqrt()
        ),
        "You chose by the sum over the output's coordinates, which have both signs. Take the length.": order(
            right.sum(-1).T
        ),
        "You divided by the size of the group. The length of what the whole group writes is asked for.": order(
            lengths / mask.sum(0)
        ),
        "The same groups were chosen for all tokens. Each token has choices of its own.": order(lengths.mean(0)).expand(
            len(x), choices
        ),
    }
