"""Values between two processes, as JSON and raw tensor bytes: reading them can run no code, unlike a pickle.

A packed value is a JSON text, a line break, and the bytes of its tensors one after another. Numbers, strings, truth
values, None, `...`, tensors, and lists, tuples and dicts of these survive the trip; anything else arrives as a
`Foreign` with the name of its type, so that a check can say what it got.
"""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    )
}  # fmt: skip
DEEPEST = 50


class Unfit(Exception):
    """A value, or a message, that cannot cross; the text says why."""


class Foreign:
    """Stands for a value of a type that does not cross; only the type's name does."""

    def __init__(self, foreign_type: str) -> None:
        self.foreign_type = foreign_type

    def __repr__(self) -> str:
        return f"<{self.foreign_type}>"


def pack(value: Any, foreign: bool = False) -> bytes:
    """The bytes of a value. With `foreign`, unknown types cross by name; without, they are refused.

    Raises:
        Unfit: if the value holds what cannot cross, or is nested too deeply.
    """
    blobs: list[bytes] = []
    tree = _encode(value, blobs, foreign, 0)
    try:
        text = json.dumps(tree, separators=(",", ":"))
    except ValueError as error:  # a whole number of thousands of digits
        raise Unfit(f"a number is too long ({error})") from None
    return text.encode("ascii") + b"\n" + b"".join(blobs)


def unpack(data: bytes) -> Any:
    """The value of packed bytes.

    Raises:
        Unfit: if they are not what `pack` makes.
    """
    head, line, rest = data.partition(b"\n")
    if not line:
        raise Unfit("the message is cut short")
    try:
        tree = json.loads(head.decode("ascii"))
        value, end = _decode(tree, memoryview(rest), 0)
    except Unfit:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, RuntimeError, OverflowError) as error:
        raise Unfit(f"the message cannot be read ({type(error).__name__})") from None
    if end != len(rest):
        raise Unfit("the message is longer than it says")
    return value


def _encode(value: Any, blobs: list[bytes], foreign: bool, depth: int) -> Any:
    if depth > DEEPEST:
        raise Unfit(f"it is nested more than {DEEPEST} levels deep")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if value is Ellipsis:
        return {"t": "..."}
    if isinstance(value, Tensor) and str(value.dtype).removeprefix("torch.") in DTYPES:
        return _encode_tensor(value, blobs)
    if isinstance(value, dict):
        pairs = [[_encode(item, blobs, foreign, depth + 1) for item in pair] for pair in value.items()]
        return {"t": "dict", "v": pairs}
    if isinstance(value, (list, tuple)):
        name = "list" if isinstance(value, list) else "tuple"
        return {"t": name, "v": [_encode(item, blobs, foreign, depth + 1) for item in value]}
    if not foreign:
        raise Unfit(f"{type(value).__name__} is not a tensor, number, string, list, tuple or dict")
    return {"t": "foreign", "v": type(value).__name__[:80]}


def _encode_tensor(value: Tensor, blobs: list[bytes]) -> dict[str, Any]:
    tensor = value.detach().cpu()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    flat = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1)
    blobs.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return {"t": "tensor", "d": str(value.dtype).removeprefix("torch."), "s": list(value.shape)}


def _decode(tree: Any, blob: memoryview, at: int) -> tuple[Any, int]:
    """The value of a JSON tree whose first tensor starts at byte `at`, and where its last one ends."""
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise Unfit("the message cannot be read (list)")
        return tree, at
    tag = tree["t"]
    if tag == "...":
        return Ellipsis, at
    if tag == "foreign":
        return Foreign(str(tree["v"])), at
    if tag == "tensor":
        return _decode_tensor(tree, blob, at)
    items = []
    for item in tree["v"]:
        if tag == "dict":
            key, at = _decode(item[0], blob, at)
            entry, at = _decode(item[1], blob, at)
            items.append((key, entry))
        else:
            entry, at = _decode(item, blob, at)
            items.append(entry)
    return {"list": list, "tuple": tuple, "dict": dict}[tag](items), at


def _decode_tensor(tree: dict[str, Any], blob: memoryview, at: int) -> tuple[Tensor, int]:
    dtype, shape = DTYPES[tree["d"]], tree["s"]
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape):
        raise Unfit("a tensor has an impossible shape")
    length = math.prod(shape) * dtype.itemsize
    if at + length > len(blob):
        raise Unfit("a tensor is cut short")
    if length == 0:
        return torch.empty(shape, dtype=dtype), at
    data = bytearray(blob[at : at + length])
    if dtype == torch.bool and max(data) > 1:
        raise Unfit("a truth value is neither 0 nor 1")
    return torch.frombuffer(data, dtype=dtype).reshape(shape), at + length
