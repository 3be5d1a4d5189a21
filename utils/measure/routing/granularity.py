"""How the information in routing depends on how fine the labels are, and on which way they are cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from utils.measure.routing.conditional import added_information
from utils.measure.routing.information import Information, entropy, mutual_information
from utils.measure.routing.nulls import over_sequences


class Grain(NamedTuple):
    """What one labelling tells about the expert.

    Attributes:
        labels: how many occur.
        information: in bits, corrected, with its interval.
        null: the same for labels dealt out at random, the largest of some draws.
        of: the entropy of the experts in bits, the most there is to tell.
    """

    labels: int
    information: Information
    null: float
    of: float


def granularity_sweep(
    labellings: Mapping[str, Int[Tensor, "batch pos"]],
    experts: Int[Tensor, "batch pos"],
    given: Int[Tensor, "batch pos"] | None = None,
    draws: int = 5,
    folds: int = 40,
) -> dict[str, Grain]:
    """Bits that each labelling of the same tokens tells about their experts, beside a null by permutation.

    Without `given` the estimate is that of `mutual_information`, and the null deals labels out to other sequences
    (`over_sequences`). With it, both come from labels dealt out among tokens that share its value: `added_information`.

    Args:
        labellings: from a name to a label for each token: sources, topics, token classes, tokens, places …
        experts: one for each token, such as the first choices.
        given: what is known already, such as the token.
        draws: how many times labels are dealt out; at least 20 times if `given`.
        folds: as in `mutual_information`.
    """
    most = entropy(torch.bincount(experts.flatten()))
    if given is not None:
        added = {name: added_information(labels, experts, given, max(20, draws)) for name, labels in labellings.items()}
        return {
            name: Grain(len(labellings[name].unique()), found.information, found.chance, most)
            for name, found in added.items()
        }
    sequences = torch.arange(len(experts))[:, None].expand_as(experts)

    def bits(labels: Tensor) -> Information:
        return mutual_information(labels, experts, sequences, folds=folds)

    return {
        name: Grain(
            len(labels.unique()),
            bits(labels),
            max(bits(over_sequences(labels, seed)).bits for seed in range(draws)),
            most,
        )
        for name, labels in labellings.items()
    }


def merged(labels: Int[Tensor, "*token"], to: int, order: Int[Tensor, " label"]) -> Int[Tensor, "*token"]:
    """Fewer labels: neighbours in `order` become one. From one order, the coarser labels are unions of the finer ones.

    Raises:
        ValueError: if the labels in `order` do not divide into `to` equal parts.
    """
    if len(order) % to:
        raise ValueError(f"{len(order)} labels do not divide into {to} equal parts.")
    return order.argsort()[labels] // (len(order) // to)


def labellings(
    tokens: Int[Tensor, "batch pos"],
    source: Int[Tensor, "batch pos"],
    topic: Int[Tensor, "batch pos"],
    token_class: Int[Tensor, " d_vocab"],
    places: int = 8,
) -> dict[str, Int[Tensor, "batch pos"]]:
    """The labels that a model's tokens have, for `granularity_sweep`: of the text, of the token, and of both.

    Args:
        source, topic: of the text, as in `utils.data.mixture.labelled_windows`; a topic belongs to one source.
        token_class: of every token of the vocabulary, as from `token_classes`.
        places: into how many equal parts a sequence is cut.
    """
    classes = token_class[tokens]
    position = torch.arange(tokens.shape[1]).expand_as(tokens)
    return {
        "source": source,
        "topic": topic,
        "token class": classes,
        "source × class": source * (int(token_class.max()) + 1) + classes,
        "token": tokens,
        "position": position * places // tokens.shape[1],
    }
