"""Put the figure libraries among the site's own files, so that no page asks another host for them.

Plotly and CircuitsVis ship their browser bundles inside their Python packages. They are copied from there at the end of
a build, never kept in git, and loaded by `figures.js` on the pages that have a figure of that kind.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

BUNDLES = {
    "plotly.min.js": ("plotly", "package_data/plotly.min.js"),
    "circuitsvis.js": ("circuitsvis", "dist/cdn/iife.js"),
}
SOURCE_MAP = re.compile(rb"\n//# sourceMappingURL=\S+\s*$")  # names a file that is not served


def bundle_path(package: str, inside: str) -> Path:
    """Where an installed package keeps its browser bundle."""
    spec = find_spec(package)
    path = Path(spec.origin or "").parent / inside if spec else Path(inside)
    if not path.is_file():
        raise ExtensionError(f"The package {package} has no {inside}: install the pinned version from constraints.txt.")
    return path


def copy_bundles(app: Sphinx, error: Exception | None) -> None:
    """Copy each bundle into `_static/` unless the same file lies there already."""
    if error or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    for name, (package, inside) in BUNDLES.items():
        content = SOURCE_MAP.sub(b"", bundle_path(package, inside).read_bytes())
        target = static / name
        if not target.is_file() or target.read_bytes() != content:
            target.write_bytes(content)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", copy_bundles)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
