"""Routing, measured on cases that can be counted by hand, and inside tiny models of both architectures."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import OlmoeConfig, OlmoeForCausalLM

from utils import models
from utils.data.tokenizers import load_tokenizer
from utils.measure import routing, token_losses
from utils.models import mixtral

LAYERS, EXPERTS, VOCABULARY = 2, 5, 50
TOKENS = torch.randint(1, VOCABULARY, (3, 7), generator=torch.Generator().manual_seed(0))


def tiny_mixtral() -> TransformerBridge:
    fields = {
        "model_type": "mixtral",
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 6,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 32,
    }
    model = mixtral.blank(fields)
    mixtral.draw(model, seed=1)
    return mixtral.bridge(model, "tiny", load_tokenizer("mixture"))


def tiny_olmoe() -> TransformerBridge:
    """Three choices a token, and weights that do not add up to 1."""
    settings: dict[str, Any] = {"experts_implementation": "eager", "attn_implementation": "eager"}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = OlmoeForCausalLM(
            OlmoeConfig(
                vocab_size=VOCABULARY,
                hidden_size=16,
                intermediate_size=6,
                num_hidden_layers=LAYERS,
                num_attention_heads=2,
                num_key_value_heads=2,
                num_experts=EXPERTS,
                num_experts_per_tok=3,
                max_position_embeddings=32,
                initializer_range=0.3,
                pad_token_id=0,
                architectures=["OlmoeForCausalLM"],
                **settings,
            )
        )
    tokenizer = load_tokenizer("mixture")
    return TransformerBridge.boot_transformers("tiny", hf_model=model.eval(), tokenizer=tokenizer, device="cpu").eval()


@pytest.fixture(scope="module", params=[tiny_mixtral, tiny_olmoe], ids=["mixtral", "olmoe"])
def model(request: pytest.FixtureRequest) -> TransformerBridge:
    return request.param()


# Tables, repetition, purity: by hand


def test_a_table_counts_first_choices_or_all() -> None:
    labels = torch.tensor([[0, 0, 1], [1, 1, 1]])
    chosen = torch.tensor([[[2, 0], [2, 1], [0, 1]], [[0, 2], [1, 2], [0, 1]]])
    assert routing.routing_table(labels, chosen[..., 0], 2, 4).tolist() == [[0, 0, 2, 0], [3, 1, 0, 0]]
    both = routing.routing_table(labels[..., None].expand_as(chosen), chosen, 2, 4)
    assert both.tolist() == [[1, 1, 2, 0], [3, 3, 2, 0]]
    with pytest.raises(ValueError, match="one label to each"):
        routing.routing_table(labels, chosen, 2, 4)


def test_which_experts_are_chosen_together() -> None:
    chosen = torch.tensor([[[2, 0], [2, 1], [0, 1]], [[0, 2], [1, 2], [0, 1]]])
    expected = torch.tensor([[0, 2 / 4, 2 / 4], [2 / 4, 0, 2 / 4], [2 / 4, 2 / 4, 0]])
    assert torch.allclose(routing.coactivation(chosen, 3), expected)
    alone = routing.coactivation(torch.tensor([[0, 1], [0, 2], [0, 1]]), 4)
    assert torch.allclose(alone[:3], torch.tensor([[0, 2 / 3, 1 / 3, 0], [1, 0, 0, 0], [1, 0, 0, 0]]))
    assert alone[3].isnan().all()


def test_repetition_of_first_and_of_either_choice() -> None:
    chosen = torch.tensor([[[0, 1], [0, 2], [2, 0], [3, 4]], [[5, 6], [6, 5], [6, 7], [6, 0]]])
    # pairs of the first row: same first, one in common, none; of the second: swapped, same first, same first
    assert routing.repetition(chosen) == (pytest.approx(3 / 6), pytest.approx(5 / 6))


def test_chance_of_repetition_is_the_papers_and_that_of_random_routes() -> None:
    chance = routing.chance_repetition(8, 2)
    assert chance.first == 0.125 and chance.either == pytest.approx(0.4643, abs=1e-4)
    routes = torch.rand(200, 100, 8, generator=torch.Generator().manual_seed(0)).topk(2).indices
    assert routing.repetition(routes) == (pytest.approx(chance.first, abs=0.01), pytest.approx(chance.either, abs=0.01))
    assert routing.chance_repetition(64, 8).either == pytest.approx(1 - 0.3141, abs=0.01)


def test_purity_does_not_depend_on_how_many_tokens_a_label_has() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 2])
    units = torch.tensor([[0.0, 1, 3, 0], [0, 1, 3, 0], [0, 1, 0, 0], [0, 1, 0, 0], [5, 1, 1.5, 0], [0, 1, 0, 0]])
    found = routing.purity(units, labels, 3)
    assert torch.allclose(found[:3], torch.tensor([1, 1 / 3, 1 / 2])) and found[3].isnan()
    with pytest.raises(ValueError, match="must not be negative"):
        routing.purity(-units, labels, 3)
    with pytest.raises(ValueError, match="Label 3 has no token"):
        routing.purity(units, labels, 4)


def test_tokens_are_classed_by_their_letters() -> None:
    tokenizer = load_tokenizer("mixture")
    classes = routing.token_classes(tokenizer)
    assert classes.shape == (2048,) and len(classes.unique()) == len(routing.CLASSES)
    for text, expected in zip((" the", "ing", "7", "(", "\n"), routing.CLASSES[:5], strict=True):
        (token,) = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert routing.CLASSES[classes[token]] == expected
    assert routing.CLASSES[classes[tokenizer.bos_token_id]] == "other"


# Mutual information


def of_sequences(values: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A label for each token, from one for each sequence, and the sequences' numbers."""
    return values[:, None].expand(-1, length), torch.arange(len(values))[:, None].expand(-1, length)


def test_entropy_and_information_of_known_counts() -> None:
    assert routing.entropy(torch.tensor([1, 1, 2])) == pytest.approx(1.5)
    assert routing.entropy(torch.tensor([7, 0])) == 0
    counts = torch.tensor([[[4, 0], [0, 4]], [[2, 2], [2, 2]]])  # 1 bit for half of the tokens, none for the others
    assert routing.information.information_in(counts) == pytest.approx(0.5)


def test_information_is_found_where_it_is() -> None:
    labels, sequences = of_sequences(torch.arange(8).repeat(30), 5)
    all_of_it = routing.mutual_information(labels, (labels + 3) % 8, sequences)
    assert all_of_it.plug_in == pytest.approx(3) and all_of_it.bits == pytest.approx(3, abs=0.01)


def test_where_there_is_none_only_the_plug_in_estimate_finds_some() -> None:
    """An expert preferred by a sequence as a whole would fool an estimate that took tokens for independent."""
    bits, plug_in, inside = [], [], 0
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        labels, sequences = of_sequences(torch.randint(6, (160,), generator=generator), 20)
        favourite = torch.randint(8, (160, 1), generator=generator).expand(-1, 20)
        anything = torch.randint(8, favourite.shape, generator=generator)
        experts = torch.where(torch.rand(favourite.shape, generator=generator) < 0.5, favourite, anything)
        found = routing.mutual_information(labels, experts, sequences)
        bits.append(found.bits)
        plug_in.append(found.plug_in)
        inside += found.low <= 0 <= found.high
    mean, spread = torch.tensor(bits).mean().item(), torch.tensor(bits).std().item()
    assert min(plug_in) > 0.02
    assert abs(mean) < 0.15 * sum(plug_in) / len(plug_in) + 3 * spread / 40**0.5
    assert inside >= 30


def test_what_the_token_tells_already_is_not_told_again() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, sequences = of_sequences(torch.arange(200) % 4, 30)
    tokens = labels * 5 + torch.randint(5, labels.shape, generator=generator)  # a vocabulary for each topic
    experts = tokens % 8
    assert routing.mutual_information(labels, experts, sequences).low > 0.5
    assert routing.added_information(labels, experts, tokens).information.bits == pytest.approx(0, abs=1e-9)


def test_what_only_token_and_label_together_tell_is_found_given_the_token() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, sequences = of_sequences(torch.arange(200) % 2, 30)
    tokens = torch.randint(2, labels.shape, generator=generator)
    experts = labels ^ tokens
    assert routing.mutual_information(labels, experts, sequences).bits == pytest.approx(0, abs=0.01)
    given_token = routing.added_information(labels, experts, tokens).information
    assert given_token.plug_in == pytest.approx(1) and given_token.bits == pytest.approx(1, abs=0.02)


def test_information_says_what_it_cannot_do() -> None:
    labels, sequences = of_sequences(torch.arange(4), 3)
    with pytest.raises(ValueError, match="One value for each token"):
        routing.mutual_information(labels, labels[:, :2], sequences)
    with pytest.raises(ValueError, match="at least two sequences"):
        routing.mutual_information(labels, labels, torch.zeros_like(labels))


# Stability


def test_experts_of_another_seed_are_found_under_their_new_numbers() -> None:
    first = torch.rand(40, 30, 8, generator=torch.Generator().manual_seed(0)).topk(2).indices
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    same = routing.align(first, order[first], 8)
    assert torch.equal(same.order, order) and same.agreement == 1
    assert same.chance == pytest.approx(2 / 8, abs=0.03)
    assert routing.agreement(first, order[first]) < 0.5 and routing.agreement(first, first.flip(-1)) == 1
    other = torch.rand(40, 30, 8, generator=torch.Generator().manual_seed(2)).topk(2).indices
    assert routing.align(first, other, 8).agreement == pytest.approx(2 / 8, abs=0.03)
    with pytest.raises(ValueError, match="at least two sequences"):
        routing.align(first[:1], first[:1], 8)


def test_the_pairs_are_the_best_ones_even_where_the_greedy_ones_are_not() -> None:
    """5 + 1 taken greedily is less than 4 + 4."""
    counts = torch.tensor([[5, 4], [4, 1]])
    assert routing.stability._best_pairs(counts).tolist() == [1, 0]


# Inside models


def test_recorded_routes_are_the_routers_choice(model: TransformerBridge) -> None:
    found = routing.record_routing(model, TOKENS, 1)
    choices = cast(Any, model.cfg).experts_per_token
    assert found.logits.shape == (3, 7, EXPERTS) and found.chosen.shape == (3, 7, choices)
    assert torch.equal(found.chosen, found.logits.topk(choices).indices)
    assert ((found.weights > 0).sum(-1) == choices).all()
    _, cache = model.run_with_cache(TOKENS)
    x = cache["blocks.1.mlp.hook_in"]
    assert torch.allclose(found.logits, x @ routing.router_weights(model, 1).T, atol=1e-5)


def test_hidden_units_rebuild_what_the_block_writes(model: TransformerBridge) -> None:
    _, cache = model.run_with_cache(TOKENS)
    for layer in range(LAYERS):
        found = routing.expert_activity(model, TOKENS, layer)
        assert found.hidden.shape == (*TOKENS.shape, cast(Any, model.cfg).experts_per_token, 6)
        rebuilt = (found.weights[..., None] * found.written).sum(2)
        block = cache[f"blocks.{layer}.hook_mlp_out"]
        assert (rebuilt - block).abs().max() < 1e-5 and block.abs().max() > 0.01
        expert = int(found.chosen[1, 2, 1])
        where, units = found.of(expert)
        assert [1, 2, 1] in where.tolist() and len(units) == (found.chosen == expert).sum()
        place = where.tolist().index([1, 2, 1])
        written = units[place] @ routing.expert_weights(model, layer).W_out[expert]
        assert torch.allclose(written, found.written[1, 2, 1], atol=1e-6)


def block_output(model: TransformerBridge, hooks: list, layer: int = 1) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    name = f"blocks.{layer}.hook_mlp_out"
    model.run_with_hooks(TOKENS, fwd_hooks=[*hooks, (name, lambda x, hook: seen.append(x.detach().clone()))])
    return seen[0]


def written_by(model: TransformerBridge, weights: torch.Tensor) -> torch.Tensor:
    """What layer 1 would write with these weights for its experts, from every expert's output on every token."""
    _, cache = model.run_with_cache(TOKENS)
    x = cache["blocks.1.mlp.hook_in"]
    W_gate, W_in, W_out = routing.expert_weights(model, 1)
    act = torch.nn.functional.silu
    units = act(torch.einsum("bpd,edh->bpeh", x, W_gate)) * torch.einsum("bpd,edh->bpeh", x, W_in)
    return torch.einsum("bpe,bpeh,ehd->bpd", weights, units, W_out)


def weights_for(model: TransformerBridge, logits: torch.Tensor) -> torch.Tensor:
    choices = cast(Any, model.cfg).experts_per_token
    shares = logits.softmax(-1)
    top, chosen = shares.topk(choices)
    if choices == 2:  # Mixtral
        top = top / top.sum(-1, keepdim=True)
    return torch.zeros_like(shares).scatter(-1, chosen, top)


def test_a_dropped_expert_writes_nothing_and_the_others_as_before(model: TransformerBridge) -> None:
    usual = routing.record_routing(model, TOKENS, 1)
    expert = int(usual.chosen[0, 0, 0])
    weights = usual.weights.clone()
    weights[..., expert] = 0
    found = block_output(model, routing.dropped(model, 1, [expert]))
    assert torch.allclose(found, written_by(model, weights), atol=1e-5)
    spared = (usual.chosen != expert).all(-1)
    assert spared.any() and torch.allclose(found[spared], block_output(model, [])[spared], atol=1e-6)


def test_a_barred_expert_is_replaced_by_the_next_choice(model: TransformerBridge) -> None:
    usual = routing.record_routing(model, TOKENS, 1)
    expert = int(usual.chosen[0, 0, 0])
    logits = usual.logits.clone()
    logits[..., expert] = -torch.inf
    found = block_output(model, routing.barred(model, 1, [expert]))
    assert torch.allclose(found, written_by(model, weights_for(model, logits)), atol=1e-5)


def test_forced_tokens_all_go_to_the_experts_named(model: TransformerBridge) -> None:
    choices = cast(Any, model.cfg).experts_per_token
    experts = [4, 0, 2][:choices]
    logits = routing.record_routing(model, TOKENS, 1).logits
    kept = torch.full_like(logits, -torch.inf)
    kept[..., experts] = logits[..., experts]
    found = block_output(model, routing.forced(model, 1, experts))
    assert torch.allclose(found, written_by(model, weights_for(model, kept)), atol=1e-5)


def test_another_router_decides_and_the_own_one_changes_nothing(model: TransformerBridge) -> None:
    own = routing.router_weights(model, 1)
    plain = block_output(model, [])
    assert torch.allclose(block_output(model, routing.routed_by(model, 1, own)), plain, atol=1e-6)
    permuted = own[torch.tensor([1, 2, 3, 4, 0])]
    _, cache = model.run_with_cache(TOKENS)
    logits = cache["blocks.1.mlp.hook_in"] @ permuted.T
    found = block_output(model, routing.routed_by(model, 1, permuted))
    assert torch.allclose(found, written_by(model, weights_for(model, logits)), atol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-2)


def test_hooks_leave_the_model_as_it_was(model: TransformerBridge) -> None:
    before = token_losses(model(TOKENS), TOKENS)
    model.run_with_hooks(TOKENS, fwd_hooks=routing.barred(model, 0, [3]))
    assert torch.equal(token_losses(model(TOKENS), TOKENS), before)


def test_what_cannot_be_routed_is_said_in_a_sentence(model: TransformerBridge) -> None:
    with pytest.raises(ValueError, match="numbered 0 to 4"):
        routing.dropped(model, 0, [5])
    with pytest.raises(ValueError, match="bar fewer than 4"):
        routing.barred(model, 0, [0, 1, 2, 3])
    with pytest.raises(ValueError, match="different experts"):
        routing.forced(model, 0, [1, 1])
    with pytest.raises(ValueError, match="the other"):
        routing.routed_by(model, 0, torch.zeros(4, 16))
    with pytest.raises(ValueError, match="has no router"):
        routing.record_routing(models.untrained("induction-1l"), TOKENS, 0)
