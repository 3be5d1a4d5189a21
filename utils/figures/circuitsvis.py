"""CircuitsVis without its traps: small, the same bytes every time, and no question to the network.

The package writes its 1.3 MB of script into every figure when it finds no network, and random ids always. Here the
built page loads the script once, a notebook gets it with the first figure of a session, and Colab takes it from the
CDN. Where none of this works, the reader sees a table.
"""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from utils.figures.show import emit, in_build, in_colab, show_fragment
from utils.figures.values import to_json

CDN = "https://unpkg.com/circuitsvis@{version}/dist/cdn/esm.js"
PATIENCE = 80  # times a quarter of a second, until the script of an earlier cell has run

# Draws into every copy of this figure that has no id yet: CircuitsVis finds its element by id.
VIEW = """<div class="dtrs-view" data-figure="{key}" role="group" aria-label="{alt}">{table}</div>
<script>
{library}.then((library) => {{
  for (const view of document.querySelectorAll('.dtrs-view[data-figure="{key}"]:not([id])')) {{
    window.dtrsViews = (window.dtrsViews || 0) + 1;
    view.id = "dtrs-view-" + window.dtrsViews;
    library.render(view.id, library.{component}, {props});
  }}
}}, () => {{}});
</script>"""
IN_PAGE = """new Promise((resolve, reject) => (function look(left) {{
  if (window.CircuitsVis) resolve(window.CircuitsVis);
  else if (left) setTimeout(look, 250, left - 1);
  else reject();
}})({patience}))""".format

_carrier: dict[str, object] = {}  # the cell whose output holds the script in this session


def show_circuitsvis(component: str, props: dict[str, Any], table: str, alt: str) -> None:
    """Display a CircuitsVis component.

    Args:
        component: its name, such as `AttentionPatterns`.
        props: its properties, as JSON can hold them; tokens already escaped.
        table: an HTML table of the same content, for where the script does not run.
        alt: the text alternative, already checked.
    """
    if in_build():
        show_fragment("circuitsvis", {"component": component, "props": props}, alt)
        return
    if in_colab():
        library, script = f'import("{CDN.format(version=version("circuitsvis"))}")', ""
    else:
        library, script = IN_PAGE(patience=PATIENCE), _script_if_needed()
    emit({"text/html": script + view(component, props, table, alt, library), "text/plain": alt})


def view(component: str, props: dict[str, Any], table: str, alt: str, library: str) -> str:
    """The HTML of one figure in a notebook; its key is made from its content, so it never changes by chance."""
    text = to_json(props)
    key = hashlib.sha256(f"{component}{text}".encode()).hexdigest()[:12]
    return VIEW.format(key=key, alt=escape(alt), table=table, library=library, component=component, props=text)


@cache
def bundle() -> str:
    """CircuitsVis' browser script, from the installed package."""
    spec = find_spec("circuitsvis")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("CircuitsVis is not installed: pip install -r requirements.txt.")
    path = Path(spec.origin).parent / "dist" / "cdn" / "iife.js"
    return path.read_text(encoding="utf-8").replace("</script>", "<\\/script>")


def _script_if_needed() -> str:
    """The script for the first figure of a session, and again whenever that figure's cell runs anew."""
    cell = _current_cell()
    if _carrier and (cell is None or _carrier["cell"] != cell):
        return ""
    _carrier["cell"] = cell
    return f"<script>{bundle()}</script>"


def _current_cell() -> object:
    """The id the front end gives to the running cell; None where it gives none."""
    try:
        from IPython import get_ipython

        return get_ipython().get_parent()["metadata"]["cellId"]
    except (ImportError, AttributeError, KeyError, TypeError):
        return None
