"""Many texts that begin alike, read once: a common beginning is computed a single time.

A text cut off after each of its steps, or forty questions under the same examples, repeat most of their tokens. Packed
into one row, each token stands once; it sees its own beginning and nothing else, and has the position that it has in
its own text. What a model computes is the same as for the texts one by one, in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass
class Row:
    """A tree of texts, written out so that every token comes after those it sees.

    Attributes:
        tokens: of all texts in the row.
        positions: for each token its place in its own text.
        starts: for each stretch of new tokens `(first, end, path)`: `path` are the places of what stands before it.
        ends: for each text `(index of the text, place of its last token)`.
    """

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    starts: list[tuple[int, int, list[int]]] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)

    def add(self, index: int, text: tuple[int, ...], path: list[int]) -> list[int]:
        """Adds what of `text` comes after `path`, the places of its first tokens; returns the places of all of it."""
        first, end = len(self.tokens), len(self.tokens) + len(text) - len(path)
        self.tokens += text[len(path) :]
        self.positions += range(len(path), len(text))
        self.starts.append((first, end, path))
        whole = path + list(range(first, end))
        self.ends.append((index, whole[-1]))
        return whole

    def sees(self, width: int) -> Bool[Tensor, "query key"]:
        """Which tokens each token may look at; padding sees itself."""
        sees = torch.eye(width, dtype=torch.bool)
        for first, end, path in self.starts:
            sees[first:end, path] = True
            sees[first:end, first:end] = torch.ones(end - first, end - first).tril().bool()
        return sees


def pack(texts: Sequence[tuple[int, ...]], width: int) -> list[Row]:
    """Texts in rows of at most `width` tokens (a longer text has a row of its own), shortest row first."""
    rows: list[Row] = []
    before: tuple[int, ...] = ()
    path: list[int] = []
    for index in sorted(range(len(texts)), key=lambda index: texts[index]):
        text = texts[index]
        shared = _shared(before, text)
        if not rows or len(rows[-1].tokens) + len(text) - shared > width:
            rows.append(Row())
            shared = 0
        path = rows[-1].add(index, text, path[:shared])
        before = text
    return sorted(rows, key=lambda row: len(row.tokens))


def batches(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Rows in the same order, as many at a time as make up to about `size` tokens with their padding."""
    found: list[list[Row]] = []
    for row in rows:
        if found and (len(found[-1]) + 1) * len(row.tokens) <= size:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def tensors(
    rows: Sequence[Row],
) -> tuple[Int[Tensor, "row pos"], Int[Tensor, "row pos"], Bool[Tensor, "row 1 query key"]]:
    """Tokens, positions and what each token sees, padded on the right."""
    width = max(len(row.tokens) for row in rows)
    tokens, positions = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(2))
    for index, row in enumerate(rows):
        tokens[index, : len(row.tokens)] = torch.tensor(row.tokens)
        positions[index, : len(row.tokens)] = torch.tensor(row.positions)
    return tokens, positions, torch.stack([row.sees(width) for row in rows])[:, None]


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many tokens two texts have in common at their beginning."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
