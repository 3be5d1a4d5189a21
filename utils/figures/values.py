"""Numbers on their way into a figure: tensors to arrays, arrays to short JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

SIGNIFICANT = 4  # digits kept in a figure: finer than a screen shows


def to_array(values: Any, what: str, ndim: int | None = None) -> np.ndarray:
    """`values` (tensor, array or nested list) as a float64 array; booleans become 0 and 1.

    Raises:
        ValueError: if the values are not numbers in a rectangle, or do not have `ndim` axes.
    """
    if hasattr(values, "detach"):  # a torch tensor, of any dtype and on any device
        values = values.detach().cpu().double().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be numbers in a regular shape, such as a tensor or a list of numbers.") from None
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{what} must have {ndim} {'axis' if ndim == 1 else 'axes'}, not shape {tuple(array.shape)}.")
    return array


def same_length(got: int, want: int, what: str, other: str) -> None:
    """Raise a ValueError that names both lengths unless they agree."""
    if got != want:
        raise ValueError(f"{what} has {got} entries, but {other} has {want}: give one for each.")


def is_text(values: Sequence[Any]) -> bool:
    """Whether an axis is labelled with words rather than numbers."""
    return not hasattr(values, "detach") and any(isinstance(value, str) for value in values)


def short(value: float, digits: int = SIGNIFICANT) -> float | int | None:
    """`value` to a few significant digits, as an integer where it is one; None where it is not finite."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded


def rounded(values: np.ndarray, digits: int = SIGNIFICANT) -> list[Any]:
    """A nested list of `short` numbers."""
    if values.ndim > 1:
        return [rounded(row, digits) for row in values]
    return [short(float(value), digits) for value in values]


def to_json(content: Any) -> str:
    """Compact JSON, the same bytes for the same content, that cannot end the script element it stands in."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
