"""Handwritten digits, and the same digits in colour: a task in which shape and colour both tell something."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

SAMPLE = Path(__file__).parent / "samples" / "digits.csv.gz"
INK = 16  # a fully black pixel in the file
COLOURS = {"red": (1.0, 0.2, 0.2), "yellow": (0.8, 0.7, 0.1), "green": (0.2, 0.8, 0.2), "blue": (0.2, 0.3, 1.0),
           "purple": (0.8, 0.2, 0.9)}  # fmt: skip
CLASSES = 10


class Digits(NamedTuple):
    """Images of 8 × 8 pixels, 0 for paper and 1 for ink, and the digit each one shows."""

    images: Float[Tensor, "image row column"]
    digit: Int[Tensor, " image"]


class ColouredDigits(NamedTuple):
    """Digits in coloured ink on black paper; `colour` is an index into `COLOURS`."""

    images: Float[Tensor, "image channel row column"]
    digit: Int[Tensor, " image"]
    colour: Int[Tensor, " image"]


def handwritten_digits() -> Digits:
    """The 1,797 digits that come with scikit-learn, written by 13 people (Alpaydin and Kaynak 1998), as they are."""
    rows = torch.from_numpy(np.loadtxt(SAMPLE, delimiter=","))
    return Digits((rows[:, :-1] / INK).float().unflatten(1, (8, 8)), rows[:, -1].long())


def coloured_digits(digits: Digits, telling: float, generator: torch.Generator) -> ColouredDigits:
    """Gives every digit a colour, which tells something about it: 0 and 1 are mostly red, 2 and 3 yellow, and so on.

    Args:
        telling: the share of the images with the colour of their pair of digits; the others have any of the five.
    """
    own = digits.digit // 2
    anything = torch.randint(len(COLOURS), own.shape, generator=generator)
    colour = torch.where(torch.rand(own.shape, generator=generator) < telling, own, anything)
    return ColouredDigits(in_colour(digits.images, colour), digits.digit, colour)


def in_colour(
    images: Float[Tensor, "image row column"], colour: Int[Tensor, " image"]
) -> Float[Tensor, "image channel row column"]:
    """Images in red, green and blue, their ink in the colours given."""
    return torch.tensor(list(COLOURS.values()))[colour][:, :, None, None] * images[:, None]
