"""Rich output where there is a front end for it, nothing where there is not."""

from __future__ import annotations

import os
import sys


def in_build() -> bool:
    """Whether the book is being built, so that pages get forms instead of printed questions."""
    return os.environ.get("DTRS_BUILD") == "1"


def in_notebook() -> bool:
    """Whether a Jupyter kernel is running this code."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def show(html: str, plain: str) -> None:
    """Display an HTML fragment with its plain-text form; outside a notebook print the latter."""
    if in_notebook():
        from IPython.display import display

        display({"text/html": html, "text/plain": plain}, raw=True)
    elif plain:
        print(plain)
