"""Tokens as text a reader can tell apart."""

from __future__ import annotations

from html import escape
from typing import Any

from jaxtyping import Int
from torch import Tensor

BOS_LABEL = "⟨BOS⟩"
VISIBLE = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}
ZERO_WIDTH = "\u200b"


def token_labels(model: Any, tokens: Int[Tensor, "pos"]) -> list[str]:
    """One readable label for each token: spaces as ␣, line breaks as ⏎, the sequence's beginning as ⟨BOS⟩.

    A token that is only a part of a character is shown as its bytes, `\\xe2` for example. Labels are plain text, and
    two equal tokens have equal labels: the figures escape them and keep them apart.

    Args:
        model: anything with a `tokenizer`; without one the labels are the token ids.
        tokens: token ids, one axis.

    Raises:
        ValueError: if `tokens` has more than one axis.
    """
    ids = tokens.tolist() if hasattr(tokens, "tolist") else list(tokens)
    if any(not isinstance(token, int) for token in ids):
        raise ValueError("token_labels takes one sequence of token ids: pick a row, as in tokens[0].")
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        return [str(token) for token in ids]
    return [_label(tokenizer, token) for token in ids]


def _label(tokenizer: Any, token: int) -> str:
    if token == tokenizer.bos_token_id:
        return BOS_LABEL
    if token in tokenizer.all_special_ids:
        return str(tokenizer.convert_ids_to_tokens(token))
    text = tokenizer.decode([token], clean_up_tokenization_spaces=False)
    if "\ufffd" in text:
        text = _bytes_of(str(tokenizer.convert_ids_to_tokens(token)))
    shown = "".join(VISIBLE.get(c, c if c.isprintable() else f"\\u{ord(c):04x}") for c in text)
    return shown or "∅"


def _byte_alphabet() -> dict[str, int]:
    """The letter that byte-level BPE writes for each byte: printable bytes stand for themselves (Radford 2019)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _bytes_of(piece: str) -> str:
    """A piece of a character in byte-level BPE's alphabet as text, its stray bytes as `\\xNN`."""
    alphabet = _byte_alphabet()
    if any(letter not in alphabet for letter in piece):
        return piece
    return bytes(alphabet[letter] for letter in piece).decode("utf-8", errors="backslashreplace")


def markup(label: object) -> str:
    """`label` as text for Plotly and CircuitsVis, which both read `<b>` and `&amp;` as markup."""
    return escape(str(label), quote=False)


def categories(labels: list[str]) -> list[str]:
    """Labels for a category axis: escaped, and equal ones told apart by zero-width spaces that nobody sees."""
    seen: dict[str, int] = {}
    distinct = []
    for label in map(markup, labels):
        distinct.append(label + ZERO_WIDTH * seen.get(label, 0))
        seen[label] = seen.get(label, 0) + 1
    return distinct
