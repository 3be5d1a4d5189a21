"""Everything book/from_hookedtransformer.md says about TransformerLens 4 is run here, from the page itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformer_lens
from transformer_lens import TransformerBridge, TransformerBridgeConfig
from transformer_lens.tools.analysis import direct_logit_attribution, logit_lens
from transformers import LlamaConfig, LlamaForCausalLM

from utils.data.tokenizers import load_tokenizer
from utils.models import names

PAGE = (Path(__file__).parent.parent / "book" / "from_hookedtransformer.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ROWS = [cells for line in PAGE.splitlines() if len(cells := re.split(r"(?<!\\)\|", line)) == 5 and "`" in line]
NEEDS_THE_HUB = ('boot_transformers("gpt2")',)


def calls() -> list[str]:
    """The code of the right-hand columns, each call once."""
    found = [call for cells in ROWS for call in re.findall(r"`([^`]+)`", cells[3])]
    return [call for call in dict.fromkeys(found) if not call.endswith(NEEDS_THE_HUB)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer("wikipedia")


@pytest.fixture
def scope(tokenizer: Any) -> dict[str, Any]:
    """What the calls of the tables refer to: a small native model, tokens, a cache and a tiny Hugging Face model."""
    config = TransformerBridgeConfig(
        n_layers=2, d_model=64, n_ctx=64, d_head=16, n_heads=4, d_vocab=1024, attn_only=True, seed=0
    )
    model = TransformerBridge.boot_native(config, tokenizer=tokenizer)
    tokens = torch.randint(1, 1024, (1, 9))
    return {
        "TransformerBridge": TransformerBridge,
        "TransformerBridgeConfig": TransformerBridgeConfig,
        "config": config,
        "tokenizer": tokenizer,
        "model": model,
        "enable_compatibility_mode": model.enable_compatibility_mode,
        "tokens": tokens,
        "text": "The old city",
        "cache": model.run_with_cache(tokens)[1],
        "name": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "hf": tiny_llama(),
    }


def tiny_llama() -> LlamaForCausalLM:
    """A Llama with grouped-query attention: six query heads of width 8 on two key-value heads."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def test_the_page_has_code_to_run() -> None:
    assert len(BLOCKS) >= 4
    assert len(calls()) >= 30


def test_the_blocks_run_in_order() -> None:
    shared: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "from_hookedtransformer.md", "exec"), shared)


def test_the_last_row_of_the_logit_lens_is_the_output_of_a_raw_bridge(scope: dict[str, Any]) -> None:
    model = scope["model"].eval()
    with torch.no_grad():
        model.ln_final.weight.uniform_(0.5, 1.5)
        model.ln_final.bias.normal_()
    values = logit_lens(model, scope["tokens"], positions=-1).values
    torch.testing.assert_close(values[-1, 0], model(scope["tokens"])[0, -1], atol=1e-4, rtol=1e-4)


def test_direct_logit_attribution_refuses_a_raw_bridge(scope: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="compatibility mode"):
        direct_logit_attribution(scope["model"].eval(), scope["tokens"], 5)


@pytest.mark.parametrize("call", calls())
def test_every_call_of_the_tables_runs(call: str, scope: dict[str, Any]) -> None:
    if call.startswith("import "):
        exec(call, scope)
        return
    if call == 'utils.models.load("induction")':
        if "induction" not in names():
            pytest.skip("the trained weights are not here")
        import utils.models

        scope["utils"] = utils
    elif call.startswith("utils."):
        exec("import transformer_lens.utilities as utils", scope)
    result = eval(call, scope)
    if isinstance(result, torch.Tensor):
        assert result.isfinite().all()


@pytest.mark.parametrize("name", ["HookedTransformer", "HookedTransformerConfig", "HookedEncoder", "utils"])
def test_a_removed_name_says_what_replaces_it(name: str) -> None:
    with pytest.raises(ImportError, match="removed in TransformerLens 4.0"):
        getattr(transformer_lens, name)


def test_load_and_process_state_dict_is_absent() -> None:
    assert not hasattr(TransformerBridge, "load_and_process_state_dict")
    assert hasattr(TransformerBridge, "boot_tl_legacy")


def test_a_raw_bridge_agrees_with_the_original_model(scope: dict[str, Any]) -> None:
    bridge = TransformerBridge.boot_transformers(scope["name"], hf_model=scope["hf"], tokenizer=scope["tokenizer"])
    torch.testing.assert_close(bridge(scope["tokens"]), scope["hf"](scope["tokens"]).logits)


def test_keys_and_values_are_shared_between_query_heads(scope: dict[str, Any]) -> None:
    bridge = TransformerBridge.boot_transformers(scope["name"], hf_model=scope["hf"], tokenizer=scope["tokenizer"])
    _, cache = bridge.run_with_cache(scope["tokens"])
    assert bridge.W_Q.shape == (2, 6, 48, 8)
    assert bridge.W_K.shape == bridge.W_V.shape == (2, 2, 48, 8)
    assert cache["k", 0].shape == cache["v", 0].shape == (1, 9, 2, 8)
    assert bridge.QK.shape == bridge.OV.shape == (2, 6, 48, 48)
    repeated = bridge.W_V.repeat_interleave(3, dim=1)
    torch.testing.assert_close(bridge.OV.AB, repeated @ bridge.W_O)


def test_hook_result_is_there_only_over_hugging_face_models(scope: dict[str, Any]) -> None:
    for switch in ("set_use_attn_result", "set_use_split_qkv_input", "set_use_attn_in"):
        with pytest.raises(NotImplementedError):
            getattr(scope["model"], switch)(True)
    bridge = TransformerBridge.boot_transformers(scope["name"], hf_model=scope["hf"], tokenizer=scope["tokenizer"])
    bridge.set_use_attn_result(True)
    assert bridge.run_with_cache(scope["tokens"])[1]["result", 0].shape == (1, 9, 6, 48)


def test_shortformer_positions_are_rejected() -> None:
    config = TransformerBridgeConfig(
        n_layers=1,
        d_model=8,
        n_ctx=8,
        d_head=4,
        n_heads=2,
        d_vocab=16,
        attn_only=True,
        positional_embedding_type="shortformer",
    )
    with pytest.raises((ValueError, NotImplementedError)):
        TransformerBridge.boot_native(config)


def test_a_tokenizer_wrapped_by_hand_is_refused(scope: dict[str, Any]) -> None:
    from transformers import PreTrainedTokenizerFast

    by_hand = PreTrainedTokenizerFast(tokenizer_object=scope["tokenizer"].backend_tokenizer, bos_token="<|endoftext|>")
    with pytest.raises(KeyError):
        TransformerBridge.boot_transformers(scope["name"], hf_model=scope["hf"], tokenizer=by_hand)
