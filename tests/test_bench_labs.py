"""The bench of the labs times what it says it times, and fails loudly when a lab does not work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from bench_labs import FORWARD, REPEATS, keystroke_rows, keystrokes, lab_rows, mark_times, move_times
from lab_files import copy_labs
from labs import write_page
from visit import served

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.browser


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site with the labs' files and one page that holds no lab."""
    copy_labs(SimpleNamespace(srcdir=ROOT, outdir=tmp_path, builder=SimpleNamespace(format="html")), None)  # type: ignore[arg-type]
    (tmp_path / "page.html").write_text("<!doctype html><title>a page</title><p>text")
    return tmp_path


def test_every_kind_of_keystroke_is_timed_beside_the_same_pass_in_torch(chromium: Any, site: Path) -> None:
    with served(site) as address:
        times = keystrokes(chromium, address)
    rows = keystroke_rows(times)
    assert len(rows) == len(times) == 5 and rows[-1] == (FORWARD, f"{median(times[FORWARD]):.1f} ms  1.00 ×")
    assert all(value > 0 for each in times.values() for value in each)


@pytest.mark.parametrize(("lab", "times_of"), [("othello", move_times), ("experts", mark_times)])
def test_presses_in_a_lab_are_timed_one_by_one(
    chromium: Any, site: Path, lab: str, times_of: Callable[[Any, str, str], list[float]]
) -> None:
    write_page(site, lab)
    with served(site) as address:
        times = times_of(chromium, address, "page.html")
    assert len(times) == REPEATS and all(value > 0 for value in times)


def test_a_lab_that_is_nowhere_or_broken_stops_the_bench(chromium: Any, site: Path) -> None:
    with served(site) as address:
        with pytest.raises(RuntimeError, match="^No page of the built site holds the lab stream"):
            lab_rows(chromium, site, address)
        figure = '<figure class="dtrs-lab" data-lab="stream"><div class="dtrs-lab-mount"></div></figure>'
        (site / "page.html").write_text(f'<!doctype html><script defer src="_static/labs.js"></script>{figure}')
        shutil.copyfile(ROOT / "book" / "_static" / "labs.js", site / "_static" / "labs.js")
        (site / "_static" / "labs" / "stream.js").write_text("export const broken = 1;")
        with pytest.raises(RuntimeError, match="^A lab on page.html does not come to life"):
            lab_rows(chromium, site, address)
