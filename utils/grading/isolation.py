"""The grader's side of a worker process: start it, ask it, give up on it, clear up after it."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.grading import codec
from utils.grading.expect import WrongAnswer
from utils.grading.student import CouldNotRun, NotSolved
from utils.grading.submission import Answer, Submission
from utils.grading.worker import LENGTH

ROOT = Path(__file__).resolve().parents[2]
MB = 2**20


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds for one call and for an exercise, and what `worker.limit` bounds."""

    call_seconds: float = 10.0
    exercise_seconds: float = 60.0
    start_seconds: float = 120.0
    cpu_seconds: int = 300
    memory_bytes: int = 4096 * MB
    file_bytes: int = 16 * MB
    reply_bytes: int = 64 * MB


class Stopped(CouldNotRun):
    """The worker is gone: it ran out of time, crashed, or broke the protocol. The message says which."""


class Worker:
    """One isolated process and the pipes to it; use as a context manager."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.folder = tempfile.mkdtemp(prefix="submission-")
        keep = ("PATH", "LANG", "SYSTEMROOT", "LD_LIBRARY_PATH")
        env = {name: os.environ[name] for name in keep if name in os.environ}
        env |= {"HOME": self.folder, "TMPDIR": self.folder, "TEMP": self.folder, "OMP_NUM_THREADS": "1"}
        env |= {"RESIDUAL_STREAM_HOME": "memory", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        bounds = (limits.cpu_seconds, limits.memory_bytes, limits.file_bytes, limits.reply_bytes)
        script = str(Path(__file__).with_name("worker.py"))
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", script, str(ROOT), *map(str, bounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env=env,
            start_new_session=True,
        )
        self.usable = True
        try:
            self._receive(limits.start_seconds, "The isolated process did not start")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and wait for the reply.

        Raises:
            Stopped: if none comes in time, the process ends, or the reply makes no sense.
        """
        data = codec.pack(request)
        sender = threading.Thread(target=self._send, args=(data,), daemon=True)  # a full pipe must not block the clock
        sender.start()
        self.usable = False  # until a sound reply has come
        reply = self._receive(seconds, "Your function did not return")
        if not isinstance(reply, dict) or reply.get("status") not in ("value", "stub", "raised", "mutated"):
            raise Stopped("The process that ran your function sent something that is no reply.")
        self.usable = True
        return reply

    def _send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(len(data).to_bytes(LENGTH, "big") + data)
            self.process.stdin.flush()
        except (OSError, ValueError):  # it is gone; the reader of the reply notices
            return

    def _receive(self, seconds: float, late: str) -> Any:
        deadline = time.monotonic() + seconds
        length = int.from_bytes(self._bytes(LENGTH, deadline, late, seconds), "big")
        if length > self.limits.reply_bytes + MB:
            raise Stopped("The process that ran your function sent a reply that is far too long.")
        try:
            return codec.unpack(self._bytes(length, deadline, late, seconds))
        except codec.Unfit as error:
            raise Stopped(f"The process that ran your function sent something that is no reply: {error}.") from None

    def _bytes(self, count: int, deadline: float, late: str, seconds: float) -> bytes:
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        parts: list[bytes] = []
        with selectors.DefaultSelector() as ready:
            ready.register(pipe, selectors.EVENT_READ)
            while count:
                if not ready.select(max(0.0, deadline - time.monotonic())):
                    raise Stopped(f"{late} within {seconds:.0f} seconds: probably an endless loop.")
                part = os.read(pipe, min(count, MB))
                if not part:
                    raise Stopped(self._epitaph())
                parts.append(part)
                count -= len(part)
        return b"".join(parts)

    def _epitaph(self) -> str:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "The process that ran your function closed its connection."
        if code == -getattr(signal, "SIGXCPU", 0) or code == -getattr(signal, "SIGKILL", 0):
            return "The process that ran your function was stopped: it used too much processor time or memory."
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"The process that ran your function ended {how} before it returned."

    def close(self) -> None:
        """End the process and everything it started in its session, and delete its folder."""
        try:
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        except (ProcessLookupError, PermissionError):
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        shutil.rmtree(self.folder, ignore_errors=True)


class RemoteStudent:
    """The stand-in for a student's function: a check calls it like the function, the worker does the work.

    Raises what `Student` raises, and `Stopped` when the worker is gone.
    """

    def __init__(self, worker: Worker, submission: Submission, answer: Answer) -> None:
        self.worker, self.key = worker, answer.id
        self.deadline = time.monotonic() + worker.limits.exercise_seconds
        request = {
            "do": "define",
            "key": answer.id,
            "cells": {item.cell: submission.cells[item.cell] for item in answer.statements},
            "statements": [[item.cell, item.index] for item in answer.statements],
            "function": answer.function,
        }
        _result(worker.ask(request, worker.limits.call_seconds + worker.limits.start_seconds))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Stopped(f"The exercise took longer than {self.worker.limits.exercise_seconds:.0f} seconds in all.")
        request = {"do": "call", "key": self.key, "args": list(args), "kwargs": kwargs}
        return _result(self.worker.ask(request, min(left, self.worker.limits.call_seconds)))


def _result(reply: dict[str, Any]) -> Any:
    message = str(reply.get("message", ""))[:1000]
    if reply["status"] == "stub":
        raise NotSolved
    if reply["status"] == "mutated":
        raise WrongAnswer(message)
    if reply["status"] == "raised":
        raise CouldNotRun(message)
    return reply.get("value")
