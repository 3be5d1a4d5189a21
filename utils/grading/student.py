"""The student's function as a check sees it: on copies of the arguments, with its failures told apart."""

from __future__ import annotations

import copy
import inspect
import linecache
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from utils.grading.expect import WrongAnswer

LONGEST_MESSAGE = 300


class NotSolved(Exception):
    """The function still returns None or `...`: there is no answer to judge."""


class CouldNotRun(Exception):
    """The student's function raised; the message is a sentence with the error and the student's line."""


def same(a: Any, b: Any) -> bool:
    """Whether two arguments hold the same values; tensors are compared bit by bit, NaN equal to NaN."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        a, b = a.detach(), b.detach()
        return bool(torch.isclose(a, b, rtol=0, atol=0, equal_nan=True).all())
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b or (a != a and b != b))


def clone(value: Any) -> Any:
    """A copy that shares no memory with `value`; tensors lose their history."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, Mapping):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(clone, value))
    return copy.deepcopy(value)


class Student:
    """A stand-in for the student's function: same call, guarded.

    Calling it hands the function copies of the arguments and gives back its result, tensors detached.

    Raises:
        NotSolved: the function returned None or `...`.
        CouldNotRun: it raised, or cannot be called with these arguments.
        WrongAnswer: it changed an argument in place.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", "your function")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _check_signature(self.function, args, kwargs)
        given, named = clone(args), clone(kwargs)
        try:
            result = self.function(*given, **named)
        except (Exception, SystemExit) as error:
            raise CouldNotRun(describe_error(error, _file_of(self.function))) from error
        if result is None or result is Ellipsis:
            raise NotSolved
        for name, before, after in _pairs(self.function, args, kwargs, given, named):
            if not same(before, after):
                way = f"Work on a copy ({name}.clone()), or use operations without a trailing underscore."
                if isinstance(before, Mapping):
                    way = "Build a new dict and put new tensors into it."
                elif isinstance(before, list):
                    way = "Build new lists, those inside it as well."
                raise WrongAnswer(
                    f"Your function changed its argument {name} in place, so the caller's own data would change. {way}"
                )
        return _detached(result)


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _detached(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_detached, value))
    return value


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some built-ins have none
        return None


def _check_signature(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    signature = _signature(function)
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        names = ", ".join(signature.parameters) or "nothing"
        with_names = "" if not kwargs else f" (by name: {', '.join(kwargs)})"
        raise CouldNotRun(
            f"The exercise calls your function with {len(args) + len(kwargs)} argument"
            f"{'' if len(args) + len(kwargs) == 1 else 's'}{with_names}, but yours takes ({names}). "
            "Keep the first line of the function as it was given."
        ) from None


def _pairs(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], given: Any, named: Any
) -> list[tuple[str, Any, Any]]:
    """(name, as handed over, as it is after the call) for every argument."""
    signature = _signature(function)
    names = list(signature.parameters) if signature else []
    names += [f"number {i + 1}" for i in range(len(names), len(args))]
    rows = [(names[i], args[i], given[i]) for i in range(len(args))]
    return rows + [(key, kwargs[key], named[key]) for key in kwargs]


def _file_of(function: Callable[..., Any]) -> str:
    return getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", "")


def describe_error(error: BaseException, file: str, subject: str = "Your function") -> str:
    """One sentence: the error's type, its first line, and the student's own line that led to it.

    Args:
        error: what was raised.
        file: the file name of the student's code in the traceback, such as a notebook cell's.
        subject: who raised it.
    """
    message = next(iter(str(error).strip().splitlines()), "")[:LONGEST_MESSAGE].rstrip(".")
    said = f": {message}" if message else ""
    return f"{subject} raised {type(error).__name__}{said}.{_line_of(error, file)}"


def _line_of(error: BaseException, file: str) -> str:
    """' It happened in line 3 of its cell: x = y / 0' for the deepest line that is the student's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if file and frame.filename == file]
    if not frames or frames[-1].lineno is None:
        return ""
    number = frames[-1].lineno
    text = (frames[-1].line or linecache.getline(file, number)).strip()
    return f" It happened in line {number} of its cell: {text}" if text else f" It happened in line {number}."
