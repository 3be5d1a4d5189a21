"""The house style: colours that hold in light and dark, and the layout every plot starts from.

**Lines and markers.** The first three colours are the blue, vermilion and green of Okabe and Ito's palette for
colour-blind readers; their orange, sky blue and yellow are too pale for a white page. The other three were searched for
among colours that have a contrast of at least 3:1 against both of the book's backgrounds, as those as far as possible
from the ones before under simulated protanopia, deuteranopia and tritanopia. Colour is never the only sign: each series
has its own dash, marker and fill pattern too.

**Sequential.** Viridis: perceptually uniform, monotone in lightness, made with colour-blind readers in mind.

**Diverging.** Blue to brown-orange, two hues that all three kinds of dichromats tell apart, with equal lightness on
both sides of a neutral grey. The grey is light enough to recede on paper and grey enough not to glare on a dark page.
"""

from __future__ import annotations

import os
from typing import Any

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#a06aec", "#886177", "#b45244")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "x")
PATTERNS = ("", "/", ".", "x", "-", "|")
NEUTRAL = "#7c868b"  # reference lines: 3:1 on both backgrounds, and no series has it

SEQUENTIAL = "Viridis"
DIVERGING = [
    [0.0, "#0b5394"],
    [0.25, "#6b94bd"],
    [0.5, "#d0d2d1"],
    [0.75, "#cc8f60"],
    [1.0, "#a04a00"],
]

BACKGROUNDS = {"light": "#fdfcf9", "dark": "#10181c"}  # of the book's pages, and of figures in a notebook
INK = {"light": "#2f3d43", "dark": "#c4d0d2"}
GRID = {"light": "#e3e0d7", "dark": "#263339"}
AXIS = {"light": "#b3b0a6", "dark": "#4d5d64"}

HEIGHT = 380  # px, of a plot with ordinary axes


def series_style(index: int) -> dict[str, str]:
    """Colour, dash, symbol and pattern of the series at `index`, counted from 0.

    After six the colours come again, with other dashes, symbols and patterns, so that 36 series differ.
    """
    place = index % len(PALETTE)
    other = (index + index // len(PALETTE)) % len(PALETTE)
    return {
        "colour": PALETTE[place],
        "dash": DASHES[other],
        "symbol": SYMBOLS[other],
        "pattern": PATTERNS[other],
    }


def translucent(colour: str, opacity: float) -> str:
    """A `#rrggbb` colour with an opacity between 0 and 1."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def layout(title: str, x_title: str = "", y_title: str = "", height: int = HEIGHT) -> dict[str, Any]:
    """What every plot starts from. It names no colour: the page and `themed` add those of the theme."""
    return {
        "height": height,
        "title": {"text": title, "x": 0, "xanchor": "left", "pad": {"l": 8}},
        "margin": {"l": 56, "r": 16, "t": 48, "b": 48},
        "xaxis": {"title": {"text": x_title, "standoff": 8}, "automargin": True, "zeroline": False},
        "yaxis": {"title": {"text": y_title, "standoff": 8}, "automargin": True, "zeroline": False},
        "showlegend": False,
        "hovermode": "closest",
    }


def theme() -> str:
    """The theme of figures in notebooks: `light`, or `dark` where the environment variable DTRS_THEME says so."""
    name = os.environ.get("DTRS_THEME", "light")
    if name not in BACKGROUNDS:
        raise ValueError(f"DTRS_THEME is {name!r}: set it to light or dark, or remove it.")
    return name


def themed(spec: dict[str, Any]) -> dict[str, Any]:
    """The plot with a notebook's colours and, if it has frames, room for Plotly's own slider under it."""
    name = theme()
    plain = spec["layout"]
    axes = {"gridcolor": GRID[name], "linecolor": AXIS[name], "tickcolor": AXIS[name], "zerolinecolor": AXIS[name]}
    full = plain | {
        "paper_bgcolor": BACKGROUNDS[name],
        "plot_bgcolor": BACKGROUNDS[name],
        "font": {"color": INK[name], "size": 13},
        "hoverlabel": {"bgcolor": BACKGROUNDS[name], "bordercolor": AXIS[name], "font": {"color": INK[name]}},
        "xaxis": plain["xaxis"] | axes,
        "yaxis": plain["yaxis"] | axes,
    }
    if "sliders" in plain:
        extra = 90  # px
        full["height"] = plain["height"] + extra
        full["margin"] = plain["margin"] | {"b": plain["margin"]["b"] + extra}
        if "legend" in plain:  # its place is the slider's now
            full["legend"] = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
            full["margin"]["t"] += 24
    return spec | {"layout": full}
