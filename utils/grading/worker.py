"""The process in which a submission's functions run, started by `bulk` as `python -I worker.py`.

It reads requests from its standard input and writes replies to its standard output; each is eight bytes of length
and a packed value (`codec`). What the student's code prints goes nowhere. A request either defines a function::

    {"do": "define", "key": id, "cells": {number: source}, "statements": [[cell, index], …], "function": "expression"}

or calls it::

    {"do": "call", "key": id, "args": [...], "kwargs": {...}}

and the reply is `{"status": "value" | "stub" | "raised" | "mutated", "value": ..., "message": ...}`.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
import traceback
import types
from typing import Any, BinaryIO

LENGTH = 8  # bytes that say how long a message is


def limit(cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:
    """Bound this process, where the system can: processor time, address space, size of written files, no core dumps."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for which, amount in wanted.items():
        hard = resource.getrlimit(which)[1]
        bound = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        try:
            resource.setrlimit(which, (bound, bound))
        except (ValueError, OSError):  # a system that knows the limit and does not support it
            continue


class Hidden:
    """Keeps the checks and the model answers from being imported by accident or by a lazy cheat."""

    names = ("utils.grading.checks", "utils.grading.mutants")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse the hidden modules, and leave all others to the usual finders."""
        if name.startswith(self.names):
            raise ModuleNotFoundError(f"{name} is not available while grading.", name=name)


def define(request: dict[str, Any]) -> Any:
    """Run the statements a function needs in a name space of its own; returns the function.

    A statement that fails is passed over, and its error is raised only if the function cannot be had without it.
    """
    space = types.ModuleType("__main__").__dict__
    trees = {}
    for cell, source in request["cells"].items():
        name = f"<cell {cell}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        trees[cell] = ast.parse(source, name)
    first: BaseException | None = None
    for cell, index in request["statements"]:
        single = ast.Module(body=[trees[cell].body[index]], type_ignores=[])
        try:
            exec(compile(single, f"<cell {cell}>", "exec", dont_inherit=True), space)
        except (Exception, SystemExit) as error:
            first = first or error
    try:
        return eval(compile(request["function"], "<check>", "eval", dont_inherit=True), space)
    except Exception:
        if first is not None:
            raise first from None
        raise


def answer(request: dict[str, Any], functions: dict[str, Any]) -> dict[str, Any]:
    """Do what a request says; the reply."""
    from utils.grading.expect import WrongAnswer
    from utils.grading.student import CouldNotRun, NotSolved, Student, describe_error

    try:
        if request["do"] == "define":
            function = define(request)
            if not callable(function):
                return {"status": "raised", "message": f"`{request['function']}` is not a function."}
            functions[request["key"]] = Student(function)
            return {"status": "value", "value": None}
        result = functions[request["key"]](*request["args"], **request["kwargs"])
        return {"status": "value", "value": result}
    except NotSolved:
        return {"status": "stub"}
    except WrongAnswer as wrong:
        return {"status": "mutated", "message": str(wrong)}
    except CouldNotRun as error:
        return {"status": "raised", "message": str(error)}
    except BaseException as error:
        subject = "The code that defines your function" if request["do"] == "define" else "Your function"
        cells = [f.filename for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<cell ")]
        return {"status": "raised", "message": describe_error(error, cells[-1] if cells else "", subject)}


def read(pipe: BinaryIO) -> bytes | None:
    """One message, or None at the end."""
    head = pipe.read(LENGTH)
    if len(head) < LENGTH:
        return None
    return pipe.read(int.from_bytes(head, "big"))


def write(pipe: BinaryIO, data: bytes) -> None:
    """Send one message."""
    pipe.write(len(data).to_bytes(LENGTH, "big") + data)
    pipe.flush()


def packed(reply: dict[str, Any], largest: int) -> bytes:
    """A reply's bytes; one that cannot cross or is too large becomes a sentence."""
    from utils.grading import codec

    try:
        data = codec.pack(reply, foreign=True)
        if len(data) <= largest:
            return data
        message = f"Your function returned more than {largest // 2**20} MB; that cannot be the answer."
    except codec.Unfit as error:
        message = f"What your function returned cannot be graded: {error}."
    except Exception as error:
        message = f"What your function returned cannot be read ({type(error).__name__})."
    return codec.pack({"status": "raised", "message": message})


def main() -> None:
    """Serve requests until the grader hangs up. Arguments: the book's folder, then the four limits."""
    root, *limits = sys.argv[1:]
    cpu, memory, files, largest = map(int, limits)
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    limit(cpu, memory, files)
    sys.path.insert(0, root)
    sys.meta_path.insert(0, Hidden())
    import torch

    from utils.grading import codec

    torch.set_num_threads(1)
    write(replies, codec.pack("ready"))
    functions: dict[str, Any] = {}
    while (data := read(requests)) is not None:
        write(replies, packed(answer(codec.unpack(data), functions), largest))


if __name__ == "__main__":
    main()
