"""Keep only the icons that the pages use.

The theme's icon script holds two thousand icons, half a megabyte after compression on every first visit, and stands
before the page's text. After a build it is written anew from the theme's package with those that some page names.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

SCRIPT = Path("scripts") / "fontawesome.js"
ICON = re.compile(r'"?(?P<name>[a-z0-9-]+)"?:\[\d+,\d+,\[(?P<others>[^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?')
NAMED = re.compile(r"\bfa-([a-z0-9-]+)")
logger = logging.getLogger(__name__)


def named_icons(texts: list[str]) -> set[str]:
    """The icons that pages or scripts name, as in `fa-rocket`."""
    return {name for text in texts for name in NAMED.findall(text)}


def only(script: str, names: set[str]) -> str:
    """The icon script without the icons that are in `names` neither by name nor by an older name."""

    def kept(icon: re.Match[str]) -> str:
        older = re.findall(r'"([a-z0-9-]+)"', icon["others"])
        return icon[0] if names & {icon["name"], *older} else ""

    return ICON.sub(kept, script)


def trim(app: Sphinx, error: Exception | None) -> None:
    """Write the trimmed script into the built site."""
    static = Path(app.outdir) / "_static"
    theme = find_spec("pydata_sphinx_theme")
    if error or app.builder.format != "html" or theme is None:
        return
    origin = Path(theme.origin or "").parent / "theme" / "pydata_sphinx_theme" / "static" / SCRIPT
    if not origin.is_file():
        logger.warning("The theme no longer has %s, so its icons were not trimmed.", SCRIPT)
        return
    readers = [*Path(app.outdir).rglob("*.html"), *(path for path in static.rglob("*.js") if path.name != SCRIPT.name)]
    names = named_icons([path.read_text(encoding="utf-8", errors="ignore") for path in readers])
    (static / SCRIPT).write_text(only(origin.read_text(encoding="utf-8"), names), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", trim, priority=900)  # after every page is written
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
