"""What a check says about an answer: shapes first, then values, each failure one sentence for the student."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor


class WrongAnswer(Exception):
    """The student's function ran and its answer is wrong; the message is the sentence they read."""


def fail(message: str) -> NoReturn:
    """End the check: the answer is wrong, and `message` says why.

    Raises:
        WrongAnswer: always.
    """
    raise WrongAnswer(message)


def kind(value: object) -> str:
    """What `value` is, in a word or two: "a tensor", "a list", "nothing (None)"."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, Tensor):
        return "a tensor"
    if isinstance(value, bool):
        return "True or False"
    name = getattr(value, "foreign_type", type(value).__name__)
    known = {"int": "a whole number", "float": "a number", "str": "a string", "ndarray": "a NumPy array"}
    return known.get(name, ("an " if name[:1].lower() in "aeiou" else "a ") + name)


def expect_shape(got: Any, shape: Sequence[int], what: str = "the result") -> None:
    """Fail unless `got` is a tensor of this shape.

    Raises:
        WrongAnswer: with both shapes named, and a word when two axes look swapped.
    """
    if not isinstance(got, Tensor):
        fail(f"{_start(what)} should be a tensor of shape {_shape(shape)}; your function returned {kind(got)}.")
    if tuple(got.shape) != tuple(shape):
        swapped = sorted(got.shape) == sorted(shape)
        hint = " The sizes are right but in another order: look at which axis is which." if swapped else ""
        fail(f"{_start(what)} should have shape {_shape(shape)}; yours has {_shape(got.shape)}.{hint}")


def expect_close(
    got: Any,
    want: Any,
    *,
    mistakes: Mapping[str, Any] | None = None,
    otherwise: str = "",
    what: str = "the result",
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> None:
    """Fail unless `got` equals `want` within `atol + rtol * |want|`.

    Args:
        got: what the student's function returned.
        want: a tensor, a number, or a tuple, list or dict of these.
        mistakes: sentence → the value that this mistake would have given; the first that fits is said.
        otherwise: what to say when no known mistake fits; where the values part is added.
        what: the name of the value in those sentences.

    Raises:
        WrongAnswer: with the sentence.
    """
    symptom = _difference(got, want, what, rtol, atol)
    if symptom is None:
        return
    for sentence, wrong in (mistakes or {}).items():
        if _difference(got, wrong, what, rtol, atol) is None:
            fail(sentence)
    fail(f"{otherwise} {symptom}".strip())


def expect_equal(
    got: Any, want: Any, *, mistakes: Mapping[str, Any] | None = None, otherwise: str = "", what: str = "the result"
) -> None:
    """Fail unless `got` is exactly `want` (strings, whole numbers, tensors of whole numbers, nests of these).

    The arguments are those of `expect_close`.

    Raises:
        WrongAnswer: with the sentence.
    """
    expect_close(got, want, mistakes=mistakes, otherwise=otherwise, what=what, rtol=0.0, atol=0.0)


def _start(what: str) -> str:
    return what[:1].upper() + what[1:]


def _shape(shape: Sequence[int]) -> str:
    return "[" + ", ".join(str(int(size)) for size in shape) + "]"


def _difference(got: Any, want: Any, what: str, rtol: float, atol: float) -> str | None:
    """A sentence on how `got` differs from `want`, or None when it does not."""
    if isinstance(want, (str, bool)) or want is None:
        same = type(got) is type(want) and got == want
        if not same and isinstance(want, bool) and isinstance(got, Tensor) and got.dtype == torch.bool:
            same = got.numel() == 1 and bool(got) == want
        return None if same else f"{_start(what)} should be {want!r}; yours is {_brief(got)}."
    if isinstance(want, Mapping):
        return _mapping_difference(got, want, what, rtol, atol)
    if isinstance(want, (tuple, list)):
        if not isinstance(got, (tuple, list)):
            return f"{_start(what)} should be {kind(want)} of {len(want)}; yours is {kind(got)}."
        if len(got) != len(want):
            return f"{_start(what)} should have {len(want)} parts; yours has {len(got)}."
        pairs = enumerate(zip(got, want, strict=True))
        parts = (_difference(a, b, f"part {i} of {what}", rtol, atol) for i, (a, b) in pairs)
        return next((part for part in parts if part), None)
    return _number_difference(got, want, what, rtol, atol)


def _mapping_difference(got: Any, want: Mapping[Any, Any], what: str, rtol: float, atol: float) -> str | None:
    if not isinstance(got, Mapping):
        return f"{_start(what)} should be a dict; yours is {kind(got)}."
    if set(got) != set(want):
        keys = sorted(map(str, want))
        return f"{_start(what)} should have the keys {', '.join(keys)}; yours has {', '.join(sorted(map(str, got)))}."
    parts = (_difference(got[key], want[key], f"{what}[{key!r}]", rtol, atol) for key in want)
    return next((part for part in parts if part), None)


def _number_difference(got: Any, want: Any, what: str, rtol: float, atol: float) -> str | None:
    """The case of tensors and numbers: shape, then NaN, then values."""
    if isinstance(want, Tensor) and want.ndim > 0 and not isinstance(got, Tensor):
        return f"{_start(what)} should be a tensor of shape {_shape(want.shape)}; yours is {kind(got)}."
    if not isinstance(got, (Tensor, numbers.Number)):
        return f"{_start(what)} should be a number; yours is {kind(got)}."
    a, b = _double(got), _double(want)
    if a.shape != b.shape:
        if b.ndim == 0:
            return f"{_start(what)} should be one number; yours is a tensor of shape {_shape(a.shape)}."
        return f"{_start(what)} should have shape {_shape(b.shape)}; yours has {_shape(a.shape)}."
    if torch.isnan(a).any() and not torch.isnan(b).any():
        return f"{_start(what)} contains NaN (not a number): look for 0/0, inf − inf or the root of a negative number."
    close = torch.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
    if bool(close.all()):
        return None
    if a.ndim == 0:
        return f"{_start(what)} should be {_brief(b.item())}; yours is {_brief(a.item())}."
    gap = torch.where(close, 0.0, (a - b).abs().nan_to_num(nan=math.inf, posinf=math.inf))
    index = [int(i) for i in torch.unravel_index(gap.argmax(), gap.shape)]
    here = tuple(index)
    return (
        f"{int((~close).sum())} of the {close.numel()} values differ, most at index {index}: "
        f"{_brief(b[here].item())} was expected, yours is {_brief(a[here].item())}."
    )


def _double(value: Any) -> Tensor:
    tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value)
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.cpu().to(torch.complex128 if tensor.is_complex() else torch.float64)


def _brief(value: Any) -> str:
    """A short form of any value, for a sentence."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Tensor):
        return f"{value.item():.4g}" if value.numel() == 1 else f"a tensor of shape {_shape(value.shape)}"
    if isinstance(value, (str, int)) or value is None:
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "…"
    return kind(value)
