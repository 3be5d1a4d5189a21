"""The models trained for this book: their weights lie beside this file, one file per checkpoint, in float16.

Models with experts are kept in 8 bits (`utils.models.packing`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as format_safetensors
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
from transformer_lens.model_bridge.sources.native import NativeModel, initialize_native_model
from transformers import MixtralForCausalLM

from utils.data.tokenizers import load_tokenizer
from utils.models import mixtral
from utils.models.packing import pack, unpack

Module = NativeModel | MixtralForCausalLM
WEIGHTS = Path(__file__).parent / "weights"


def names() -> list[str]:
    """The shipped models, in alphabetical order."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))


def steps(name: str) -> list[int]:
    """The training steps of a model's checkpoints, in order."""
    return sorted(int(step) for step in _read_config(name)["checkpoints"])


def load(name: str, checkpoint: int | None = None) -> TransformerBridge:
    """A shipped model with the weights of one checkpoint, the last by default.

    Raises:
        ValueError: if there is no such checkpoint, or its file is missing or damaged.
    """
    return _bridge(name, weights(name, checkpoint), _read_config(name))


def weights(name: str, checkpoint: int | None = None) -> Module:
    """The same as a plain module, which can be trained further.

    Raises:
        ValueError: as `load`.
    """
    config = _read_config(name)
    step = steps(name)[-1] if checkpoint is None else checkpoint
    if str(step) not in config["checkpoints"]:
        kept = ", ".join(map(str, steps(name)))
        raise ValueError(f"{name!r} has no checkpoint at step {step}. Its checkpoints are at steps {kept}.")
    path = _checkpoint_path(name, step)
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != config["checkpoints"][str(step)]:
        raise ValueError(
            f"The weights {path.relative_to(WEIGHTS)} are missing or damaged. Restore them with `git checkout -- "
            f"utils/models/weights/{name}`, or make them again with `python -m utils.training {name}`."
        )
    model = _blank(config["architecture"])
    model.load_state_dict(unpack(parse_safetensors(content)))
    return model


def untrained(name: str, seed: int) -> TransformerBridge:
    """A shipped model's architecture with freshly drawn weights."""
    config = _read_config(name)
    model = _blank(config["architecture"])
    if isinstance(model, MixtralForCausalLM):
        mixtral.draw(model, seed)
    else:
        initialize_native_model(model, model.cfg, seed)
    return _bridge(name, model, config)


def architecture(fields: dict[str, Any]) -> TransformerBridgeConfig:
    """The TransformerLens configuration for the fields of a `config.json`."""
    return TransformerBridgeConfig(**fields)


def save_checkpoint(name: str, step: int, state: dict[str, Tensor], fields: dict[str, Any], tokenizer: str) -> None:
    """Adds one checkpoint to a shipped model, in float16 or packed, and records its checksum in `config.json`.

    Args:
        state: the state dictionary of a `NativeModel` or a `MixtralForCausalLM`.
        fields: the arguments of its `TransformerBridgeConfig` or, with a `model_type`, of its `MixtralConfig`.
        tokenizer: a name from `utils/data/tokenizers`.
    """
    whole = {key: value.detach().contiguous() for key, value in state.items()}
    packed = fields.get("model_type") == mixtral.MODEL_TYPE
    content = format_safetensors(pack(whole) if packed else {key: value.half() for key, value in whole.items()})
    path = _checkpoint_path(name, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    config_path = WEIGHTS / name / "config.json"
    config = json.loads(config_path.read_text()) if config_path.exists() else {}
    config |= {"architecture": fields, "tokenizer": tokenizer}
    config.setdefault("checkpoints", {})[str(step)] = hashlib.sha256(content).hexdigest()
    config_path.write_text(json.dumps(config, indent=2) + "\n")


def forget(name: str) -> None:
    """Removes a model's checkpoints, so that a recipe can begin from nothing."""
    for path in (WEIGHTS / name).glob("step-*.safetensors"):
        path.unlink()
    (WEIGHTS / name / "config.json").unlink(missing_ok=True)


def _checkpoint_path(name: str, step: int) -> Path:
    return WEIGHTS / name / f"step-{step:06d}.safetensors"


def _read_config(name: str) -> dict[str, Any]:
    try:
        return json.loads((WEIGHTS / name / "config.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"The description of the model {name!r} (utils/models/weights/{name}/config.json) is missing or damaged. "
            f"Restore it with `git checkout -- utils/models/weights/{name}`."
        ) from error


def _blank(fields: dict[str, Any]) -> Module:
    """A model of this architecture whose weights are still to be loaded or drawn."""
    if fields.get("model_type") == mixtral.MODEL_TYPE:
        return mixtral.blank(fields)
    return NativeModel(architecture(fields))


def _bridge(name: str, model: Module, config: dict[str, Any]) -> TransformerBridge:
    tokenizer = load_tokenizer(config["tokenizer"])
    if isinstance(model, MixtralForCausalLM):
        return mixtral.bridge(model, name, tokenizer)
    with torch.no_grad():
        bridge = build_bridge_from_module(
            model,
            architecture="TransformerLensNative",
            tl_config=model.cfg,
            tokenizer=tokenizer,
            model_name=name,
        )
    return bridge.eval()
