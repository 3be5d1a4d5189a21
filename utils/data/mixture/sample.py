"""The held-out sample that ships with the book, and token sequences cut from it with a label on every token."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from utils.data.mixture.documents import Document
from utils.data.mixture.sources import SOURCES, documents

SAMPLE = Path(__file__).parent.parent / "samples" / "mixture_held_out.jsonl"
CHARACTERS_A_SOURCE = 60_000
LONGEST_SAMPLED = 2_000  # characters of one document: more documents rather than longer ones


class LabelledTokens(NamedTuple):
    """Token sequences of one source each, with the source and the topic of every token.

    Attributes:
        tokens: each row begins with the beginning token.
        source: index into `SOURCES`.
        topic: index into `topics`.
        topics: "source / topic", in alphabetical order.
    """

    tokens: Int[Tensor, "batch position"]
    source: Int[Tensor, "batch position"]
    topic: Int[Tensor, "batch position"]
    topics: tuple[str, ...]


def sample() -> list[Document]:
    """Documents that no recipe trains on, up to `CHARACTERS_A_SOURCE` of each source (licences: data_and_licences)."""
    return [Document(**json.loads(line)) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


def labelled_windows(
    tokenizer: PreTrainedTokenizerBase, rows: int, length: int, seed: int = 0, sources: tuple[str, ...] = SOURCES
) -> LabelledTokens:
    """Windows of the held-out sample: `rows` of each source, one after the other, as the recipes cut their batches.

    Within a source, documents follow each other with a beginning token between them; a window starts anywhere, and its
    first token is replaced by the beginning token. Windows may overlap.

    Raises:
        ValueError: for an unknown source, or if a source has fewer than `length` tokens.
    """
    if unknown := set(sources) - set(SOURCES):
        raise ValueError(f"There is no source {sorted(unknown)[0]!r}. The mixture has: {', '.join(SOURCES)}.")
    kept = [document for document in sample() if document.source in sources]
    topics = tuple(sorted({f"{document.source} / {document.topic}" for document in kept}))
    generator = torch.Generator().manual_seed(seed)
    pieces = []
    for source in sources:
        ids, labels = _stream([document for document in kept if document.source == source], tokenizer, topics)
        if length > len(ids):
            raise ValueError(f"The sample has {len(ids)} tokens of {source}: too few for windows of {length}.")
        places = torch.randint(0, len(ids) - length + 1, (rows, 1), generator=generator) + torch.arange(length)
        pieces.append((ids[places], torch.full(places.shape, SOURCES.index(source)), labels[places]))
    tokens, sources_of, topics_of = (torch.cat(part) for part in zip(*pieces, strict=True))
    tokens[:, 0] = tokenizer.bos_token_id
    return LabelledTokens(tokens, sources_of, topics_of, topics)


class DocumentWindows(NamedTuple):
    """Token sequences that have no token in common, each from inside one document.

    Attributes:
        tokens, source, topic, topics: as in `LabelledTokens`.
        document: the number of the document, the same on a whole row.
    """

    tokens: Int[Tensor, "batch position"]
    source: Int[Tensor, "batch position"]
    topic: Int[Tensor, "batch position"]
    document: Int[Tensor, "batch position"]
    topics: tuple[str, ...]


def document_windows(
    tokenizer: PreTrainedTokenizerBase, rows: int, length: int, sources: tuple[str, ...] = SOURCES
) -> DocumentWindows:
    """`rows` windows of each source from as many documents as there are: the first of every document, the second …

    For statistics, where `labelled_windows` would count a token twice. Tokens of one document share their topic and
    much else; their number says which ones do.

    Args:
        length: tokens in a row, the beginning token among them.

    Raises:
        ValueError: if a source has fewer than `rows` such windows.
    """
    kept = [document for document in sample() if document.source in sources]
    topics = tuple(sorted({f"{document.source} / {document.topic}" for document in kept}))
    encoded = tokenizer([document.text for document in kept], add_special_tokens=False, verbose=False)["input_ids"]
    pieces, labels = [], []
    for source in sources:
        found = [
            (place, number, ids[place : place + length - 1])
            for number, (document, ids) in enumerate(zip(kept, encoded, strict=True))
            for place in range(0, len(ids) - length + 2, length - 1)
            if document.source == source
        ]
        if len(found) < rows:
            raise ValueError(f"The sample has {len(found)} windows of {length} tokens of {source}: ask for fewer.")
        for _, number, ids in sorted(found)[:rows]:
            pieces.append([tokenizer.bos_token_id, *ids])
            topic = topics.index(f"{source} / {kept[number].topic}")
            labels.append((SOURCES.index(source), topic, number))
    tokens = torch.tensor(pieces)
    columns = (torch.tensor(part)[:, None].expand_as(tokens) for part in zip(*labels, strict=True))
    source_of, topic_of, document_of = columns
    return DocumentWindows(tokens, source_of, topic_of, document_of, topics)


def _stream(
    of_source: list[Document], tokenizer: PreTrainedTokenizerBase, topics: tuple[str, ...]
) -> tuple[Int[Tensor, "token"], Int[Tensor, "token"]]:
    """A source's documents as one row of tokens, each after a beginning token, and the topic of each token."""
    ids: list[int] = []
    labels: list[int] = []
    texts = [document.text for document in of_source]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    for document, row in zip(of_source, encoded, strict=True):
        ids += [tokenizer.bos_token_id, *row]
        labels += [topics.index(f"{document.source} / {document.topic}")] * (len(row) + 1)
    return torch.tensor(ids), torch.tensor(labels)


def write_sample(seed: int = 0) -> None:
    """Makes the shipped sample again: held-out documents, cut to `LONGEST_SAMPLED`, the topics of a source in turn."""
    held_out = list(documents(held_out=True))
    random.Random(seed).shuffle(held_out)
    turns: Counter[tuple[str, str]] = Counter()
    queue = []
    for document in held_out:
        turns[document.source, document.topic] += 1
        queue.append((turns[document.source, document.topic], document))
    queue.sort(key=lambda entry: entry[0])  # the first of every topic, then the second of every topic …
    room = dict.fromkeys(SOURCES, CHARACTERS_A_SOURCE)
    chosen = []
    for _, document in queue:
        if room[document.source] > 0:
            chosen.append(document._replace(text=document.text[:LONGEST_SAMPLED]))
            room[document.source] -= len(chosen[-1].text)
    chosen.sort(key=lambda document: SOURCES.index(document.source))
    lines = (json.dumps(document._asdict(), ensure_ascii=False) for document in chosen)
    SAMPLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
