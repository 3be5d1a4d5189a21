"""Coarser and finer labels: what merging costs when it follows the routing, and when it does not."""

from __future__ import annotations

import pytest
import torch

from utils.measure import routing


def test_labels_are_merged_along_an_order() -> None:
    order = torch.tensor([3, 0, 2, 1])
    assert routing.merged(torch.tensor([[0, 1], [2, 3]]), 2, order).tolist() == [[0, 1], [1, 0]]
    assert routing.merged(torch.arange(4), 4, order).tolist() == [1, 3, 2, 0]
    with pytest.raises(ValueError, match="equal parts"):
        routing.merged(torch.arange(4), 3, order)


def test_coarse_labels_are_unions_of_finer_ones() -> None:
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    fine, coarse = (routing.merged(torch.arange(16), to, order) for to in (8, 4))
    assert torch.equal(coarse, routing.merged(fine, 4, torch.arange(8)))


def test_the_sweep_finds_the_bits_that_were_put_in() -> None:
    """16 topics, two to an expert: 3 bits at 16 and 8 labels, then one less each time they are halved."""
    topic = torch.arange(320)[:, None].expand(-1, 12) % 16
    experts = topic // 2
    order = torch.arange(16)
    found = routing.granularity_sweep(
        {str(to): routing.merged(topic, to, order) for to in (16, 8, 4, 2)}, experts, draws=2
    )
    assert [grain.labels for grain in found.values()] == [16, 8, 4, 2]
    for grain, bits in zip(found.values(), (3, 3, 2, 1), strict=True):
        assert grain.information.bits == pytest.approx(bits, abs=0.02) and grain.of == pytest.approx(3)
        assert grain.null < 0.3


def test_given_the_topic_finer_topics_tell_only_what_is_new() -> None:
    topic = torch.arange(320)[:, None].expand(-1, 12) % 16
    found = routing.granularity_sweep({"topic": topic}, topic // 2, given=topic // 4, draws=1)
    assert found["topic"].information.bits == pytest.approx(1, abs=0.05)


def test_positions_have_a_null_though_all_sequences_share_them() -> None:
    position = torch.arange(16).expand(200, -1)
    found = routing.granularity_sweep({"place": position // 4}, position // 4, draws=3)["place"]
    assert found.information.bits == pytest.approx(2, abs=0.01) and found.null < 0.1


def test_labels_of_text_token_and_place() -> None:
    tokens = torch.tensor([[0, 2, 1, 2], [0, 1, 1, 2]])
    source = torch.tensor([[1] * 4, [0] * 4])
    topic = torch.tensor([[5, 5, 4, 4], [3] * 4])
    found = routing.labellings(tokens, source, topic, torch.tensor([2, 0, 1]), places=2)
    assert found["token class"].tolist() == [[2, 1, 0, 1], [2, 0, 0, 1]]
    assert found["source × class"].tolist() == [[5, 4, 3, 4], [2, 0, 0, 1]]
    assert found["position"].tolist() == [[0, 0, 1, 1]] * 2
    assert found["source"] is source and found["topic"] is topic and found["token"] is tokens
