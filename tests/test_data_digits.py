"""Digits, plain and coloured: all there, readable as digits, and with as much in their colours as was asked for."""

from __future__ import annotations

import hashlib

import pytest
import torch

from utils.data import digits


def test_the_file_is_the_one_of_the_package() -> None:
    """scikit-learn 1.7.2, `sklearn/datasets/data/digits.csv.gz`."""
    found = hashlib.sha256(digits.SAMPLE.read_bytes()).hexdigest()
    assert found == "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


def test_digits_look_like_their_digits() -> None:
    found = digits.handwritten_digits()
    assert found.images.shape == (1797, 8, 8) and found.images.min() == 0 and found.images.max() == 1
    assert torch.bincount(found.digit).min() > 170 and len(found.digit.unique()) == digits.CLASSES
    rest, test = slice(0, 1400), slice(1400, None)
    means = torch.stack([found.images[rest][found.digit[rest] == digit].mean(0) for digit in range(10)])
    nearest = torch.cdist(found.images[test].flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == found.digit[test]).float().mean() > 0.8  # chance is 0.1; neighbours of the mean do better
    zero = means[0]
    assert zero[3:5, 3:5].mean() < 0.3 < zero[3:5].max()  # a ring: paper in the middle, ink around it


def test_colours_tell_as_much_as_was_asked() -> None:
    plain, dice = digits.handwritten_digits(), torch.Generator().manual_seed(0)
    always = digits.coloured_digits(plain, 1.0, dice)
    assert torch.equal(always.colour, plain.digit // 2)
    mostly = digits.coloured_digits(plain, 0.5, dice)
    assert (mostly.colour == plain.digit // 2).float().mean() == pytest.approx(0.5 + 0.5 / 5, abs=0.04)


def test_ink_is_coloured_and_paper_is_not() -> None:
    image = torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
    red = digits.in_colour(image, torch.tensor([0]))
    assert red.shape == (1, 3, 2, 2) and (red[:, :, 0, 0] == 0).all()
    assert torch.allclose(red[0, :, 0, 1], torch.tensor([1.0, 0.2, 0.2])) and torch.allclose(
        red[0, :, 1, 0], torch.tensor([0.5, 0.1, 0.1])
    )
