"""What routing is compared with, on cases that can be counted by hand and on a tiny model."""

from __future__ import annotations

import pytest
import torch
from test_measure_routing import EXPERTS, TOKENS, tiny_mixtral

from utils import models
from utils.measure import collect, routing
from utils.measure.routing import nulls


def test_labels_go_to_other_sequences_as_wholes() -> None:
    labels = torch.arange(12).view(4, 3)
    dealt = routing.over_sequences(labels, seed=1)
    assert sorted(dealt.flatten().tolist()) == list(range(12))
    assert sorted(row.min().item() for row in dealt) == [0, 3, 6, 9]  # every row is one old row …
    assert all((row.roll(-int(row.argmin())) - row.min()).tolist() == [0, 1, 2] for row in dealt)  # … turned round
    topics = torch.arange(30)[:, None].expand(-1, 7)
    assert (routing.over_sequences(topics) == routing.over_sequences(topics)[:, :1]).all()


def test_dealt_out_labels_tell_nothing_though_sequences_prefer_an_expert() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(200) % 4)[:, None].expand(-1, 20)
    experts = (2 * labels + torch.randint(2, (200, 1), generator=generator)).contiguous()  # one for a whole sequence
    sequences = torch.arange(200)[:, None].expand_as(labels)
    assert routing.mutual_information(labels, experts, sequences).bits == pytest.approx(2, abs=0.01)
    found = [routing.mutual_information(routing.over_sequences(labels, s), experts, sequences) for s in range(10)]
    assert sum(one.low <= 0 for one in found) >= 8 and max(one.bits for one in found) < 0.15


def test_a_fresh_router_is_as_long_and_sends_tokens_elsewhere() -> None:
    model = tiny_mixtral()
    own, fresh = routing.router_weights(model, 1), routing.fresh_router(model, 1, seed=3)
    assert torch.allclose(own.norm(dim=-1), fresh.norm(dim=-1), atol=1e-5) and not torch.allclose(own, fresh)
    assert torch.equal(routing.routes_by(model, TOKENS, 1, own), routing.record_routing(model, TOKENS, 1).chosen)
    routes = routing.routes_by(model, TOKENS, 1, fresh, choices=3)
    assert routes.shape == (*TOKENS.shape, 3) and routes.max() < EXPERTS
    x = collect(model, TOKENS, ["blocks.1.mlp.hook_in"])["blocks.1.mlp.hook_in"]
    assert torch.equal(routes[..., 0], (x @ fresh.T).argmax(-1))


def test_units_active_together_become_a_pseudo_expert() -> None:
    """Four causes, three units each; the units of one cause share their tokens, not their signs or sizes."""
    generator = torch.Generator().manual_seed(0)
    cause = torch.arange(12) % 4
    on = torch.rand(500, 4, generator=generator) < 0.2
    signs = torch.where(torch.rand(500, 12, generator=generator) < 0.5, -1.0, 1.0)
    hidden = on[:, cause] * signs * torch.arange(1, 13) + 0.01 * torch.randn(500, 12, generator=generator)
    group = max((routing.pseudo_experts(hidden, 4, seed) for seed in range(5)), key=lambda g: _together(g, cause))
    assert torch.bincount(group).tolist() == [3, 3, 3, 3] and _together(group, cause) == 12
    with pytest.raises(ValueError, match="equal groups"):
        routing.pseudo_experts(hidden, 5)


def _together(group: torch.Tensor, cause: torch.Tensor) -> int:
    """Pairs of units that share both group and cause: 12 at most."""
    same = (group[:, None] == group) & (cause[:, None] == cause)
    return int(same.triu(1).sum())


def test_room_in_groups_is_given_to_the_most_similar_pairs_first() -> None:
    similarity = torch.tensor([[0.9, 0.1], [0.8, 0.7], [0.6, 0.5], [0.2, 0.0]])
    assert nulls._equal_groups(similarity).tolist() == [0, 0, 1, 1]


def test_groups_add_up_to_the_dense_mlp() -> None:
    model = models.load("mixture")
    tokens = torch.randint(1, 2048, (3, 10), generator=torch.Generator().manual_seed(0))
    names = ["blocks.1.mlp.out.hook_in", "blocks.1.hook_mlp_out"]
    seen = collect(model, tokens, names)
    hidden, block = (seen[name] for name in names)
    mlp_out = model.blocks[1].mlp.out.original_component
    W_out = mlp_out.weight.detach().T
    group = torch.arange(len(W_out)) % 8
    written = routing.pseudo_written(hidden, W_out, group)
    assert written.shape == (3, 10, 8, 128)
    assert torch.allclose(written.sum(-2) + mlp_out.bias, block, atol=1e-5)
    chosen = routing.pseudo_routes(hidden, W_out, group)
    assert torch.equal(chosen[..., 0], written.norm(dim=-1).argmax(-1)) and (chosen[..., 0] != chosen[..., 1]).all()


def test_the_groups_with_the_longest_output_are_the_route() -> None:
    hidden = torch.tensor([[1.0, 1.0, 1.0, 0.0], [3.0, -3.0, 0.5, 0.0]])
    W_out = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 5.0]])
    group = torch.tensor([0, 0, 1, 1])
    assert routing.pseudo_routes(hidden, W_out, group, 1).tolist() == [[0], [1]]  # in row 2 group 0 cancels itself


def test_what_the_token_predicts_is_counted_on_the_other_half() -> None:
    tokens = torch.tensor([[1, 1, 1, 2, 2], [1, 1, 2, 3, 2]])
    experts = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 2, 1, 2]])
    # taught: 1 → 0, 2 → 2; 0 and 2 are used equally, the first of them stands for the unseen 3: right are 3 of 5
    found = routing.token_prediction(tokens, experts, 4)
    assert found.right == pytest.approx(3 / 5) and found.unseen == pytest.approx(1 / 5)
    assert found.commonest == pytest.approx(1 / 5) and found.explained == pytest.approx((3 / 5 - 1 / 5) / (4 / 5))
    with pytest.raises(ValueError, match="at least two sequences"):
        routing.token_prediction(tokens[:1], experts[:1], 4)


def test_a_router_by_token_is_explained_and_one_by_topic_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(40, (100, 30), generator=generator)
    topic = torch.randint(8, (100, 1), generator=generator).expand_as(tokens)
    assert routing.token_prediction(tokens, tokens % 8, 8).explained == pytest.approx(1)
    assert routing.token_prediction(tokens, topic, 8).explained < 0.1
