"""Text or a table that follows a value the reader chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from typing import Any

from utils.figures.show import checked_alt, emit, in_build, show_fragment

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def explore(function: Callable[[Any], str], *, alt: str, start: Any = None, **parameter: Sequence[Any]) -> None:
    """Show what `function` returns for one of several values, with a slider to choose it.

    With a kernel the function runs when the reader moves the slider. The built page holds every result already, and
    its slider works without one.

    Args:
        function: from one value to HTML (a string that starts with `<`) or to plain text, which keeps its columns.
        alt: what is shown and how it changes with the value.
        start: the value shown first; without it the middle one.
        **parameter: exactly one, the slider's name and the values it takes, as in `layer=range(6)`.

    Raises:
        ValueError: if there is not exactly one parameter, if it has no values, or if `start` is none of them.
        TypeError: if the function returns something other than a string.
    """
    alt = checked_alt(alt)
    if len(parameter) != 1:
        raise ValueError(f"explore takes exactly one parameter with its values, not {len(parameter)}: layer=[0, 1, 2].")
    ((name, values),) = parameter.items()
    choices = list(values)
    if not choices:
        raise ValueError(f"explore needs at least one value for {name!r}.")
    if start is not None and start not in choices:
        raise ValueError(f"start is {start!r}, which is none of the values of {name!r}.")
    first = len(choices) // 2 if start is None else choices.index(start)
    title = name.replace("_", " ")
    labels = [_label(choice) for choice in choices]
    if in_build():
        panels = [panel(function, choice) for choice in choices]
        show_fragment("explore", {"name": title, "values": labels, "panels": panels, "start": first}, alt)
    else:
        emit(_live(function, title, choices, labels, first) | {"text/plain": alt})


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def panel(function: Callable[[Any], str], value: Any) -> str:
    """What the function says of one value, as HTML."""
    content = function(value)
    if not isinstance(content, str):
        raise TypeError(f"The function given to explore must return a string, not {type(content).__name__}.")
    return content if content.lstrip().startswith("<") else f"<pre>{escape(content, quote=False)}</pre>"


def _live(
    function: Callable[[Any], str], title: str, choices: list[Any], labels: list[str], first: int
) -> dict[str, Any]:
    """A slider and a panel that a running kernel keeps up to date, as a MIME bundle."""
    import ipywidgets as widgets

    at = cache(lambda index: panel(function, choices[index]))
    control = widgets.SelectionSlider(
        options=[(label, index) for index, label in enumerate(labels)],
        index=first,
        description=title,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "min(100%, 30rem)"},
    )
    shown = widgets.HTML(at(first))
    control.observe(lambda change: setattr(shown, "value", at(change["new"])), names="value")
    box = widgets.VBox([control, shown])
    return {
        WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": box.model_id},
        "text/html": at(first),
    }
