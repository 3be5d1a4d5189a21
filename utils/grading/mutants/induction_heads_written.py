"""Answers to the hour-long exercise: induction heads written in different ways, and the places to go wrong."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from utils.grading.mutants import Answers, Mutant


def _zeros(d_vocab: int, n_ctx: int, d_model: int, d_head: int) -> dict[str, Tensor]:
    per_layer = {name: torch.zeros(2, d_model, d_head) for name in ("W_Q", "W_K", "W_V")}
    return {
        "W_E": torch.zeros(d_vocab, d_model),
        "W_pos": torch.zeros(n_ctx, d_model),
        **per_layer,
        "W_O": torch.zeros(2, d_head, d_model),
        "W_U": torch.zeros(d_model, d_vocab),
    }


def _built(
    d_vocab: int,
    n_ctx: int,
    sharpness: float = 20.0,
    bonus: float = 0.5,
    shift: int = 1,
    key_reads: str = "before",
    written: str = "before",
    value_reads: str = "token",
    unembed_reads: str = "out",
    scaled: bool = True,
    bos_votes: bool = True,
) -> dict[str, Tensor]:
    """The textbook circuit; each keyword is a place to go wrong."""
    block = {"token": 0, "place": d_vocab, "before": d_vocab + n_ctx, "out": 2 * d_vocab + n_ctx}
    d_head = max(n_ctx, d_vocab + 1)
    w = _zeros(d_vocab, n_ctx, 3 * d_vocab + n_ctx, d_head)
    v, n = torch.arange(d_vocab), torch.arange(n_ctx)
    beta = sharpness * (math.sqrt(d_head) if scaled else 1.0)
    w["W_E"][v, v] = 1
    w["W_pos"][n, block["place"] + n] = 1
    w["W_Q"][0, block["place"] + n, n] = beta
    answers = n + shift
    kept = (answers >= 0) & (answers < n_ctx)
    w["W_K"][0, block["place"] + n[kept], answers[kept]] = 1
    w["W_V"][0, v, v] = 1
    w["W_O"][0, v, block[written] + v] = 1
    w["W_Q"][1, v, v] = beta
    w["W_Q"][1, v, d_vocab] = beta
    w["W_K"][1, block[key_reads] + v, v] = 1
    w["W_K"][1, 0, d_vocab] = bonus
    w["W_V"][1, block[value_reads] + v, v] = 1
    w["W_O"][1, v, block["out"] + v] = 1
    w["W_U"][block[unembed_reads] + v, v] = 1
    if not bos_votes:
        w["W_V"][1, block[value_reads]] = 0  # as in the chapter, where resting means saying nothing
    return w


def build_four_blocks(d_vocab, n_ctx):
    return _built(d_vocab, n_ctx)


def build_on_circle(d_vocab, n_ctx):
    """Positions on circles of every frequency; one step back is a rotation, done by the keys of layer 0."""
    angle = 2 * math.pi * torch.arange(n_ctx // 2 + 1) / (n_ctx + 1)
    waves = len(angle)
    place, before, out = d_vocab, d_vocab + 2 * waves, 2 * d_vocab + 2 * waves
    d_head = max(2 * waves, d_vocab + 1)
    w = _zeros(d_vocab, n_ctx, 3 * d_vocab + 2 * waves, d_head)
    v, n, f = torch.arange(d_vocab), torch.arange(n_ctx), torch.arange(waves)
    beta = 30 * math.sqrt(d_head)
    w["W_E"][v, v] = 1
    w["W_pos"][:, place : place + waves] = torch.cos(n[:, None] * angle)
    w["W_pos"][:, place + waves : before] = torch.sin(n[:, None] * angle)
    for first in (f, waves + f):
        w["W_Q"][0, place + first, first] = beta
    w["W_K"][0, place + f, f] = torch.cos(angle)
    w["W_K"][0, place + waves + f, f] = -torch.sin(angle)
    w["W_K"][0, place + f, waves + f] = torch.sin(angle)
    w["W_K"][0, place + waves + f, waves + f] = torch.cos(angle)
    w["W_V"][0, v, v] = w["W_O"][0, v, before + v] = 1
    w["W_Q"][1, v, v] = w["W_Q"][1, v, d_vocab] = 20 * math.sqrt(d_head)
    w["W_K"][1, before + v, v] = 1
    w["W_K"][1, 0, d_vocab] = 0.5
    w["W_V"][1, v, v] = w["W_O"][1, v, out + v] = 1
    w["W_U"][out + v, v] = 1
    return w


def build_in_three_blocks(d_vocab, n_ctx):
    """No block for the output: layer 1 shouts over the previous token where that stands."""
    place, before = d_vocab, d_vocab + n_ctx
    d_head = max(n_ctx, d_vocab) + 1
    w = _zeros(d_vocab, n_ctx, 2 * d_vocab + n_ctx, d_head)
    eye = torch.eye(d_vocab)
    beta = 25 * math.sqrt(d_head)
    w["W_E"][:, :d_vocab] = eye
    w["W_pos"][:, place:before] = torch.eye(n_ctx)
    w["W_Q"][0, place + 1 : before, : n_ctx - 1] = beta * torch.eye(n_ctx - 1)
    w["W_K"][0, place:before, :n_ctx] = torch.eye(n_ctx)
    w["W_V"][:, :d_vocab, :d_vocab] = eye
    w["W_O"][0, :d_vocab, before:] = eye
    w["W_O"][1, :d_vocab, before:] = 50 * eye
    w["W_Q"][1, :d_vocab, :d_vocab] = beta * eye
    w["W_Q"][1, :d_vocab, -1] = beta
    w["W_K"][1, before:, :d_vocab] = eye
    w["W_K"][1, place, -1] = 0.5  # the bonus sits on position 0 rather than on BOS
    w["W_U"][before:] = eye
    return w


def _spoiled(**changes: Any):
    def answer(d_vocab, n_ctx):
        return _built(d_vocab, n_ctx, **changes)

    return answer


def build_for_24(d_vocab, n_ctx):
    return _built(d_vocab, 24)


def build_without_unembedding(d_vocab, n_ctx):
    return {name: weight for name, weight in _built(d_vocab, n_ctx).items() if name != "W_U"}


ANSWERS = {
    "induction_heads.build_induction_head": Answers(
        alternatives=[build_four_blocks, build_on_circle, build_in_three_blocks],
        mutants=[
            Mutant(_spoiled(shift=0), "looks at its own position"),
            Mutant(_spoiled(shift=2), "two positions back"),
            Mutant(_spoiled(shift=-1), "causal mask hides"),
            Mutant(_spoiled(scaled=False), "divided by the root of d_head"),
            Mutant(_spoiled(sharpness=2.0), "divided by the root of d_head"),
            Mutant(_spoiled(key_reads="token"), "copies of its own token"),
            Mutant(_spoiled(written="token"), "must read what layer 0 wrote"),
            Mutant(_spoiled(written="token", key_reads="token"), "coordinates which nothing"),
            Mutant(_spoiled(bonus=0.0), "rest at BOS"),
            Mutant(_spoiled(bonus=1.5), "a match must outweigh the bonus"),
            Mutant(_spoiled(value_reads="before"), "its value should carry"),
            Mutant(_spoiled(unembed_reads="token"), "the token it stands on"),
            Mutant(_spoiled(bos_votes=False), "let the value at BOS vote"),
            Mutant(build_for_24, "should have shape"),
            Mutant(build_without_unembedding, "Return a dict"),
        ],
    ),
}
