"""Where points and predictions are kept: one JSON file that survives restarts, crashes and damage."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import platformdirs

FORMAT = 1
State = dict[str, dict[str, Any]]

_memory: State | None = None


def empty() -> State:
    """A record of nothing done yet: exercise id → points, prediction id → what was predicted and measured."""
    return {"exercises": {}, "predictions": {}}


def home() -> Path | None:
    """The folder of the record, from RESIDUAL_STREAM_HOME or the user's data folder.

    None when RESIDUAL_STREAM_HOME is `memory`: then nothing is written and every kernel starts from nothing,
    which is how the tests and the build run notebooks.
    """
    chosen = os.environ.get("RESIDUAL_STREAM_HOME", "")
    if chosen == "memory":
        return None
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("residual-stream", appauthor=False))


def read() -> State:
    """The record as it stands. A damaged file is moved aside, and what could be read of it is kept."""
    folder = home()
    if folder is None or _memory is not None:
        return _memory if _memory is not None else empty()
    path = folder / "progress.json"
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return empty()
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        print(f"Your progress could not be read ({error.strerror}); it is left as it is.")
        return _remember(empty())
    state, faults = parse(text)
    if faults:
        _move_aside(path, state)
    return state


def update(change: Callable[[State], None]) -> State:
    """Apply `change` to the record and write it back in one piece; two notebooks at once do not lose anything."""
    folder = home()
    if folder is None or _memory is not None:
        state = _memory if _memory is not None else _remember(empty())
        change(state)
        return state
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "progress.lock", timeout=10):
            state = read()
            change(state)
            write(folder / "progress.json", state)
            return state
    except (OSError, filelock.Timeout) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        print(f"Your progress could not be saved ({reason}); it is kept until this kernel stops.")
        state = _remember(read())
        change(state)
        return state


def _remember(state: State) -> State:
    global _memory
    _memory = state
    return state


def forget_memory() -> None:
    """Drop what is kept in this process only, as a restart would."""
    global _memory
    _memory = None


def write(path: Path, state: State) -> None:
    """Write a record so that a crash leaves either the old file or the new one, never half of it."""
    text = json.dumps({"format": FORMAT, **state}, indent=1, sort_keys=True, ensure_ascii=False)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def parse(text: str) -> tuple[State, list[str]]:
    """Read a record: what is sound in it, and a short name for everything that is not."""
    state = empty()
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return state, ["the whole file"]
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        return state, ["the whole file"]
    faults: list[str] = []
    for part, sound in (("exercises", _sound_points), ("predictions", _sound_prediction)):
        entries = raw.get(part, {})
        if not isinstance(entries, dict):
            faults.append(part)
            continue
        for key, value in entries.items():
            if sound(value):
                state[part][key] = value
            else:
                faults.append(key)
    return state, faults


def _sound_points(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def number(value: Any) -> bool:
    """Whether `value` is a plain finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _sound_prediction(value: Any) -> bool:
    if not isinstance(value, dict) or not set(value) <= {"guess", "actual"}:
        return False
    guess = value.get("guess")
    sound = guess is None or (isinstance(guess, list) and len(guess) == 2 and all(map(number, guess)))
    return sound and (value.get("actual") is None or number(value["actual"]))


def _move_aside(path: Path, state: State) -> None:
    """Keep the damaged file under another name and go on with what could be read."""
    count = 1
    while (aside := path.with_name(f"progress.damaged-{count}.json")).exists():
        count += 1
    try:
        os.replace(path, aside)
        if any(state.values()):
            write(path, state)
    except OSError:
        _remember(state)
    kept = sum(map(len, state.values()))
    print(
        f"Your progress file was damaged: it is kept beside the new one as {aside.name}, "
        f"and {kept} entr{'y' if kept == 1 else 'ies'} could be read from it."
    )
