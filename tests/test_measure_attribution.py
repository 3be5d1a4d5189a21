"""Attribution, lens and ablation: on a model worked out on paper, and exactly on every architecture of the book."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools import analysis

from utils.measure import (
    ablate_heads,
    component_outputs,
    direct_logit_attribution,
    final_norm,
    head_outputs,
    logit_lens,
    unembed,
)

ON_PAPER = torch.tensor([[1, 2, 3, 4]])


def run(model: TransformerBridge, tokens: Tensor) -> tuple[Tensor, ActivationCache]:
    with torch.no_grad():
        return model.run_with_cache(tokens)


@pytest.fixture(params=["tiny_attention", "tiny_llama"])
def model(request: pytest.FixtureRequest) -> TransformerBridge:
    return request.getfixturevalue(request.param)


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(0, 11, (2, 7), generator=torch.Generator().manual_seed(3))


def test_components_on_paper(by_hand: TransformerBridge) -> None:
    _, cache = run(by_hand, ON_PAPER)
    labels, values = component_outputs(by_hand, cache)
    written = {label: value[0].tolist() for label, value in zip(labels, values, strict=True)}
    assert written == {
        "embed": [4, 0, 0, 0],
        "pos_embed": [0, 0, 0, 0],
        "L0H0": [0, 5, 0, 0],  # twice the mean of 1 2 3 4
        "L0H1": [0, 0, 0, 0],
        "L0 bias": [0, 0.5, 0, 0],
        "L1H0": [0, 0, 4, 0],  # the mean of 2.5 3.5 4.5 5.5
        "L1H1": [0, 0, 0, 2.5],
        "L1 bias": [0, 0, 0, 0],
    }


def test_attribution_on_paper(by_hand: TransformerBridge) -> None:
    logits, cache = run(by_hand, ON_PAPER)
    labels, values = direct_logit_attribution(by_hand, cache, token=1)
    assert dict(zip(labels, values[:, 0].tolist(), strict=True)) == {
        "embed": 4, "pos_embed": 0, "L0H0": 5, "L0H1": 0, "L0 bias": 0.5, "L1H0": 4, "L1H1": 2.5, "L1 bias": 0,
    }  # fmt: skip
    assert logits[0, -1, 1].item() == 16
    _, difference = direct_logit_attribution(by_hand, cache, token=1, other=2)  # token 2 reads the embedding alone
    assert difference[0].item() == 0 and difference.sum().item() == 12
    _, earlier = direct_logit_attribution(by_hand, cache, token=1, pos=1)  # 2, 3, 0.5, 3 and 1.5
    assert earlier[:, 0].tolist() == [2, 0, 3, 0, 0.5, 3, 1.5, 0]


def test_components_sum_to_the_stream(model: TransformerBridge, tokens: Tensor) -> None:
    _, cache = run(model, tokens)
    stream = cache[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"]
    for pos in (-1, 0, 4):
        labels, values = component_outputs(model, cache, pos)
        assert len(labels) == len(set(labels)) == len(values)
        assert torch.allclose(values.sum(0), stream[:, pos], atol=1e-4)


def test_heads_sum_to_the_attention_output(model: TransformerBridge, tokens: Tensor) -> None:
    _, cache = run(model, tokens)
    for layer in range(model.cfg.n_layers):
        bias = getattr(model.blocks[layer].attn, "b_O", None)
        expected = cache[f"blocks.{layer}.hook_attn_out"][:, 2] - (0 if bias is None else bias.detach())
        assert torch.allclose(head_outputs(model, cache, layer, pos=2).sum(0), expected, atol=1e-5)


def test_attribution_sums_to_the_logit(model: TransformerBridge, tokens: Tensor) -> None:
    logits, cache = run(model, tokens)
    for pos in (-1, 3):
        _, values = direct_logit_attribution(model, cache, token=7, pos=pos)
        assert torch.allclose(values.sum(0), logits[:, pos, 7], atol=1e-4)
        _, difference = direct_logit_attribution(model, cache, token=7, other=2, pos=pos)
        assert torch.allclose(difference.sum(0), logits[:, pos, 7] - logits[:, pos, 2], atol=1e-4)


def test_the_norms_own_row(tiny_attention: TransformerBridge, tiny_llama: TransformerBridge, tokens: Tensor) -> None:
    labels, values = direct_logit_attribution(tiny_attention, run(tiny_attention, tokens)[1], token=7)
    expected = tiny_attention.ln_final.bias @ tiny_attention.W_U[:, 7]
    assert torch.allclose(values[labels.index("final norm bias")], expected.expand(2))
    assert "final norm bias" not in direct_logit_attribution(tiny_llama, run(tiny_llama, tokens)[1], token=7).labels


def test_attribution_agrees_with_the_library(model: TransformerBridge, tokens: Tensor) -> None:
    """The library folds the norm into the weights first; a copy is folded, so that the fixture stays as it is."""
    folded = copy.deepcopy(model)
    folded.enable_compatibility_mode(disable_warnings=True, fold_value_biases=False)
    _, cache = run(model, tokens)
    labels, values = direct_logit_attribution(model, cache, token=7, other=2)
    result = analysis.direct_logit_attribution(folded, tokens, answer_tokens=7, incorrect_tokens=2, unit="head")
    theirs = dict(zip(result.labels, result.attribution, strict=True))
    for layer in range(model.cfg.n_layers):
        for head in range(model.cfg.n_heads):
            name = f"L{layer}H{head}"
            assert torch.allclose(values[labels.index(name)], theirs[name], atol=1e-4), name


def test_lens_on_paper(by_hand: TransformerBridge) -> None:
    logits, cache = run(by_hand, ON_PAPER)
    lens = logit_lens(by_hand, cache)
    assert lens.shape == (3, 1, 4, 5)
    assert lens[:, 0, -1, 1].tolist() == [4, 9.5, 16]
    assert torch.equal(logit_lens(by_hand, cache, pos=-1), lens[:, :, -1])
    assert torch.equal(lens[-1], logits)


def test_lens_ends_at_the_logits_and_agrees_with_the_library(model: TransformerBridge, tokens: Tensor) -> None:
    logits, cache = run(model, tokens)
    lens = logit_lens(model, cache)
    assert torch.allclose(lens[-1], logits, atol=1e-4)
    theirs = analysis.logit_lens(model, cache=cache, positions=None).values
    assert torch.allclose(lens, theirs, atol=1e-4)


def test_final_norm_by_hand(tiny_attention: TransformerBridge, tiny_llama: TransformerBridge) -> None:
    # Values 3 and 7 in turn: mean 5, standard deviation 2, root mean square √29.
    stream = torch.tensor([3.0, 7.0]).repeat(6)
    unit = torch.tensor([-1.0, 1.0]).repeat(6)
    layer_norm = unit * tiny_attention.ln_final.weight + tiny_attention.ln_final.bias
    assert torch.allclose(final_norm(tiny_attention, stream), layer_norm, atol=1e-4)
    assert torch.allclose(final_norm(tiny_llama, stream), stream / 29**0.5 * tiny_llama.ln_final.weight, atol=1e-4)


def test_unembed_after_the_last_layer(model: TransformerBridge, tokens: Tensor) -> None:
    logits, cache = run(model, tokens)
    last = cache[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"]
    assert torch.allclose(unembed(model, last), logits, atol=1e-4)


def test_zero_ablation_on_paper(by_hand: TransformerBridge) -> None:
    def logit(heads: list[tuple[int, int]]) -> float:
        return by_hand.run_with_hooks(ON_PAPER, fwd_hooks=ablate_heads(heads))[0, -1, 1].item()

    assert logit([]) == 16
    assert logit([(1, 1)]) == 13.5
    assert logit([(0, 0)]) == 16 - 5 - 3.5  # its own words, and what head 1.0 made of them: the bias of 0.5 is left
    assert logit([(1, 0), (1, 1)]) == 9.5


def test_mean_ablation_on_paper(by_hand: TransformerBridge) -> None:
    _, cache = run(
        by_hand, torch.tensor([[1, 1, 1, 1], [3, 3, 3, 3]])
    )  # head 0.0 reads 1 here and 3 there: 2 on average
    logits = by_hand.run_with_hooks(ON_PAPER, fwd_hooks=ablate_heads([(0, 0)], "mean", cache))
    # Coordinate 1 becomes 2 × 2 + 0.5 everywhere, and head 1.0 copies it.
    assert logits[0, -1, 1].item() == 4 + 4.5 + 4.5 + 2.5


def test_ablation_leaves_the_other_heads_alone(model: TransformerBridge, tokens: Tensor) -> None:
    kept: dict[str, Tensor] = {}
    (name, silence), *rest = ablate_heads([(1, 2), (1, 0)])
    assert name == "blocks.1.attn.hook_z" and not rest

    def keep(z: Tensor, hook: object) -> Tensor:
        kept["before"] = z
        kept["after"] = silence(z, hook)
        return kept["after"]

    model.run_with_hooks(tokens, fwd_hooks=[(name, keep)])
    silenced = [head for head in range(model.cfg.n_heads) if not kept["after"][:, :, head].any()]
    assert silenced == [0, 2] and kept["before"].any()
    assert torch.equal(kept["after"][:, :, 1], kept["before"][:, :, 1])


def test_errors_in_one_sentence(by_hand: TransformerBridge) -> None:
    _, cache = run(by_hand, ON_PAPER)
    _, poor = by_hand.run_with_cache(ON_PAPER, names_filter=["blocks.0.attn.hook_z"])
    with pytest.raises(ValueError, match="without leaving names out"):
        component_outputs(by_hand, poor)
    with pytest.raises(ValueError, match="without leaving names out"):
        logit_lens(by_hand, poor)
    with pytest.raises(ValueError, match="There is no position 4 in a sequence of 4 tokens"):
        component_outputs(by_hand, cache, pos=4)
    with pytest.raises(ValueError, match="There is no token 5: the vocabulary has ids 0 to 4"):
        direct_logit_attribution(by_hand, cache, token=5)
    with pytest.raises(ValueError, match="There is no token -1"):
        direct_logit_attribution(by_hand, cache, token=1, other=-1)
    with pytest.raises(ValueError, match="'zero' or 'mean', not 'median'"):
        ablate_heads([(0, 0)], how="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Mean ablation needs a cache"):
        ablate_heads([(0, 0)], how="mean")
    with pytest.raises(ValueError, match="Layer 0 has heads 0 to 1"):
        by_hand.run_with_hooks(ON_PAPER, fwd_hooks=ablate_heads([(0, 7)]))
