"""A mean over items and how far it is to be trusted: 95 % intervals by resampling whole items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

RESAMPLES = 2000
TAIL = 0.025  # left out on each side

Values = Sequence[float] | Float[Tensor, " item"]


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval. `str` gives two decimals, `f"{estimate:.1f}"` one."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return format(self, ".2f")

    def __format__(self, spec: str) -> str:
        value, low, high = (format(round(x, 9) + 0.0, spec or ".2f") for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    def __rmul__(self, factor: float) -> Estimate:
        """In another unit: `100 * estimate` is in percent."""
        low, high = sorted((factor * self.low, factor * self.high))
        return Estimate(factor * self.value, low, high)

    def excludes(self, value: float) -> bool:
        """Whether a value lies outside the interval."""
        return not self.low <= value <= self.high

    def apart(self, other: Estimate) -> bool:
        """Whether two intervals have nothing in common, a stricter demand than a difference that excludes 0."""
        return self.high < other.low or other.high < self.low


def mean(values: Values, bounds: tuple[float, float] = (0.0, 1.0), seed: int = 0) -> Estimate:
    """The mean over items with a percentile bootstrap interval (Efron 1979), items drawn with replacement.

    Where all items have the same value, resampling would give an interval without width, as if ten noes in a row proved
    that a yes cannot be. The interval then reaches as far as the exact binomial one: a share `p` of items with other
    values is ruled out if seeing none of them has a chance `(1 - p) ** items` below 2.5 %.

    Args:
        values: one number per item, between `bounds`; yes is 1, no is 0.

    Raises:
        ValueError: without items, or if a value lies outside `bounds`.
    """
    x = torch.as_tensor(values, dtype=torch.float64).flatten()
    if not len(x):
        raise ValueError("There are no items to take a mean over: give at least one.")
    low, high = bounds
    if x.min() < low or x.max() > high:
        raise ValueError(f"A value lies outside the bounds {low:g} and {high:g}: pass bounds= that hold all values.")
    value = x.mean().item()
    if x.min() == x.max():
        unseen = 1 - TAIL ** (1 / len(x))
        return Estimate(value, value - unseen * (value - low), value + unseen * (high - value))
    drawn = torch.randint(len(x), (RESAMPLES, len(x)), generator=torch.Generator().manual_seed(seed))
    ends = x[drawn].mean(1).quantile(torch.tensor([TAIL, 1 - TAIL], dtype=torch.float64))
    return Estimate(value, ends[0].item(), ends[1].item())


def difference(after: Values, before: Values, bounds: tuple[float, float] = (-1.0, 1.0), seed: int = 0) -> Estimate:
    """The mean of `after - before` over the same items, which are resampled in pairs.

    Raises:
        ValueError: if the two do not have one value for each item.
    """
    x, y = (torch.as_tensor(values, dtype=torch.float64).flatten() for values in (after, before))
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values after and {len(y)} before: a paired difference needs both for every item.")
    return mean(x - y, bounds, seed)
