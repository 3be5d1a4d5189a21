"""The model in the page computes what TransformerLens computes: every activation, with hooks and in parts.

Python writes models and what TransformerLens makes of them to a folder; lens_parity.js, in a headless browser, runs
book/labs/lens.js on the same models and compares. An activation may be off by 1e-4 of its largest entry, or of 1 if
all are smaller: both sides add in single precision, and rounding grows with what is added.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformer_lens.model_bridge.sources.native  # noqa: F401  adds boot_native
from safetensors.torch import save_file
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from visit import NoBrowser, browser, served

from utils import measure, models
from utils.data.tokenizers import load_tokenizer
from utils.measure import routing
from utils.models import mixtral
from utils.models.packing import pack, unpack
from utils.models.shipped import WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = [name for name in models.names() if name != "smollm2"]
RANDOM: dict[str, dict[str, Any]] = {
    "ln": {"act_fn": "gelu"},
    "ln-rotary": {"attn_only": True, "positional_embedding_type": "rotary", "rotary_base": 500},
    "ln-solu-shared": {
        "act_fn": "solu",
        "positional_embedding_type": "rotary",
        "rotary_dim": 2,
        "n_key_value_heads": 1,
    },
    "ln-final-rms": {"final_rms": True, "gated_mlp": True, "act_fn": "swish", "eps": 0.01},
    "lnpre": {"normalization_type": "LNPre", "act_fn": "gelu_new", "d_vocab_out": 7},
    "lnpre-final-rms": {"normalization_type": "LNPre", "final_rms": True, "act_fn": "relu", "d_head": 5},
    "lnpre-gated": {
        "normalization_type": "LNPre",
        "gated_mlp": True,
        "act_fn": "silu",
        "positional_embedding_type": "rotary",
        "n_key_value_heads": 2,
    },
    "rms-llama": {
        "normalization_type": "RMS",
        "gated_mlp": True,
        "act_fn": "silu",
        "positional_embedding_type": "rotary",
        "rotary_dim": 4,
        "n_key_value_heads": 2,
        "d_head": 6,
        "eps": 0.1,
    },
    "rms": {"normalization_type": "RMS", "act_fn": "relu", "d_mlp": None},
    "rms-attention": {"normalization_type": "RMS", "attn_only": True, "n_key_value_heads": 2, "d_head": 3},
    "rmspre": {"normalization_type": "RMSPre", "act_fn": "solu", "positional_embedding_type": "rotary"},
    "rmspre-attention": {"normalization_type": "RMSPre", "attn_only": True},
    "none": {"normalization_type": None, "act_fn": "relu"},
    "none-gated": {
        "normalization_type": None,
        "gated_mlp": True,
        "act_fn": "gelu",
        "positional_embedding_type": "rotary",
    },
    "none-attention": {"normalization_type": None, "attn_only": True, "n_heads": 1},
}
# Sizes all differ, and few are multiples of what the loops take at a time.
SIZES = {"n_layers": 2, "d_model": 13, "n_ctx": 16, "d_head": 4, "n_heads": 6, "d_vocab": 11, "d_mlp": 18, "seed": 0}
# Experts, in the terms of a MixtralConfig, and stored in 8 bits.
MIXTRAL_SIZES = {
    "model_type": "mixtral",
    "vocab_size": 11,
    "hidden_size": 13,
    "intermediate_size": 9,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "head_dim": 4,
    "max_position_embeddings": 16,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
    "bos_token_id": 0,
    "eos_token_id": 0,
}
MIXTRAL: dict[str, dict[str, Any]] = {
    "mixtral": MIXTRAL_SIZES,
    "mixtral-shared": MIXTRAL_SIZES
    | {
        "num_key_value_heads": 2,
        "num_local_experts": 5,
        "num_experts_per_tok": 3,
        "rms_norm_eps": 0.1,
        "hidden_act": "gelu",
    },
}
RUNS = ["plain", "values", "patterns", "stream", "norms", "everywhere", "scales"]
NO_EDITS = (  # ids, places and what they turn by, and what nothing follows from
    "embed.hook_in",
    "rotary_emb.hook_in",
    "hook_cos",
    "hook_sin",
    "mlp.gate.hook_out",
    "hook_expert_indices",
)
PARTS = [1, 3, 2, 4]

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:A forward hook edited:UserWarning")]


# --- models and hooks, as TransformerLens has them -------------------------------------------------------------------


def random_model(fields: dict[str, Any]) -> TransformerBridge:
    """A tiny model with random values everywhere, biases and norms included, that half precision holds exactly."""
    model = TransformerBridge.boot_native(TransformerBridgeConfig(**fields))  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(len(str(fields)))
    # Without norms nothing keeps the stream small: attention would have scores of thousands, and rounding would show.
    size = 0.25 if fields.get("normalization_type", "LN") is None else 0.5
    with torch.no_grad():
        for value in model.parameters():
            value.copy_((size * torch.randn(value.shape, generator=generator)).half())
    return model.eval()


def random_mixtral(fields: dict[str, Any]) -> TransformerBridge:
    """The same for a Mixtral; what 8 bits hold is what both sides read."""
    model = mixtral.blank(fields)
    generator = torch.Generator().manual_seed(len(str(fields)))
    sizes = {name: 1.5 if "experts" in name else 0.5 for name in model.state_dict()}  # so that experts matter
    drawn = {
        name: sizes[name] * torch.randn(value.shape, generator=generator) for name, value in model.state_dict().items()
    }
    model.load_state_dict(unpack(pack(drawn)))
    return mixtral.bridge(model, "mixtral", load_tokenizer("mixture"))


def fields_of(name: str) -> dict[str, Any]:
    """The configuration of a model, as its file holds it."""
    if name in SHIPPED:
        architecture: dict[str, Any] = json.loads((WEIGHTS / name / "config.json").read_text())["architecture"]
        return architecture
    return MIXTRAL[name] if name in MIXTRAL else SIZES | RANDOM[name]


def is_edited(model: TransformerBridge, name: str) -> bool:
    """Whether a hook may edit this activation; a native bridge's scores are a copy of its patterns."""
    copied = "attn.hook_attn_scores" if not has_experts(model) else None
    return name != "logits" and not name.endswith(NO_EDITS) and not (copied and name.endswith(copied))


def has_experts(model: TransformerBridge) -> bool:
    return bool(getattr(model.cfg, "num_experts", None))


def axes(name: str) -> list[str]:
    """The axes of an activation before the last one."""
    letter = name.split(".hook_")[-1]
    if letter in ("pattern", "attn_scores"):
        return ["head", "position"]
    if letter in ("q", "k", "v", "z", "rot_q", "rot_k") or name.endswith(
        (".q.hook_out", ".k.hook_out", ".v.hook_out", ".o.hook_in")
    ):
        return ["position", "head"]
    return ["position"]


def as_function(hook: dict[str, Any]) -> Callable[..., Tensor]:
    """A plain-data hook as the function that TransformerLens takes."""

    def edit(old: Tensor, hook_point: Any = None, **_: Any) -> Tensor:
        if len(old) > 1:  # routers read all tokens in a row, without a batch axis
            return edit(old[None])[0]
        chosen = [
            [value] if isinstance(value := hook.get(axis, list(range(size))), int) else value
            for axis, size in zip(axes(hook["name"]), old.shape[1:], strict=False)
        ]
        new = old.clone()
        where = torch.meshgrid(*(torch.tensor(indices) for indices in chosen), indexing="ij")
        rows = old[0][where]
        for kind, act in (
            ("replace", lambda value: value),
            ("add", lambda value: rows + value),
            ("scale", lambda value: rows * value),
        ):
            if kind in hook:
                value = torch.tensor(hook[kind], dtype=torch.float32)
                every_row = value.reshape(rows.shape) if value.numel() == rows.numel() else value.expand(rows.shape)
                new[0][where] = act(every_row)
        if "hold" in hook:
            along, at = torch.tensor(hook["hold"]["along"]), hook["hold"]["at"]
            new[0][where] = rows + (at - rows @ along)[..., None] * along / (along @ along)
        if "without" in hook:
            left = rows.index_fill(-1, torch.tensor(hook["without"]), 0.0)
            new[0][where] = left / left.sum(-1, keepdim=True)
        return new

    return edit


def run(model: TransformerBridge, tokens: list[int], hooks: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Every activation and the logits, without the batch axis."""
    with torch.no_grad(), model.hooks(fwd_hooks=[(hook["name"], as_function(hook)) for hook in hooks]):
        logits, cache = model.run_with_cache(torch.tensor([tokens]))
    whole = {name: value if len(value) > 1 else value[0] for name, value in cache.items()}
    kept = {name: value.float().clone().contiguous() for name, value in whole.items()}
    return {**kept, "logits": logits[0].float().clone()}


def hooks_for(model: TransformerBridge, shapes: dict[str, list[int]]) -> dict[str, list[dict[str, Any]]]:
    """The hooks of every run; `shapes` are those of the activations. Names that a model lacks are left out."""
    draw = random.Random(3)
    last = model.cfg.n_heads - 1
    both = sorted({0, last})
    length = shapes["blocks.0.hook_resid_pre"][0]
    d_head, d_model = model.cfg.d_head, model.cfg.d_model

    def some(count: int) -> list[float]:
        return [round(draw.gauss(0, 1), 3) for _ in range(count)]

    first, second = "blocks.0.", "blocks.1." if model.cfg.n_layers > 1 else "blocks.0."
    sets: dict[str, list[dict[str, Any]]] = {
        "plain": [],
        "values": [
            {"name": first + "attn.hook_z", "head": 0, "position": 3, "replace": 0},
            {"name": first + "attn.hook_z", "head": last, "add": some(d_head)},
            {"name": first + "attn.hook_v", "head": 0, "position": [1, 4], "replace": some(2 * d_head)},
            {"name": second + "attn.hook_z", "position": [0, 2], "scale": -1.5},
            {"name": second + "attn.hook_z", "head": [last], "position": 1, "hold": {"along": some(d_head), "at": 1.5}},
            {"name": second + "attn.hook_z", "head": both, "position": [1, 2], "add": some(len(both) * 2 * d_head)},
            {"name": first + "mlp.hook_post", "position": 2, "replace": 0.25},
            {"name": second + "mlp.hook_pre", "scale": 0.5},
        ],
        "patterns": [
            {"name": first + "attn.hook_pattern", "head": 0, "position": 2, "replace": some(length)},
            {"name": first + "attn.hook_pattern", "head": [last], "scale": 0.5},
            {"name": second + "attn.hook_pattern", "add": 0.01},
            {"name": second + "attn.hook_pattern", "head": both, "position": [4, 6], "without": [0, 1, 3]},
            {"name": second + "attn.hook_pattern", "position": 7, "without": [7]},
            {
                "name": second + "attn.hook_pattern",
                "head": both,
                "position": [5, 6],
                "add": some(len(both) * 2 * length),
            },
        ],
        "stream": [
            {"name": first + "hook_resid_pre", "position": 1, "add": some(d_model)},
            {"name": first + "hook_resid_mid", "replace": some(length * d_model)},
            {"name": first + "hook_resid_post", "position": [0, 4], "scale": 2},
            {"name": second + "hook_resid_pre", "position": 3, "replace": some(d_model)},
            {"name": second + "hook_attn_out", "add": 0.5},
            {"name": second + "hook_resid_post", "position": [2, 5], "hold": {"along": some(d_model), "at": -0.75}},
        ],
        "norms": [
            {"name": first + "ln1.hook_scale", "position": 2, "scale": 3},
            {"name": first + "ln1.hook_normalized", "position": 4, "replace": some(d_model)},
            {"name": first + "ln2.hook_normalized", "scale": 0.5},
            {"name": "ln_final.hook_scale", "replace": 1.25},
            {"name": "ln_final.hook_normalized", "add": some(d_model)},
        ],
        "everywhere": [],
        "scales": [],
    }
    for name in shapes:
        if not is_edited(model, name):
            continue
        where = {axis: draw.randrange(shapes[name][place]) for place, axis in enumerate(axes(name))}
        anywhere = {axis: index for axis, index in where.items() if draw.random() < 0.5}
        sets["everywhere"].append({"name": name, **where, "add": some(shapes[name][-1])})
        sets["scales"].append({"name": name, **anywhere, "scale": draw.choice((0.7, 1.3))})
    return {title: [hook for hook in hooks if hook["name"] in shapes] for title, hooks in sets.items()}


@cache
def bridge(name: str) -> TransformerBridge:
    if name in SHIPPED:
        return models.load(name)
    return (random_mixtral if name in MIXTRAL else random_model)(fields_of(name))


def tokens_for(name: str) -> list[int]:
    vocabulary = bridge(name).cfg.d_vocab
    return [(7 * place * place + place) % vocabulary for place in range(sum(PARTS))]


def write_model(folder: Path, name: str) -> None:
    """Weights, configuration, and every run with what TransformerLens makes of it."""
    folder.mkdir()
    model = bridge(name)
    if name in SHIPPED:
        last = f"step-{models.checkpoints(name)[-1]:06d}.safetensors"
        shutil.copy(WEIGHTS / name / last, folder / "weights.safetensors")
    elif name in MIXTRAL:
        save_file(pack(plain_state(model)), folder / "weights.safetensors")
    else:
        save_weights(folder, model)
    (folder / "config.json").write_text(json.dumps(fields_of(name)))
    tokens = tokens_for(name)
    shapes = {key: list(value.shape) for key, value in run(model, tokens, []).items()}
    for title, hooks in hooks_for(model, shapes).items():
        (folder / f"{title}.json").write_text(json.dumps({"tokens": tokens, "hooks": hooks}))
        save_file(run(model, tokens, hooks), folder / f"{title}.safetensors")


def plain_state(model: TransformerBridge) -> dict[str, Tensor]:
    """The state dict of the Mixtral behind a bridge, as Hugging Face names it."""
    names = mixtral.blank(MIXTRAL["mixtral"]).state_dict()
    whole = model.original_model.state_dict()
    state = {name.replace("_original_component.", ""): value for name, value in whole.items()}
    return {name: state[name].contiguous() for name in names}


def save_weights(folder: Path, model: TransformerBridge) -> None:
    weights = {
        key.replace("_original_component.", ""): value.detach().half().contiguous()
        for key, value in model.named_parameters()  # behind the bridge's own wrapping
    }
    save_file(weights, folder / "weights.safetensors")


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lens")
    (root / "labs").symlink_to(ROOT / "book" / "labs")
    (root / "lens_parity.js").symlink_to(ROOT / "tests" / "lens_parity.js")
    (root / "page.html").write_text("<!doctype html><title>Parity</title>")
    for name in [*SHIPPED, *RANDOM, *MIXTRAL]:
        write_model(root / name, name)
    return root


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Callable[..., Any]]:
    """A function that calls one of lens_parity.js in the page."""
    try:
        with served(folder) as address, browser() as chromium:
            tab = chromium.new_page()
            tab.goto(f"{address}/page.html")
            script = "async ([name, given]) => (await import('./lens_parity.js'))[name](...given)"
            yield lambda name, *given: tab.evaluate(script, [name, given])
    except NoBrowser as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


def agreed(found: dict[str, Any]) -> bool:
    return not (found["missing"] or found["extra"] or found["wrong"])


@pytest.mark.parametrize("name", [*SHIPPED, *RANDOM, *MIXTRAL])
def test_every_activation_is_that_of_transformerlens(page: Any, name: str) -> None:
    for title in RUNS:
        found = page("compare", name, title)
        assert agreed(found), f"{name}, {title}: {found}"


@pytest.mark.parametrize("name", [*SHIPPED, *RANDOM, *MIXTRAL])
def test_a_run_in_parts_is_the_run_at_once(page: Any, name: str) -> None:
    for title in ("plain", "values", "scales"):
        found = page("compareParts", name, title, PARTS)
        assert agreed(found), f"{name}, {title}: {found}"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("induction", {"eps": 1e-3}),
        ("rms-llama", {"eps": 0.12}),
        ("ln-rotary", {"rotary_base": 510}),
        ("rms-llama", {"rotary_dim": 6}),
        ("ln", {"act_fn": "gelu_new"}),
        ("rmspre", {"act_fn": "relu"}),
        ("rmspre-attention", {"normalization_type": "LNPre"}),
        ("lnpre-final-rms", {"final_rms": False}),
        ("mixtral-shared", {"rms_norm_eps": 0.12}),
        ("mixtral-shared", {"num_experts_per_tok": 2}),
        ("mixtral", {"rope_parameters": {"rope_theta": 510.0}}),
        ("mixtral", {"hidden_act": "gelu"}),
    ],
)
def test_a_wrong_configuration_is_told_apart(page: Any, name: str, changes: dict[str, Any]) -> None:
    assert page("compare", name, "plain", changes)["wrong"]


@pytest.mark.parametrize("title", ["values", "patterns", "stream", "norms", "everywhere"])
def test_every_hook_matters(folder: Path, title: str) -> None:
    """Else a run with hooks could agree although one did nothing, as scaling what a norm reads does next to nothing."""
    model, tokens = bridge("rms-llama"), tokens_for("rms-llama")
    hooks = json.loads((folder / "rms-llama" / f"{title}.json").read_text())["hooks"]
    plain = run(model, tokens, [])["logits"]
    for hook in hooks[:: len(hooks) // 12 + 1]:
        assert not torch.allclose(run(model, tokens, [hook])["logits"], plain, atol=1e-3), hook


def test_keys_can_be_taken_from_a_sharp_head(page: Any, folder: Path) -> None:
    """Beside a key with all the weight in single precision, the others have weights in double precision to share."""
    fields, tokens = SIZES | {"n_layers": 1, "act_fn": "gelu"}, tokens_for("ln")
    model = random_model(fields)
    with torch.no_grad():
        cast(Any, model.original_model).layers[0].attn.q.weight.mul_(256)
    pattern = run(model, tokens, [])["blocks.0.attn.hook_pattern"]
    beside = (pattern - torch.nn.functional.one_hot(pattern.argmax(-1), len(tokens))).abs().sum(-1)
    alone = [(head, at) for head, at in (beside == 0).nonzero().tolist() if at > 0]
    assert len(alone) > 10
    hooks = [
        {"name": PATTERN, "head": head, "position": at, "without": [int(pattern[head, at].argmax())]}
        for head, at in alone
    ]
    (folder / "sharp").mkdir()
    save_weights(folder / "sharp", model)
    (folder / "sharp" / "config.json").write_text(json.dumps(fields))
    (folder / "sharp" / "cut.json").write_text(json.dumps({"tokens": tokens, "hooks": hooks}))
    torch.nn.Module.to(model, torch.float64)  # not the bridge's own, which prints
    expected = run(model, tokens, hooks)
    assert expected["blocks.0.attn.hook_pattern"].sum(-1).allclose(torch.ones(len(pattern), len(tokens)))
    save_file(expected, folder / "sharp" / "cut.safetensors")
    found = page("compare", "sharp", "cut")
    assert agreed(found), found


# --- measurements ----------------------------------------------------------------------------------------------------

MEASURED = ["induction", "ln", "rms-llama", "lnpre-gated", "none", "mixtral-shared"]
PERIOD = 4


def repeated(name: str) -> list[int]:
    """A beginning token and two and a half copies of the same tokens."""
    vocabulary = bridge(name).cfg.d_vocab
    return [0, *([(5 * place + 2) % vocabulary for place in range(PERIOD)] * 3)[: 2 * PERIOD + 2]]


@pytest.mark.parametrize("edits", [[], [{"name": "blocks.0.attn.hook_z", "head": 0, "replace": 0}]])
@pytest.mark.parametrize("name", MEASURED)
def test_measurements_are_those_of_the_book(page: Any, name: str, edits: list[dict[str, Any]]) -> None:
    model, tokens = bridge(name), repeated(name)
    with torch.no_grad(), model.hooks(fwd_hooks=[(hook["name"], as_function(hook)) for hook in edits]):
        logits, cached = model.run_with_cache(torch.tensor([tokens]))

    def found(measurement: str, **options: Any) -> Any:
        return page("measured", name, measurement, {"tokens": tokens, "hooks": edits, **options})

    def close(got: Any, expected: Tensor) -> None:
        torch.testing.assert_close(torch.tensor(got), expected.float(), atol=1e-4, rtol=1e-4)

    lens = found("logitLens", k=3, target=2)
    guesses = measure.unembed(model, streams(model, cached))
    probability = guesses.softmax(-1)
    assert len(lens["labels"]) == len(probability)
    close(lens["probability"], probability.topk(3).values)
    close(lens["probability"], probability.gather(-1, torch.tensor(lens["top"])))
    close(lens["targetProbability"], probability[..., 2])
    assert lens["targetRank"] == (guesses > guesses[..., 2:3]).sum(-1).tolist()

    for position, other in ((3, None), (len(tokens) - 1, 1)):
        shares = found("directLogitAttribution", position=position, token=2, other=other)
        expected = measure.direct_logit_attribution(model, cached, token=2, other=other, pos=position)
        assert shares["labels"] == expected.labels
        close(shares["values"], expected.values[:, 0])

    close(found("tokenLosses"), measure.token_losses(logits, torch.tensor([tokens]))[0])
    patterns = [cached[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.cfg.n_layers)]
    for got, pattern in zip(found("patterns"), patterns, strict=True):
        assert got["shape"] == list(pattern.shape[1:])
        close(got["data"], pattern.flatten())
    scores = found("attentionScores", period=PERIOD)
    close(scores["previous"], torch.stack([measure.previous_token_score(pattern) for pattern in patterns]))
    close(scores["induction"], torch.stack([measure.induction_score(pattern, PERIOD) for pattern in patterns]))

    means = found("meanActivations")
    assert set(means) == {key for key in cached if key.endswith(("attn.hook_z", "hook_mlp_out"))}
    for key, mean in means.items():
        assert mean["shape"] == list(cached[key].shape[2:])
        close(mean["data"], cached[key].mean(dim=(0, 1)).flatten())

    likeliest = found("next", k=4)
    close(likeliest["probability"], logits[0, -1].softmax(-1).topk(4).values)
    close(likeliest["probability"], logits[0, -1].softmax(-1)[likeliest["ids"]])


def streams(model: TransformerBridge, cached: Any) -> Tensor:
    """The stream between any two writes, [boundary position d_model]."""
    names = ["blocks.0.hook_resid_pre"]
    for layer in range(model.cfg.n_layers):
        middle = f"blocks.{layer}.hook_resid_mid"
        names += [middle] * (middle in cached) + [f"blocks.{layer}.hook_resid_post"]
    return torch.stack([cached[name][0] for name in names])


def test_silencing_by_means_is_the_books_mean_ablation(page: Any) -> None:
    model, tokens = bridge("induction"), repeated("induction")
    batch = torch.tensor([tokens])
    with torch.no_grad():
        _, cached = model.run_with_cache(batch)
        silenced = measure.ablate_heads([(0, 1), (1, 2)], "mean", cached)
        expected = measure.token_losses(model.run_with_hooks(batch, fwd_hooks=silenced), batch)[0]
    means = page("measured", "induction", "meanActivations", {"tokens": tokens})
    width = model.cfg.d_head
    edits = []
    for layer, head in ((0, 1), (1, 2)):
        name = f"blocks.{layer}.attn.hook_z"
        edits.append({"name": name, "head": head, "replace": means[name]["data"][head * width : (head + 1) * width]})
    got = page("measured", "induction", "tokenLosses", {"tokens": tokens, "hooks": edits})
    torch.testing.assert_close(torch.tensor(got), expected, atol=1e-4, rtol=0)


# --- experts ---------------------------------------------------------------------------------------------------------

LAYER = 1
GATE = f"blocks.{LAYER}.mlp.hook_expert_weights"


def sizes(model: TransformerBridge) -> tuple[int, int]:
    """How many experts a layer has, and how many a token chooses."""
    config = cast(Any, model.cfg)
    return config.num_experts, config.experts_per_token


def busiest(model: TransformerBridge) -> list[int]:
    """The two experts that read most of the tokens."""
    chosen = routing.record_routing(model, torch.tensor([tokens_for("mixtral")]), LAYER).chosen
    experts: list[int] = torch.bincount(chosen.flatten()).topk(2).indices.tolist()
    return experts


def plain_and_python(model: TransformerBridge, act: str) -> tuple[dict[str, Any], list[Any]]:
    """The same intervention as plain data and as the book's hooks."""
    count, choices = sizes(model)
    barred = busiest(model)
    mask = [float(expert not in barred) for expert in range(count)]
    few = list(range(choices))
    return {
        "dropped": ({"name": GATE, "scale": mask}, routing.dropped(model, LAYER, barred)),
        "barred": ({"name": GATE, "without": barred}, routing.barred(model, LAYER, barred)),
        "forced": ({"name": GATE, "without": list(range(choices, count))}, routing.forced(model, LAYER, few)),
    }[act]


@pytest.mark.parametrize("act", ["dropped", "barred", "forced"])
@pytest.mark.parametrize("name", MIXTRAL)
def test_experts_are_silenced_and_forced_as_in_the_book(page: Any, name: str, act: str) -> None:
    model, tokens = bridge(name), tokens_for(name)
    batch = torch.tensor([tokens])
    edit, hooks = plain_and_python(model, act)
    with torch.no_grad():
        plain, changed = model(batch), model.run_with_hooks(batch, fwd_hooks=hooks)
        with model.hooks(fwd_hooks=hooks):
            routes = [routing.record_routing(model, batch, layer) for layer in range(2)]
    losses = measure.token_losses(changed, batch)[0]
    assert (losses - measure.token_losses(plain, batch)[0]).abs().max() > 0.1, "an edit that changes nothing"
    found = page("measured", name, "expertRoutes", {"tokens": tokens, "hooks": [edit]})
    torch.testing.assert_close(torch.tensor(found["losses"]), losses, atol=1e-4, rtol=1e-4)
    wanted = [torch.tensor(one["data"]).view(len(tokens), -1) for one in found["wanted"]]
    for layer, route in enumerate(routes):
        assert (wanted[layer] == route.logits[0].topk(sizes(model)[1]).indices).all()
        weights, chosen = (torch.tensor(found[part][layer]["data"]) for part in ("weights", "chosen"))
        torch.testing.assert_close(weights.view(route.weights[0].shape), route.weights[0], atol=1e-4, rtol=0)
        used = route.weights[0].gather(-1, route.chosen[0]) > 0  # an expert of no weight is any of them
        assert (chosen.view(used.shape) == route.chosen[0])[used].all()


def test_an_experts_share_is_made_up_where_another_hook_came_first(page: Any) -> None:
    edits = [{"name": GATE, "add": 0.125}, {"name": GATE, "without": [0, 1, 2, 3, 4, 5]}]
    found = page("measured", "mixtral", "expertRoutes", {"tokens": [1, 2, 3], "hooks": edits})
    rows = torch.tensor(found["weights"][LAYER]["data"]).view(3, 8)
    torch.testing.assert_close(rows.sum(-1), torch.ones(3))
    assert (rows[:, :6] == 0).all() and (rows[:, 6:] > 0).all()


# --- weight files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_numbers_are_read_exactly(page: Any, folder: Path, dtype: torch.dtype) -> None:
    finite = [0.0, -0.0, 1.0, -2.5, 6e-8, -3e-5, 6.1e-5, 65504.0, float("inf"), float("-inf")]
    values = torch.cat([torch.tensor(finite), torch.randn(200, generator=torch.Generator().manual_seed(0))]).to(dtype)
    save_file({"a": values, "b": values[3:6].clone()}, folder / "numbers.safetensors")
    found = page("numbers", f"numbers.safetensors?{dtype}")
    assert found == {"a": values.float().tolist(), "b": values[3:6].float().tolist()}
    assert torch.tensor(found["a"])[:2].signbit().tolist() == [False, True]


def described(header: dict[str, Any] | bytes, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


ENTRY = {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "shorter than its own header"),
        (b"<!doctype html><title>Not found</title>", "ends inside its header"),
        (described(b"{not json", b""), "header cannot be read"),
        (described(b"\xff\xfe", b""), "header cannot be read"),
        (described({"a": ENTRY}, bytes(5)), "ends before a does"),
        (described({"a": ENTRY}, bytes(9)), "bytes are left over"),
        (described({"a": ENTRY | {"shape": [3, 2]}}, bytes(8)), "size of a does not fit"),
        (described({"a": {"dtype": "F16"}}, bytes(8)), "a is not described in full"),
        (described({"a": ENTRY | {"dtype": "I64"}}, bytes(8)), "only F16, BF16, F32 and I8"),
        (described({"a": ENTRY | {"dtype": "I8", "shape": [2, 4]}}, bytes(8)), "needs a.scale"),
        (described(b"[1]", b""), "header cannot be read"),
    ],
)
def test_a_damaged_file_is_a_sentence(page: Any, folder: Path, content: bytes, sentence: str) -> None:
    (folder / "damaged.safetensors").write_bytes(content)
    found = page("numbers", f"damaged.safetensors?{hash(content)}")
    assert isinstance(found, str) and sentence in found


# --- requests that make no sense -------------------------------------------------------------------------------------

Z, PATTERN = "blocks.0.attn.hook_z", "blocks.0.attn.hook_pattern"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"options": {"names": ["blocks.9.hook_z"]}}, "no activation blocks.9.hook_z"),
        ({"options": {"hooks": [{"name": "hook_tokens", "replace": 0}]}}, "no activation hook_tokens"),
        ({"options": {"hooks": [{"name": Z, "head": 6, "replace": 0}]}}, "no head 6: there are 6"),
        ({"options": {"hooks": [{"name": Z, "position": [0, 3], "replace": 0}]}}, "no position 3: there are 3"),
        ({"options": {"hooks": [{"name": Z, "position": -1, "replace": 0}]}}, "no position -1"),
        ({"options": {"hooks": [{"name": "hook_embed", "head": 0, "replace": 0}]}}, "has no heads"),
        ({"options": {"hooks": [{"name": Z}]}}, "exactly one of replace, add, scale, hold"),
        ({"options": {"hooks": [{"name": Z, "add": 1, "scale": 2}]}}, "exactly one of replace, add, scale, hold"),
        ({"options": {"hooks": [{"name": Z, "head": 0, "add": [1, 2, 3]}]}}, "brings 3 numbers; it can take 1, 4"),
        ({"options": {"hooks": [{"name": Z, "hold": {"along": [1, 2, 3], "at": 0}}]}}, "holds along 3 numbers"),
        ({"options": {"hooks": [{"name": Z, "without": [0]}]}}, "only attention patterns have them"),
        ({"options": {"hooks": [{"name": PATTERN, "without": [3]}]}}, "has no key 3: there are 3"),
        ({"options": {"hooks": [{"name": PATTERN, "position": 1, "without": [0, 1]}]}}, "without any key to look at"),
        (
            {"options": {"hooks": [{"name": PATTERN, "scale": 1}, {"name": PATTERN, "without": [0]}]}},
            "without any key to look at",
        ),
        ({"options": {"hooks": [{"name": "blocks.0.attn.hook_attn_scores", "add": 1}]}}, "hook_pattern instead"),
        ({"options": {"hooks": [{"name": "embed.hook_in", "replace": 1}]}}, "run other tokens"),
        ({"name": "mixtral", "options": {"hooks": [{"name": GATE, "without": [8]}]}}, "no expert 8: there are 8"),
        ({"name": "mixtral", "options": {"hooks": [{"name": GATE, "without": list(range(7))}]}}, "with fewer experts"),
        ({"name": "mixtral", "options": {"hooks": [{"name": GATE.replace("weights", "indices"), "add": 1}]}}, "edit"),
        ({"name": "mixtral", "changes": {"experts_per_token": 9}}, "cannot go to 9 of 8 experts"),
        ({"name": "mixtral", "drop": "layers.1.mlp.experts.down"}, "lack layers.1.mlp.experts.down"),
        ({"changes": {"model_type": "llama"}}, "no model of Hugging Face's but Mixtral; this one is a llama"),
        ({"changes": MIXTRAL_SIZES | {"sliding_window": 4}}, "sliding_window = null only; this one has 4"),
        ({"tokens": []}, "at least one token"),
        ({"tokens": [1, 11]}, "no token 11: the vocabulary has ids 0 to 10"),
        ({"tokens": [1.5]}, "no token 1.5"),
        ({"tokens": [1] * 17}, "17 tokens do not fit the model's context of 16"),
        ({"changes": {"attention_dir": "bidirectional"}}, "attention_dir = causal only"),
        ({"changes": {"attn_scores_soft_cap": 30}}, "attn_scores_soft_cap = -1 only"),
        ({"changes": {"act_fn": "solu_ln"}}, "no act_fn solu_ln"),
        ({"changes": {"normalization_type": "BN"}}, "no normalization_type BN"),
        ({"changes": {"positional_embedding_type": "alibi"}}, "no positional_embedding_type alibi"),
        ({"changes": {"n_key_value_heads": 4}}, "6 heads cannot share 4"),
        ({"changes": {"d_model": None}}, "positive whole number as d_model"),
        ({"name": "ln-rotary", "changes": {"rotary_dim": 3}}, "even number from 2 to d_head, not 3"),
        ({"changes": {"d_model": 14}}, "shape [11,13], but the configuration asks for [11,14]"),
        ({"drop": "layers.1.mlp.fc_in.bias"}, "lack layers.1.mlp.fc_in.bias"),
        ({"stray": "layers.2.ln1.weight"}, "hold layers.2.ln1.weight"),
    ],
)
def test_nonsense_is_a_sentence(page: Any, request_: dict[str, Any], sentence: str) -> None:
    assert sentence in (page("failure", {"name": "ln", **request_}) or "no error")


def test_only_the_names_asked_for_are_kept_and_edits_leave_the_model_alone(page: Any) -> None:
    kept, same = page("keeping", "ln", [1, 2, 3], [Z, "hook_embed"])
    assert kept == [Z, "hook_embed"] and same


# --- the documentation -----------------------------------------------------------------------------------------------


def blocks(language: str) -> str:
    """All blocks of one language in book/lens_js.md, in order."""
    text = (ROOT / "book" / "lens_js.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def test_what_the_documentation_shows_runs_and_holds(page: Any, folder: Path) -> None:
    site = folder / "documented"
    site.mkdir()
    for path in (ROOT / "book" / "labs").glob("*.js"):
        (site / path.name).symlink_to(path)
    (folder / "weights").symlink_to(WEIGHTS)
    strict = 'console.assert = (holds) => { if (!holds) throw new Error("an assertion does not hold"); };\n'
    (site / "shown.js").write_text(strict + blocks("js"))
    (site / "false.js").write_text(strict + blocks("js") + "console.assert(logits.shape[0] === 7);")
    assert page("failureOf", "./documented/shown.js") is None
    assert page("failureOf", "./documented/false.js") == "an assertion does not hold"


def test_a_model_gets_out_of_python_as_documented(page: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine").mkdir()
    monkeypatch.chdir(folder / "mine")
    scope: dict[str, Any] = {}
    exec(blocks("python"), scope)
    (folder / "mine" / "mine.json").rename(folder / "mine" / "config.json")
    (folder / "mine" / "mine.safetensors").rename(folder / "mine" / "weights.safetensors")
    (folder / "mine" / "plain.json").write_text(json.dumps({"tokens": [1, 2, 49], "hooks": []}))
    save_file(run(scope["model"].eval(), [1, 2, 49], []), folder / "mine" / "plain.safetensors")
    found = page("compare", "mine", "plain")
    assert agreed(found), found
