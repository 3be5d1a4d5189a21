"""The replication card: what was published, what we measured, and the control that must fail."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from html import escape
from typing import SupportsFloat

from utils.figures.show import emit

COLUMNS = ("quantity", "published", "ours", "band", "spread", "control", "verdict")
WIDTH = 26  # characters of a column in the plain-text table

# Under 640 px each row becomes a block of its own, with the column's name before each cell.
STYLE = """<style>
.dtrs-card{overflow-x:auto;margin:1rem 0}
.dtrs-card table{border-collapse:collapse;width:100%;font-size:.92em}
.dtrs-card caption{text-align:left;font-weight:600;padding:.3rem 0;caption-side:top;color:inherit}
.dtrs-card th,.dtrs-card td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #7c868b}
.dtrs-card small{display:block;opacity:.85}
@media (max-width:640px){
.dtrs-card table,.dtrs-card caption,.dtrs-card tbody,.dtrs-card tr,.dtrs-card th,.dtrs-card td{display:block}
.dtrs-card thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.dtrs-card tr{border-bottom:2px solid #7c868b;padding:.4rem 0}
.dtrs-card th,.dtrs-card td{border:0;padding:.1rem 0}
.dtrs-card td::before{content:attr(data-label) ": ";font-weight:600}
}
</style>"""


@dataclass(frozen=True)
class Row:
    """One replicated quantity.

    Args:
        quantity: what is measured, with its unit.
        ours: the value measured in this run.
        band: (low, high), both included: where the value must lie for the claim to hold here. Choose it from the
            claim and from the spread over seeds, before looking.
        published: the published value or statement, as text.
        control: the same measurement where the claim must fail; None only where no control is possible.
        control_name: what the control is, such as `random weights`; without a control, why there is none.
        source: where the published value stands.
        spread: how much the value varies, and over what, such as `0.03 over 5 seeds`.
        digits: decimals shown.
    """

    quantity: str
    ours: SupportsFloat
    band: tuple[float, float]
    published: str
    control: SupportsFloat | None
    control_name: str
    source: str
    spread: str = ""
    digits: int = 2

    def problem(self) -> str:
        """What is wrong with the row in one sentence, or nothing."""
        low, high = self.band
        ours = self.number(self.ours)
        if not low <= high:
            return f"{self.quantity}: the band {self.band} is upside down."
        if not self.control_name.strip():
            return f"{self.quantity}: say what the control is, or why there is none."
        if not low <= float(self.ours) <= high:
            return f"{self.quantity}: our value {ours} is outside the band {self.interval()}."
        if self.control is None:
            return ""
        control = self.number(self.control)
        if math.isnan(float(self.control)):
            return f"{self.quantity}: the control ({self.control_name}) is not a number."
        if low <= float(self.control) <= high:
            inside = f"gives {control}, inside the band {self.interval()}"
            return f"{self.quantity}: the control ({self.control_name}) {inside}."
        return ""

    def number(self, value: SupportsFloat) -> str:
        """A value with the row's decimals, and no sign before zero."""
        text = f"{float(value):.{self.digits}f}"
        return text.removeprefix("-") if float(text) == 0 else text

    def interval(self) -> str:
        """The band, open ends as words."""
        low, high = self.band
        if math.isinf(high):
            return f"at least {self.number(low)}"
        if math.isinf(low):
            return f"at most {self.number(high)}"
        return f"{self.number(low)} to {self.number(high)}"

    def cells(self) -> tuple[str, ...]:
        """The row's entries in the order of `COLUMNS`."""
        control = self.control_name if self.control is None else f"{self.number(self.control)} ({self.control_name})"
        if self.problem():
            verdict = "does not hold"
        else:
            verdict = "holds" if self.control is None else "holds; control rejected"
        ours = self.number(self.ours)
        return (self.quantity, self.published, ours, self.interval(), self.spread or "–", control, verdict)


def replication_card(rows: list[Row], *, title: str) -> None:
    """Show the card, then insist on it.

    Args:
        rows: one for each quantity; see `Row`.
        title: the card's heading.

    Raises:
        AssertionError: if a value is outside its band, or a control inside it; the sentence names the row.
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("A replication card needs at least one row.")
    emit({"text/html": html_card(rows, title), "text/plain": text_card(rows, title)})
    for row in rows:
        if problem := row.problem():
            raise AssertionError(problem)


def html_card(rows: list[Row], title: str) -> str:
    """The card as an HTML table."""
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = []
    for row in rows:
        quantity, published, *others = (escape(cell) for cell in row.cells())
        published = f"{published}<small>{escape(row.source)}</small>"
        cells = zip(COLUMNS[1:], [published, *others], strict=True)
        data = "".join(f'<td data-label="{name}">{cell}</td>' for name, cell in cells)
        body.append(f'<tr><th scope="row">{quantity}</th>{data}</tr>')
    table = (
        f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )
    label = escape(f"Replication card: {title}")
    return f'{STYLE}<div class="dtrs-card" role="region" tabindex="0" aria-label="{label}">{table}</div>'


def text_card(rows: list[Row], title: str) -> str:
    """The card as aligned plain text, long cells on several lines."""
    table = [
        [textwrap.wrap(cell, WIDTH) or [""] for cell in line] for line in [COLUMNS, *(row.cells() for row in rows)]
    ]
    widths = [max(len(piece) for line in table for piece in line[column]) for column in range(len(COLUMNS))]
    lines = [title]
    for index, cells in enumerate(table):
        for level in range(max(len(cell) for cell in cells)):
            pieces = (cell[level] if level < len(cell) else "" for cell in cells)
            lines.append("  ".join(piece.ljust(width) for piece, width in zip(pieces, widths, strict=True)).rstrip())
        if index == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)
