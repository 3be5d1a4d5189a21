"""Notebook runs compare text only: figures, widgets and scripts are made anew by every build."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "book"))

from notebooks import KERNEL_SETTINGS  # noqa: E402

os.environ |= KERNEL_SETTINGS  # kernels started by nbval run as those that stored the results

RICH_MIME_TYPES = (
    "text/html",
    "text/latex",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "application/javascript",
    "application/json",
    "application/vnd.plotly.v1+json",
    "application/vnd.jupyter.widget-view+json",
)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Leave rich outputs out of nbval's comparison; stored notebooks keep only their text."""
    if isinstance(getattr(collector, "skip_compare", None), tuple):
        collector.skip_compare += RICH_MIME_TYPES  # type: ignore[attr-defined]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Built pages and the environment hold notebooks too; they are not tests."""
    return True if {"_build", ".venv"} & set(collection_path.parts) else None
