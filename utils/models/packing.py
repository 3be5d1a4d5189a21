"""Weights in 8 bits: how models with experts, which have many, are kept.

Each row of a matrix becomes whole numbers from −127 to 127 and one scale, half the size of float16; what is read back
is off by at most half a step, 1/254 of the row's largest weight. Routers and norms, small and decisive, are
kept in float16.
"""

from __future__ import annotations

import torch
from torch import Tensor

SCALE = ".scale"  # follows the name of the matrix that the scales belong to
MOST = 127


def pack(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dictionary with its matrices in 8 bits, their scales beside them, and the rest in float16."""
    packed = {}
    for name, value in state.items():
        if value.ndim < 2 or name.endswith("gate.weight"):
            packed[name] = value.half()
            continue
        scale = (value.abs().amax(-1, keepdim=True) / MOST).half().clamp(min=torch.finfo(torch.float16).tiny)
        packed[name] = (value / scale.float()).round().clamp(-MOST, MOST).to(torch.int8)
        packed[name + SCALE] = scale
    return packed


def unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that `pack` kept, in float32; weights that are not packed are only converted."""
    return {
        name: value.float() * packed[name + SCALE].float() if name + SCALE in packed else value.float()
        for name, value in packed.items()
        if not name.endswith(SCALE)
    }
