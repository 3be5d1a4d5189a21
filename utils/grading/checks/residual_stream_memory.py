"""Checks of the chapter on the residual stream: memory, subspaces, cost and paths."""

from __future__ import annotations

import math
import secrets
from typing import Any

import torch
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape, fail
from utils.grading.checks.residual_stream import Student, fresh, normal


@exercise(
    "residual_stream.memory_share",
    title="How a memory fades",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "You need every intermediate stream, and a running sum gives them all at once. Then every pair of a write and "
        "a time gets one dot product.",
        "With s[t] the sum of the writes 0 to t, the share is (w[i] · s[t]) / (s[t] · s[t]). Writes that come after "
        "time t have no share yet: set those to 0.",
        'streams = writes.cumsum(0); dots = einsum(writes, streams, "write b m, time b m -> write time b"); share = '
        "dots / streams.pow(2).sum(-1); then zero where write > time, with torch.ones(n, n).triu()[..., None].",
    ],
)
def check_memory_share(student: Student) -> None:
    g = fresh()
    writes = normal(4, 3, 6, generator=g) + 0.6
    got = student(writes)
    expect_shape(got, (4, 4, 3), "the shares")
    streams = writes.cumsum(0)
    dots = torch.einsum("ibm,tbm->itb", writes, streams)
    squared = streams.pow(2).sum(-1)
    so_far = torch.ones(4, 4).triu()[..., None]
    want = dots / squared * so_far
    lengths = writes.norm(dim=-1)
    final = torch.einsum("ibm,bm->ib", writes, streams[-1]) / squared[-1]
    expect_close(
        got,
        want,
        mistakes={
            "A write has no share before it is written: set the entries with write > time to 0.": dots / squared,
            "The axes are [write time batch]; yours are [time write batch].": want.transpose(0, 1),
            "You compared lengths, ‖write‖ / ‖stream‖. Writes may cancel, so lengths do not add up to 1; project the "
            "write on the stream.": lengths[:, None] / streams.norm(dim=-1) * so_far,
            "You compared squared lengths. Those ignore the cross terms and do not add up to 1; project the write on "
            "the stream.": lengths.pow(2)[:, None] / squared * so_far,
            "You divided the dot product by the stream's length once. Divide by its square: once for the projection, "
            "once for the share.": dots / streams.norm(dim=-1) * so_far,
            "Those are cosines between write and stream. A share also counts how long the write is.": dots
            / streams.norm(dim=-1)
            / lengths[:, None]
            * so_far,
            "You used the final stream at every time. At time t the stream holds only the writes 0 to t.": final[
                :, None
            ]
            * so_far,
            "You divided each write's length by the sum of lengths so far; that ignores directions.": lengths[:, None]
            / lengths.cumsum(0)
            * so_far,
            "You divided by the write's own squared length. A share is a fraction of the "
            "stream: divide by the stream's.": dots / lengths.pow(2)[:, None] * so_far,
        },
        otherwise="The shares differ. At every time they must add up to 1 over the writes so far.",
    )


@exercise(
    "residual_stream.principal_cosines",
    title="Do two heads talk?",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "The columns are only one way to describe a subspace: stretched or mixed columns span the same one. Replace "
        "them by columns of length 1 at right angles before you compare.",
        "torch.linalg.qr gives orthonormal columns. All cosines between the two bases form an [r s] matrix, and its "
        "singular values are the cosines of the principal angles.",
        "a = torch.linalg.qr(write).Q; b = torch.linalg.qr(read).Q; return torch.linalg.svdvals(a.T @ b)",
    ],
)
def check_principal_cosines(student: Student) -> None:
    g = fresh()
    a, b = 3 * normal(9, 2, generator=g), normal(9, 4, generator=g) * (1 + torch.arange(4))
    got = student(a, b)
    if isinstance(got, Tensor) and got.ndim == 0:
        fail("Return all cosines, one per principal angle, not their mean.")
    expect_shape(got, (2,), "the cosines, one for each dimension of the smaller subspace,")
    basis_a, basis_b = torch.linalg.qr(a).Q, torch.linalg.qr(b).Q
    want = torch.linalg.svdvals(basis_a.T @ basis_b)
    of_unit_columns = torch.linalg.svdvals((a / a.norm(dim=0)).T @ (b / b.norm(dim=0)))
    expect_close(
        got,
        want,
        mistakes={
            "The columns were compared as they come, so their lengths and mutual angles count. Orthonormalise both "
            "first (QR).": torch.linalg.svdvals(a.T @ b),
            "Columns of length 1 are not enough; they must be at right angles to one another (QR).": of_unit_columns,
            "Those are squared cosines.": want.pow(2),
            "Those are the angles; return their cosines.": want.clamp(max=1).arccos(),
            "The largest cosine comes first.": want.flip(0),
            "You divided by Frobenius norms, as a composition score does; that still depends on the "
            "columns.": torch.linalg.svdvals(a.T @ b) / a.norm() / b.norm(),
            "Only one side was orthonormalised.": torch.linalg.svdvals(basis_a.T @ b),
        },
        otherwise="The cosines differ: singular values of Q_writeᵀ Q_read, with both Q orthonormal.",
        rtol=1e-3,
        atol=1e-4,
    )
    axes = torch.eye(5)
    expect_close(
        student(axes[:, :2], 4 * axes[:, 1:4]),
        torch.tensor([1.0, 0.0]),
        otherwise="Two planes that share one axis have the cosines 1 and 0, whatever the columns' lengths.",
        atol=1e-4,
    )


@exercise(
    "residual_stream.crossover_length",
    title="When is attention the expensive part?",
    points=2,
    minutes=10,
    difficulty=1,
    hints=[
        "Count multiplications for one token. Every multiply costs the same on both sides, so you can forget the "
        "additions.",
        "Scores: n keys · n_heads · d_head. Mixing values: the same again. MLP: d_model · d_mlp, two times, or three "
        "with a gate. With a causal mask a token sees n/2 keys on average.",
        "matrices = 3 if gated else 2; seen = 0.5 if causal else 1; return matrices * d_model * d_mlp / (2 * n_heads "
        "* d_head * seen)",
    ],
)
def check_crossover_length(student: Student) -> None:
    # The plain case first: what is wrong after it can only come from the mask or the gate.
    for gated, causal in ((False, False), (False, True), (True, False), (True, True)):
        n_heads, d_head = 3 + secrets.randbelow(8), 17 + secrets.randbelow(30)
        # Wider than the heads together, and an odd d_mlp, so that no two mistakes can give the same number.
        d_model, d_mlp = n_heads * d_head + 7 + secrets.randbelow(20), 701 + 2 * secrets.randbelow(450)
        want = (3 if gated else 2) * d_model * d_mlp / (2 * n_heads * d_head * (0.5 if causal else 1))
        plain = {
            "That is where scores alone equal the MLP. Mixing the values costs as much again.": 2 * want,
            "That counts one matrix in the MLP. It goes up to d_mlp and comes back down: two.": want / 2,
            "Without a gate the MLP has two matrices.": 1.5 * want,
            "Scores and values run over n_heads · d_head numbers, which need not equal d_model.": d_mlp,
            "Every head has scores of its own: the n_heads is missing.": want * n_heads,
            "Each head works on d_head numbers: the d_head is missing.": want * d_head,
            "That is the other way round, MLP below attention.": 1 / want,
            "4 · d_model is a rule of thumb for an MLP of width 4 · d_model. Here d_mlp is given: set the two costs "
            "equal.": 4 * d_model,
        }
        masked = {
            "With a causal mask a token sees n/2 keys on average; yours ignores that.": want / 2,
            "A causal mask halves the work of attention, so the crossover comes later, not earlier.": want / 4,
        }
        mistakes: dict[str, Any] = plain if not (gated or causal) else masked if causal else {}
        if gated:
            mistakes["With a gate the MLP has three matrices."] = want * 2 / 3
        expect_close(
            student(d_model, d_mlp, n_heads, d_head, gated, causal),
            want,
            mistakes=mistakes,
            otherwise="The length differs. Set 2 · n · n_heads · d_head (n/2 with a mask) equal to the MLP's "
            "multiplications and solve for n.",
            what="the crossover length",
        )


@exercise(
    "residual_stream.count_paths",
    title="How many ways through?",
    points=1,
    minutes=10,
    difficulty=1,
    hints=[
        "In every layer a path either takes one of the heads or takes none and stays in the stream. Which layers it "
        "uses is one choice, which head in each is another.",
        "A path with k heads: choose k of the layers, then one head in each of them, n_heads^k ways. k runs from 0 to "
        "n_layers.",
        "return [math.comb(n_layers, k) * n_heads**k for k in range(n_layers + 1)]",
    ],
)
def check_count_paths(student: Student) -> None:
    for n_layers, n_heads in ((2 + secrets.randbelow(3), 3 + secrets.randbelow(5)), (30, 9), (1, 2), (0, 4)):
        got = student(n_layers, n_heads)
        lengths = range(n_layers + 1)
        want = [math.comb(n_layers, k) * n_heads**k for k in lengths]
        if isinstance(got, Tensor):
            fail("Return a list of whole numbers: the counts soon grow beyond what a tensor can hold exactly.")
        if isinstance(got, int) and not isinstance(got, bool):
            fail("Return a list: how many paths pass through 0 heads, through 1, and so on.")
        if isinstance(got, (list, tuple)) and any(isinstance(count, float) for count in got):
            fail("Counts are whole numbers; with floats the large ones are rounded.")
        if not isinstance(got, (list, tuple)):
            fail(f"Return a list of whole numbers, one for each length from 0 to {n_layers}.")
        if list(got) == want:  # not through a tensor: 64 bits do not hold these counts
            continue
        mistakes = {
            "The path through no head at all is missing: the embedding reaches the logits directly.": want[1:],
            "You let a path pass through two heads of one layer. They work side by side: at most one per layer.": [
                math.comb(n_layers * n_heads, k) for k in lengths
            ],
            "You chose the heads and not the layers they stand in: multiply by the number of ways to choose k of "
            "the layers.": [n_heads**k for k in lengths],
            "You chose the layers and not the head in each of them: every chosen layer offers n_heads.": [
                math.comb(n_layers, k) for k in lengths
            ],
            "Heads in different layers can be chosen independently: n_heads^k ways, not n_heads · k.": [
                math.comb(n_layers, k) * max(1, n_heads * k) for k in lengths
            ],
            "Layers have a fixed order, so a choice of k layers counts once, not once per order.": [
                math.perm(n_layers, k) * n_heads**k for k in lengths
            ],
        }
        for sentence, wrong in mistakes.items():
            if list(got) == wrong:
                fail(sentence)
        fail(f"For {n_layers} layers of {n_heads} heads the counts differ; together they are (1 + n_heads)^n_layers.")
