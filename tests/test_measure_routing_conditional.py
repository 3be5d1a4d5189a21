"""What a label adds to the token: nothing where there is nothing, though most tokens come once or twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from utils.measure import routing
from utils.measure.routing import added_information, conditional


def world(seed: int, label_share: float = 0.0, favourite_share: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, experts and tokens: tokens as uneven as words, each with an expert of its own, and with its topics.

    Sequences prefer an expert, for no reason that has to do with the label; a share of the tokens follows the label.
    """
    dice = torch.Generator().manual_seed(seed)
    rows, length, words = 96, 40, 1500
    label = torch.arange(rows) % 8
    often = (1 + 2 * (torch.rand(8, words, generator=dice) < 0.3)) / (torch.arange(words) + 3)
    tokens = torch.multinomial(often[label], length, replacement=True, generator=dice)
    labels = label[:, None].expand_as(tokens)

    def some(share: float) -> Tensor:
        return torch.rand(tokens.shape, generator=dice) < share

    anything = torch.randint(8, tokens.shape, generator=dice)
    experts = torch.where(some(0.5), torch.randint(8, (words,), generator=dice)[tokens], anything)
    favourite = torch.randint(8, (rows, 1), generator=dice).expand_as(tokens)
    return (
        labels,
        torch.where(some(label_share), labels, torch.where(some(favourite_share), favourite, experts)),
        tokens,
    )


def test_nothing_is_found_where_there_is_nothing() -> None:
    found = [added_information(*world(seed)).information for seed in range(20)]
    bits = torch.tensor([one.bits for one in found])
    assert bits.mean().abs() < 3 * bits.std() / 20**0.5 and bits.abs().max() < 0.05
    assert sum(one.low <= 0 <= one.high for one in found) >= 16  # of 20, where 19 are expected
    assert min(one.plug_in for one in found) > 0.5


def test_the_jackknife_would_be_fooled_by_rare_tokens() -> None:
    """Why this estimate deals labels out: leaving out one group of sequences at a time finds bits in the same world."""
    labels, experts, tokens = world(0)
    counts = torch.zeros(12, 1500, 8, 8, dtype=torch.long)  # sequences i, i + 12, … have labels i % 4 and i % 4 + 4
    group = (torch.arange(len(labels)) % 12)[:, None].expand_as(labels)
    counts.index_put_((group, tokens, labels, experts), torch.ones_like(labels), accumulate=True)
    plug_in = routing.information.information_in(counts.sum(0))
    left_out = [routing.information.information_in(counts.sum(0) - one) for one in counts]
    assert 12 * plug_in - 11 * sum(left_out) / 12 > 0.3
    assert added_information(labels, experts, tokens).information.low < 0


def test_what_the_label_adds_is_found_and_what_the_token_tells_is_not() -> None:
    labels, experts, tokens = world(0, label_share=0.4)
    found = added_information(labels, experts, tokens)
    assert found.information.low > 0.1 > found.chance
    by_token = added_information(labels, tokens % 8, tokens)
    assert by_token.information.bits == pytest.approx(0, abs=1e-9) and by_token.chance == pytest.approx(0, abs=1e-9)


def test_the_pointwise_values_average_to_the_information() -> None:
    dice = torch.Generator().manual_seed(0)
    stratum, label, expert = (torch.randint(size, (500,), generator=dice) for size in (4, 3, 5))
    counts = torch.zeros(4, 3, 5, dtype=torch.long).index_put_(
        (stratum, label, expert), torch.ones(500, dtype=torch.long), accumulate=True
    )
    mean = conditional._pointwise(label, expert, stratum).mean().item()
    assert mean == pytest.approx(routing.information.information_in(counts))


def test_labels_are_dealt_out_within_their_token() -> None:
    stratum = torch.tensor([2, 0, 2, 1, 0, 2])
    label = torch.tensor([5, 1, 6, 9, 2, 7])
    deals = [conditional._dealt(label, stratum, torch.Generator().manual_seed(seed)) for seed in range(20)]
    for dealt in deals:
        assert all(sorted(dealt[stratum == s]) == sorted(label[stratum == s]) for s in range(3))
    assert len({tuple(dealt.tolist()) for dealt in deals}) > 5


def test_a_token_counts_once_in_a_sequence() -> None:
    assert conditional._first_in_row(torch.tensor([[3, 1, 3, 3], [1, 1, 2, 1]])).tolist() == [
        [True, True, False, False],
        [True, False, True, False],
    ]
    with pytest.raises(ValueError, match="One value for each token"):
        added_information(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 4))
