"""One call per kind of plot. Each draws itself and returns nothing.

Values may be tensors, arrays or lists. Tokens and other labels are shown as they are, markup included. All functions
raise a ValueError with one sentence when lengths or shapes do not fit, or when `alt` says too little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from utils.figures import specs
from utils.figures.show import checked_alt, show_plotly


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
    alt: str,
) -> None:
    """A matrix in colour, row 0 at the top.

    Args:
        values: shape (row, column). What is not finite stays empty.
        x: a number or word for each column; without it they are counted from 0.
        y: a number or word for each row; without it they are counted from 0.
        title: what is shown, in a few words.
        x_title: what a column is.
        y_title: what a row is.
        colour_title: what the colour measures, with its unit.
        diverging: for values on both sides of 0: the scale is symmetric and its neutral grey is 0.
            Otherwise the scale starts at 0, or at the lowest value if that is negative.
        text: shape (row, column), written into the cells.
        alt: what is plotted and what it shows.
    """
    alt = checked_alt(alt)
    spec = specs.heatmap(
        values,
        x=x,
        y=y,
        title=title,
        x_title=x_title,
        y_title=y_title,
        colour_title=colour_title,
        diverging=diverging,
        text=text,
    )
    show_plotly(spec, alt)


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
    alt: str,
) -> None:
    """One line for each series over a common x.

    Args:
        series: from each line's name to its values, one for each x.
        x: numbers or words; without it positions are counted from 0.
        title: what is shown, in a few words.
        x_title: what x is, with its unit.
        y_title: what the lines measure, with its unit.
        log_x: logarithmic x; every x must be above 0.
        log_y: logarithmic y; every value must be above 0.
        bands: from a line's name to (low, high), the area shaded around it.
        marks: from a label to the x where a dotted vertical line stands.
        alt: what is plotted and what it shows.
    """
    alt = checked_alt(alt)
    spec = specs.lines(
        series,
        x=x,
        title=title,
        x_title=x_title,
        y_title=y_title,
        log_x=log_x,
        log_y=log_y,
        bands=bands,
        marks=marks,
    )
    show_plotly(spec, alt)


def bars(
    labels: Sequence[Any],
    values: Any,
    *,
    title: str,
    x_title: str = "",
    y_title: str = "",
    errors: Any = None,
    horizontal: bool = False,
    alt: str,
) -> None:
    """Bars side by side, in the order given.

    Args:
        labels: what each bar, or group of bars, stands for.
        values: one for each label, or a dictionary from series names to such lists.
        title: what is shown, in a few words.
        x_title: the title under the plot, which measures the bars when they are horizontal.
        y_title: the title beside the plot, which measures the bars when they are vertical.
        errors: half the length of each error bar, in the form of `values`; or for each an interval, a pair (low, high).
        horizontal: bars from left to right, the first label on top: for long labels.
        alt: what is plotted and what it shows.
    """
    alt = checked_alt(alt)
    spec = specs.bars(
        labels, values, title=title, x_title=x_title, y_title=y_title, errors=errors, horizontal=horizontal
    )
    show_plotly(spec, alt)


def scatter(
    series: Mapping[str, tuple[Any, Any]],
    *,
    title: str,
    x_title: str = "",
    y_title: str = "",
    labels: Any = None,
    diagonal: bool = False,
    alt: str,
) -> None:
    """Points, one marker shape for each series.

    Args:
        series: from each series' name to (x, y), two lists of equal length.
        title: what is shown, in a few words.
        x_title: what x measures, with its unit.
        y_title: what y measures, with its unit.
        labels: a word for each point of the first series, or a dictionary from series names to such lists.
        diagonal: draw the line on which y equals x.
        alt: what is plotted and what it shows.
    """
    alt = checked_alt(alt)
    spec = specs.scatter(series, title=title, x_title=x_title, y_title=y_title, labels=labels, diagonal=diagonal)
    show_plotly(spec, alt)


def histogram(
    series: Mapping[str, Any],
    *,
    title: str,
    x_title: str = "",
    bins: int = 40,
    alt: str,
) -> None:
    """Distributions as outlines over common bins; each outline's steps add up to 1.

    Args:
        series: from each distribution's name to its values, of any shape.
        title: what is shown, in a few words.
        x_title: what the values measure, with its unit.
        bins: into how many equal parts the range of all values is cut.
        alt: what is plotted and what it shows.
    """
    alt = checked_alt(alt)
    show_plotly(specs.histogram(series, title=title, x_title=x_title, bins=bins), alt)
