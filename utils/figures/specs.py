"""Each kind of plot as Plotly's JSON: `data` and `layout`, no colours of the theme, numbers already short.

Plain dictionaries instead of Plotly's classes: the same bytes from every version of Plotly, nothing to import, and no
template written into every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.figures.labels import categories, markup
from utils.figures.style import DIVERGING, HEIGHT, NEUTRAL, SEQUENTIAL, layout, series_style, translucent
from utils.figures.values import is_text, rounded, same_length, short, to_array

Spec = dict[str, Any]

LEGEND_DROP = 68  # px from the plot's lower edge to the legend: room for tick labels and the axis title
LETTER = 7  # px, the width of a letter in a tick label
NARROW = 260  # px, the width of a plot on a phone
MANY = 30  # points: above this a line needs no markers
WHOLE = 12  # places on an axis: up to this many, each has its number or word, on a phone too


def _axis_values(axis: Spec, values: Any, count: int, what: str, against: str) -> list[Any]:
    """Values for an axis that may be numbers, words or nothing (then 0, 1, 2 …); sets the axis type for words."""
    if values is None:
        return list(range(count))
    same_length(len(values), count, what, against)
    if is_text(values):
        return _words(axis, values)
    return rounded(to_array(values, what, 1), 6)


def _words(axis: Spec, values: Sequence[Any]) -> list[str]:
    """Values for an axis of words. Left alone, Plotly leaves out words where it would have to turn them."""
    axis["type"] = "category"
    if len(values) <= WHOLE:
        axis["dtick"] = 1
    return categories([str(value) for value in values])


def _hover(x_title: str, y_title: str, name: str = "") -> str:
    return f"{x_title or 'x'}: %{{x}}<br>{y_title or 'y'}: %{{y}}<extra>{markup(name)}</extra>"


def _room(base: Spec, places: list[Any]) -> int:
    """Pixels under a plot for words that stand upright on a phone because they do not fit side by side."""
    words = places if base["xaxis"].get("type") == "category" else []
    upright = sum(len(word) + 2 for word in words) * LETTER > NARROW
    return LETTER * min(20, max(map(len, words))) if upright else 0


def _with_legend(spec: Spec, count: int) -> Spec:
    """Series are named under the plot, where a narrow screen has room, and under its tick labels even if upright."""
    if count > 1:
        base = spec["layout"]
        room = _room(base, spec["data"][0]["x"])
        inside = base["height"] - base["margin"]["t"] - base["margin"]["b"]
        legend = {"orientation": "h", "x": 0, "y": short(-(LEGEND_DROP + room) / inside, 3), "yanchor": "top"}
        spec["layout"] = base | {"height": base["height"] + room, "showlegend": True, "legend": legend}
    return spec


def _named(series: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(series, Mapping) or not series:
        raise ValueError(f"{what} takes a dictionary from each series' name to its values, with at least one series.")
    return series


def heatmap(
    values: Any,
    *,
    x: Sequence[Any] | None = None,
    y: Sequence[Any] | None = None,
    title: str,
    x_title: str = "",
    y_title: str = "",
    colour_title: str = "",
    diverging: bool = False,
    text: Sequence[Sequence[object]] | None = None,
) -> Spec:
    """The spec of `plots.heatmap`."""
    grid = to_array(values, "values", 2)
    rows, columns = grid.shape
    if not grid.size:
        raise ValueError(f"values has shape {grid.shape}: a heat map needs at least one row and one column.")
    finite = grid[np.isfinite(grid)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if diverging:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    else:
        low = min(0.0, low)
        high = high if high > low else low + 1.0
    base = layout(title, x_title, y_title)
    base["xaxis"] |= {"showgrid": False, "ticks": ""}
    base["yaxis"] |= {"showgrid": False, "ticks": "", "autorange": "reversed"}
    trace: Spec = {
        "type": "heatmap",
        "z": rounded(grid, 3),
        "x": _axis_values(base["xaxis"], x, columns, "x", "each row of values"),
        "y": _axis_values(base["yaxis"], y, rows, "y", "values"),
        "zmin": short(low, 3),
        "zmax": short(high, 3),
        "colorscale": DIVERGING if diverging else SEQUENTIAL,
        "colorbar": {
            "thickness": 12,
            "outlinewidth": 0,
            "ticksuffix": "\u00a0\u00a0",  # keeps the title off the numbers
            "title": {"text": colour_title, "side": "right"},
        },
        "hoverongaps": False,
        "hovertemplate": f"{x_title or 'column'}: %{{x}}<br>{y_title or 'row'}: %{{y}}<br>"
        f"{colour_title or 'value'}: %{{z}}<extra></extra>",
    }
    base["height"] = int(np.clip(120 + 22 * rows + _room(base, trace["x"]), 300, 560))
    for name, labels, count in (("xaxis", x, columns), ("yaxis", y, rows)):
        if labels is None and count <= WHOLE:
            base[name]["dtick"] = 1
    if text is not None:
        same_length(len(text), rows, "text", "values")
        for row in text:
            same_length(len(row), columns, "a row of text", "a row of values")
        trace["text"] = [[markup(cell) for cell in row] for row in text]
        trace["texttemplate"] = "%{text}"
    return {"data": [trace], "layout": base}


def lines(
    series: Mapping[str, Any],
    *,
    x: Sequence[Any] | None = None,
    title: str,
    x_title: str = "",
    y_title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    marks: Mapping[str, float] | None = None,
) -> Spec:
    """The spec of `plots.lines`."""
    named = _named(series, "lines")
    base = layout(title, x_title, y_title)
    count = len(next(iter(named.values())))
    places = _axis_values(base["xaxis"], x, count, "x", "each line")
    if unknown := set(bands or {}) - set(named):
        raise ValueError(f"bands names {sorted(unknown)}, but the lines are {list(named)}: use the same names.")
    _set_log(base, log_x, log_y, places, named)
    if _few_whole_numbers(places) and not log_x:
        base["xaxis"]["dtick"] = 1
    data: list[Spec] = []
    for index, (name, values) in enumerate(named.items()):
        y = to_array(values, f"line {name!r}", 1)
        same_length(len(y), count, f"line {name!r}", "x" if x is not None else "the first line")
        style = series_style(index)
        if bands and name in bands:
            data.append(_band(name, places, bands[name], style["colour"]))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if count <= MANY else "lines",
                "name": markup(name),
                "x": places,
                "y": rounded(y),
                "line": {"color": style["colour"], "dash": style["dash"], "width": 2},
                "marker": {"color": style["colour"], "symbol": style["symbol"], "size": 6},
                "hovertemplate": _hover(x_title, y_title, name),
            }
        )
    if marks:
        base["shapes"], base["annotations"] = _marks(marks, log_x)
        base["margin"]["t"] += 14
    return _with_legend({"data": data, "layout": base}, len(named))


def _few_whole_numbers(places: list[Any]) -> bool:
    """Whether ticks at 0.5 and the like would stand where nothing is, as between two layers."""
    return all(isinstance(place, int) for place in places) and max(places) - min(places) <= WHOLE


def _set_log(base: Spec, log_x: bool, log_y: bool, places: list[Any], named: Mapping[str, Any]) -> None:
    if log_x:
        if base["xaxis"].get("type") == "category" or any(place is None or place <= 0 for place in places):
            raise ValueError("log_x needs every x above 0: leave out step 0, or use a linear axis.")
        base["xaxis"] |= {"type": "log", "dtick": 1 if max(places) / min(places) > 100 else None}
        base["xaxis"] = {key: value for key, value in base["xaxis"].items() if value is not None}
    if log_y:
        if any((to_array(values, f"line {name!r}") <= 0).any() for name, values in named.items()):
            raise ValueError("log_y needs every value above 0: use a linear axis for values that reach 0.")
        base["yaxis"] |= {"type": "log"}


def _band(name: str, places: list[Any], band: tuple[Any, Any], colour: str) -> Spec:
    """A filled area between the band's low and high, drawn as one closed outline."""
    low, high = (to_array(edge, f"the band of {name!r}", 1) for edge in band)
    same_length(len(low), len(places), f"the low edge of the band of {name!r}", "its line")
    same_length(len(high), len(places), f"the high edge of the band of {name!r}", "its line")
    return {
        "type": "scatter",
        "mode": "lines",
        "x": places + places[::-1],
        "y": rounded(np.concatenate([high, low[::-1]])),
        "fill": "toself",
        "fillcolor": translucent(colour, 0.22),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _marks(marks: Mapping[str, float], log_x: bool) -> tuple[list[Spec], list[Spec]]:
    """Dotted vertical lines and their labels over the plot."""
    shapes, notes = [], []
    for label, place in marks.items():
        at = short(float(np.log10(place)) if log_x else float(place), 6)
        drawn = short(float(place), 6)  # a shape on a log axis takes the value, an annotation its logarithm
        line = {"color": NEUTRAL, "dash": "dot", "width": 1.5}
        shapes.append({"type": "line", "x0": drawn, "x1": drawn, "y0": 0, "y1": 1, "yref": "paper", "line": line})
        note = {"x": at, "y": 1, "yref": "paper", "text": markup(label), "showarrow": False}
        notes.append(note | {"yanchor": "bottom", "font": {"size": 12}})
    return shapes, notes


def bars(
    labels: Sequence[Any],
    values: Any,
    *,
    title: str,
    x_title: str = "",
    y_title: str = "",
    errors: Any = None,
    horizontal: bool = False,
) -> Spec:
    """The spec of `plots.bars`."""
    named = values if isinstance(values, Mapping) else {"": values}
    if not named or not len(labels):
        raise ValueError("bars needs at least one label and one series of values.")
    spread = errors if isinstance(errors, Mapping) else ({} if errors is None else {next(iter(named)): errors})
    if unknown := set(spread) - set(named):
        raise ValueError(f"errors names {sorted(unknown)}, but the series are {list(named)}: use the same names.")
    height = int(np.clip(130 + 22 * len(labels) * len(named), 260, 900)) if horizontal else HEIGHT
    base = layout(title, x_title, y_title, height=height)
    along, across = ("y", "x") if horizontal else ("x", "y")
    places = _words(base[f"{along}axis"], labels)
    base[f"{along}axis"] |= {"showgrid": False}
    base[f"{across}axis"] |= {"zeroline": True}
    if horizontal:
        base["yaxis"]["autorange"] = "reversed"
    data = []
    for index, (name, heights) in enumerate(named.items()):
        what = f"series {name!r}" if name else "values"
        array = to_array(heights, what, 1)
        same_length(len(array), len(labels), what, "labels")
        style = series_style(index)
        trace: Spec = {"type": "bar", along: places, across: rounded(array)}
        trace |= {"marker": {"color": style["colour"], "pattern": {"shape": style["pattern"], "fillmode": "replace"}}}
        trace |= {"hovertemplate": f"%{{{along}}}: %{{{across}}}<extra>{markup(name)}</extra>"}
        if name:
            trace["name"] = markup(name)
        if horizontal:
            trace["orientation"] = "h"
        if name in spread:
            trace[f"error_{across}"] = _errors(spread[name], array, what)
        data.append(trace)
    return _with_legend({"data": data, "layout": base}, len(named))


def _errors(errors: Any, values: np.ndarray, what: str) -> Spec:
    """Error bars of the same length on both sides, or from the low to the high end of each bar's interval."""
    sizes = to_array(errors, f"the errors of {what}")
    if sizes.ndim != 1 and sizes.shape[1:] != (2,):
        raise ValueError(
            f"the errors of {what} have shape {sizes.shape}: give half a length or a pair (low, high) for each label."
        )
    same_length(len(sizes), len(values), f"errors of {what}", "labels")
    style = {"type": "data", "color": NEUTRAL, "thickness": 1.5}
    if sizes.ndim == 1:
        return style | {"array": rounded(sizes)}
    low, high = sizes.T
    if (low > high).any():
        raise ValueError(f"an interval in the errors of {what} ends below its start: give pairs (low, high).")
    return style | {"symmetric": False, "array": rounded(high - values), "arrayminus": rounded(values - low)}


def scatter(
    series: Mapping[str, tuple[Any, Any]],
    *,
    title: str,
    x_title: str = "",
    y_title: str = "",
    labels: Any = None,
    diagonal: bool = False,
) -> Spec:
    """The spec of `plots.scatter`."""
    named = _named(series, "scatter")
    words = labels if isinstance(labels, Mapping) else ({} if labels is None else {next(iter(named)): labels})
    base = layout(title, x_title, y_title, height=420)
    data: list[Spec] = []
    ends: list[float] = []
    for index, (name, pair) in enumerate(named.items()):
        if len(pair) != 2:
            raise ValueError(f"scatter takes a pair (x, y) for each series, but {name!r} has {len(pair)} parts.")
        x, y = (to_array(part, f"series {name!r}", 1) for part in pair)
        same_length(len(y), len(x), f"y of {name!r}", "its x")
        ends += [v for part in (x, y) if part.size for v in (float(np.nanmin(part)), float(np.nanmax(part)))]
        style = series_style(index)
        trace: Spec = {"type": "scatter", "mode": "markers", "name": markup(name), "x": rounded(x), "y": rounded(y)}
        trace["marker"] = {"color": style["colour"], "symbol": style["symbol"], "size": 8, "opacity": 0.85}
        trace["hovertemplate"] = _hover(x_title, y_title, name)
        if name in words:
            same_length(len(words[name]), len(x), f"labels of {name!r}", "the series")
            trace["text"] = [markup(word) for word in words[name]]
            trace["hovertemplate"] = "%{text}<br>" + trace["hovertemplate"]
        data.append(trace)
    if diagonal and ends:
        low, high = short(min(ends)), short(max(ends))
        line = {"color": NEUTRAL, "dash": "dash", "width": 1.5}
        reference: Spec = {"type": "scatter", "mode": "lines", "x": [low, high], "y": [low, high], "line": line}
        data.insert(0, reference | {"hoverinfo": "skip", "showlegend": False})
    return _with_legend({"data": data, "layout": base}, len(named))


def histogram(series: Mapping[str, Any], *, title: str, x_title: str = "", bins: int = 40) -> Spec:
    """The spec of `plots.histogram`."""
    named = _named(series, "histogram")
    arrays = {name: to_array(values, f"series {name!r}").ravel() for name, values in named.items()}
    arrays = {name: values[np.isfinite(values)] for name, values in arrays.items()}
    if empty := [name for name, values in arrays.items() if not values.size]:
        raise ValueError(f"series {empty[0]!r} has no finite values: a histogram needs at least one.")
    edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins=bins)
    base = layout(title, x_title, "share of values")
    base["yaxis"]["rangemode"] = "tozero"
    data = []
    for index, (name, values) in enumerate(arrays.items()):
        share = np.histogram(values, edges)[0] / values.size
        style = series_style(index)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": markup(name),
                "x": rounded(edges),
                "y": rounded(np.append(share, share[-1])),
                "line": {"color": style["colour"], "dash": style["dash"], "width": 2, "shape": "hv"},
                "fill": "tozeroy",
                "fillcolor": translucent(style["colour"], 0.18),
                "hovertemplate": f"{x_title or 'value'} from %{{x}}<br>share: %{{y:.2%}}<extra>{markup(name)}</extra>",
            }
        )
    return _with_legend({"data": data, "layout": base}, len(named))
