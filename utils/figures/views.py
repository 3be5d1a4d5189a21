"""Views of tokens: attention patterns and coloured text, drawn by CircuitsVis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from utils.figures.circuitsvis import show_circuitsvis
from utils.figures.labels import markup
from utils.figures.show import checked_alt
from utils.figures.style import PALETTE
from utils.figures.values import rounded, same_length, to_array


def attention(
    tokens: Sequence[str],
    pattern: Float[Tensor, "head query key"],
    *,
    labels: Sequence[str] | None = None,
    alt: str,
) -> None:
    """Attention patterns over the tokens themselves: choose a head, then a token, and see where it looks.

    Args:
        tokens: one label for each position, as from `token_labels`.
        pattern: attention from each query position to each key position, one matrix for each head.
        labels: a name for each head; without them they are counted from 0.
        alt: what is plotted and what it shows.

    Raises:
        ValueError: if the shapes do not fit together or `alt` says too little.
    """
    alt = checked_alt(alt)
    array = to_array(pattern, "pattern")
    if array.ndim != 3 or array.shape[1] != array.shape[2]:
        raise ValueError(f"pattern must have shape (head, query, key) with as many queries as keys, not {array.shape}.")
    same_length(array.shape[1], len(tokens), "each head's pattern", "tokens")
    names = [f"head {head}" for head in range(len(array))] if labels is None else [str(label) for label in labels]
    same_length(len(names), len(array), "labels", "pattern")
    words = [markup(token) for token in tokens]
    props = {"tokens": words, "attention": rounded(np.round(array, 3)), "headLabels": names}
    show_circuitsvis("AttentionPatterns", props, _strongest(words, array, names), alt)


def coloured_tokens(tokens: Sequence[str], values: Float[Tensor, "pos"], *, alt: str) -> None:
    """A text in which each token's background shows its value: blue above 0, vermilion below, white at 0.

    Args:
        tokens: one label for each position, as from `token_labels`.
        values: one number for each token.
        alt: what is plotted and what it shows.

    Raises:
        ValueError: if there are more or fewer values than tokens, or `alt` says too little.
    """
    alt = checked_alt(alt)
    array = to_array(values, "values", 1)
    same_length(len(array), len(tokens), "values", "tokens")
    if not np.isfinite(array).all():
        raise ValueError("values holds numbers that are not finite: replace or leave out these tokens.")
    words = [markup(token) for token in tokens]
    numbers = rounded(array)
    scale = float(np.abs(array).max(initial=0)) or 1.0
    props = {
        "tokens": words,
        "values": numbers,
        "minValue": -scale,
        "maxValue": scale,
        "positiveColor": PALETTE[0],
        "negativeColor": PALETTE[1],
    }
    rows = "".join(f"<tr><th scope='row'>{word}</th><td>{n}</td></tr>" for word, n in zip(words, numbers, strict=True))
    head = "<tr><th scope='col'>token</th><th scope='col'>value</th></tr>"
    show_circuitsvis("ColoredTokens", props, f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>", alt)


def _strongest(words: list[str], pattern: np.ndarray, names: list[str]) -> str:
    """Where each head looks most from each position, as a table."""
    head = "".join(f"<th scope='col'>{markup(name)}</th>" for name in ["from", *names])
    rows = []
    for query, word in enumerate(words):
        cells = []
        for matrix in pattern:
            key = int(matrix[query].argmax())
            cells.append(f"<td>{words[key]} ({matrix[query, key]:.2f})</td>")
        rows.append(f"<tr><th scope='row'>{word}</th>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
