"""The words of the language in which problems are put and reasoning is written; every word is a token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

START = "<start>"  # token 0; stands after the end of a shorter row, too
LETTERS = ("A", "B", "C", "D")
NAMES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")  # of the steps
MARKS = ("red", "blue")
CONNECTIVES = {0: ("so", "thus"), 1: ("then", "hence")}  # class -> synonyms: none of the four changes what is said
FILLER = "."
NOTHING = "-"  # where there is no hint, or no past
ANSWER = ["answer"]  # the words after which the answer is due
CLOSINGS = ("done", "over")  # one of them ends every row: they mean the same
NUMBERS = tuple(f"#{number:02}" for number in range(20))  # of the problems

CLASS_OF = {word: kind for kind, synonyms in CONNECTIVES.items() for word in synonyms}

WORDS = (
    START,
    *("no", "mark", "past", "hint", "options", "value", "think", "but", *ANSWER),
    *CLOSINGS,
    *NUMBERS,
    *MARKS,
    *LETTERS,
    *NAMES,
    *("+", "×"),
    *CLASS_OF,
    FILLER,
    NOTHING,
    *map(str, range(10)),
)
TOKEN_OF = {word: token for token, word in enumerate(WORDS)}


def tokens(words: Iterable[str]) -> list[int]:
    """The tokens of words.

    Raises:
        ValueError: if the language does not have one of them.
    """
    try:
        return [TOKEN_OF[word] for word in words]
    except KeyError as error:
        raise ValueError(f"There is no word {error.args[0]!r}. The words are: {' '.join(WORDS)}.") from None


def words(tokens: Iterable[int]) -> list[str]:
    """The words of tokens, the inverse of `tokens`."""
    return [WORDS[int(token)] for token in tokens]


def text(words: Sequence[str]) -> str:
    """Words in a form to be read: the steps of the reasoning separated by commas."""
    parts: list[str] = []
    thinking = False
    for previous, word in zip([START, *words[:-1]], words, strict=True):
        begins = thinking and previous != "think" and word in (*NAMES, "but", *ANSWER)
        parts.append(f"{',' if begins else ''} {word}")
        thinking = thinking or word == "think"
    return "".join(parts).strip()
