"""A plot that moves with one parameter: every state is precomputed, so it works with a kernel and without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.figures import specs
from utils.figures.labels import markup
from utils.figures.show import checked_alt, show_plotly
from utils.figures.specs import Spec
from utils.figures.values import short

KINDS: dict[str, Callable[..., Spec]] = {
    "heatmap": specs.heatmap,
    "lines": specs.lines,
    "bars": specs.bars,
    "scatter": specs.scatter,
}
PADDING = 0.05  # of an axis' length, beyond the outermost value


def slider(
    frames: Mapping[Any, Mapping[str, Any]],
    *,
    kind: str = "heatmap",
    parameter: str = "training step",
    start: Any = None,
    alt: str,
) -> None:
    """A plot with a slider under it. Axes and colours have the same scale at every position.

    Args:
        frames: from each position's label to the arguments of a plot of this kind, without `alt`: for a heat map
            `{"values": …, "title": …}`, for lines `{"series": {…}, "x": …, "title": …}`, for bars
            `{"labels": …, "values": …, "title": …}`. Titles and names must be the same in all of them.
        kind: `heatmap`, `lines`, `bars` or `scatter`.
        parameter: what the slider changes.
        start: the label shown first; without it the last one.
        alt: what is plotted, what the slider changes and what one sees change.

    Raises:
        ValueError: if there are fewer than two frames, if they do not fit together, or if `start` is none of them.
    """
    alt = checked_alt(alt)
    show_plotly(build(frames, kind=kind, parameter=parameter, start=start), alt)


def build(frames: Mapping[Any, Mapping[str, Any]], *, kind: str, parameter: str, start: Any = None) -> Spec:
    """The spec of `slider`."""
    if kind not in KINDS:
        raise ValueError(f"There is no slider over {kind!r}: use one of {', '.join(KINDS)}.")
    if len(frames) < 2:
        raise ValueError(f"A slider needs at least two frames, not {len(frames)}: plot one state without a slider.")
    names = [str(label) for label in frames]
    if len(set(names)) < len(names):
        raise ValueError("Two frames have labels that read the same: give each its own.")
    first = names[-1] if start is None else str(start)
    if first not in names:
        raise ValueError(f"start is {first!r}, which is none of the frames: {', '.join(names)}.")
    states = [_plot(kind, name, arguments) for name, arguments in zip(names, frames.values(), strict=True)]
    _check_alike(states, names)
    _share_scales(states)
    shown = states[names.index(first)]
    moving = [_moving_keys([state["data"][i] for state in states]) for i in range(len(shown["data"]))]
    layout = shown["layout"] | {"sliders": [_control(names, parameter, names.index(first))]}
    return {
        "data": shown["data"],
        "layout": layout,
        "frames": [
            {
                "name": name,
                "data": [
                    {"type": trace["type"]} | {key: trace[key] for key in keys}
                    for trace, keys in zip(state["data"], moving, strict=True)
                ],
            }
            for name, state in zip(names, states, strict=True)
        ],
    }


def _plot(kind: str, name: str, arguments: Mapping[str, Any]) -> Spec:
    try:
        return KINDS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"Frame {name!r} does not hold the arguments of {kind}: {error}.") from None
    except ValueError as error:
        raise ValueError(f"Frame {name!r}: {error}") from None


def _check_alike(states: list[Spec], names: list[str]) -> None:
    """Frames may differ in their numbers, not in what they plot."""
    for state, name in zip(states, names, strict=True):
        series = [trace.get("name", "") for trace in state["data"]]
        if series != [trace.get("name", "") for trace in states[0]["data"]]:
            raise ValueError(f"Frame {name!r} has other series than frame {names[0]!r}: give all the same names.")
        for trace, reference in zip(state["data"], states[0]["data"], strict=True):
            for key in ("z", "x", "y"):
                if key in trace and _shape(trace[key]) != _shape(reference[key]):
                    raise ValueError(f"Frame {name!r} has another shape than frame {names[0]!r}: give all the same.")
        if state["layout"] != states[0]["layout"]:
            raise ValueError(
                f"Frame {name!r} has another title, axis or mark than frame {names[0]!r}: give all the same, "
                "the slider itself names the frame."
            )


def _shape(values: list[Any]) -> tuple[int, ...]:
    return (len(values), len(values[0])) if isinstance(values[0], list) else (len(values),)


def _moving_keys(traces: list[Spec]) -> list[str]:
    """The entries of one trace that are not the same in every frame."""
    return [key for key in traces[0] if any(trace[key] != traces[0][key] for trace in traces)]


def _share_scales(states: list[Spec]) -> None:
    """Give all states the same colour scale and the same axes, so that only the data move."""
    traces = [trace for state in states for trace in state["data"]]
    if traces[0]["type"] == "heatmap":
        low, high = min(trace["zmin"] for trace in traces), max(trace["zmax"] for trace in traces)
        for trace in traces:
            trace |= {"zmin": low, "zmax": high}
        return
    for axis in ("x", "y"):
        settings = states[0]["layout"][f"{axis}axis"]
        if settings.get("type") == "category":
            continue
        ends = _range(traces, axis, log=settings.get("type") == "log")
        for state in states:
            state["layout"][f"{axis}axis"]["range"] = ends


def _range(traces: list[Spec], axis: str, log: bool) -> list[Any]:
    """The ends of an axis that holds every frame, error bars and the foot of the bars included."""
    parts: list[np.ndarray] = []
    for trace in traces:
        values = np.array([np.nan if value is None else value for value in trace[axis]], dtype=float)
        error = trace.get(f"error_{axis}")
        above = np.array([value or 0 for value in error["array"]]) if error else 0
        below = np.array([value or 0 for value in error["arrayminus"]]) if error and "arrayminus" in error else above
        parts += [values - below, values + above, np.zeros(1)] if trace["type"] == "bar" else [values]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if log:
        values = np.log10(values)
    if not values.size:
        return [0, 1]
    low, high = float(values.min()), float(values.max())
    room = PADDING * (high - low) or 0.5
    at_zero = traces[0]["type"] == "bar"
    return [short(low if at_zero and low == 0 else low - room), short(high if at_zero and high == 0 else high + room)]


def _control(names: list[str], parameter: str, active: int) -> Spec:
    """Plotly's slider; the built page reads it and puts an accessible one in its place."""
    how = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": active,
        "currentvalue": {"prefix": f"{markup(parameter)}: "},
        "pad": {"t": 56},
        "steps": [{"label": markup(name), "method": "animate", "args": [[name], how]} for name in names],
    }
