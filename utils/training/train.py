"""The training loop of the shipped language models: plain torch, resumable, the same batches on every machine."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm
from transformer_lens.model_bridge.sources.native import NativeModel, initialize_native_model
from transformer_lens.model_bridge.sources.native.model import NativeMLP
from transformers import MixtralForCausalLM

from utils.data.registry import cache_dir
from utils.models import shipped
from utils.training import experts
from utils.training.batches import NO_TARGET, training_batch, training_examples
from utils.training.corpora import training_corpus
from utils.training.recipes import Recipe

WARM_UP = 200  # steps
TOKENS_AT_ONCE = 2048  # attention patterns of so few rows stay in the processor's cache: more than twice as fast
SAVE_EVERY = 500  # steps between two resumable states


def train(name: str, recipe: Recipe, device: str = "cpu") -> float:
    """Trains a model from its recipe and ships its checkpoints; continues a run that was interrupted.

    Returns:
        The seconds spent training, over all its runs.
    """
    corpus = training_corpus(recipe)
    model: shipped.Module = _first_model(recipe)
    model.to(torch.device(device))  # type: ignore[arg-type]
    optimizers = _optimizers(model, recipe)
    state_path = cache_dir() / f"training-{name}.safetensors"
    done, seconds = _resume(state_path, model, optimizers)
    if not done:
        shipped.forget(name)
        if 0 in recipe.checkpoints:
            _ship(name, 0, model, recipe)
    started = time.monotonic() - seconds
    steps = tqdm(range(done, recipe.steps), desc=name, initial=done, total=recipe.steps, unit="step", mininterval=5)
    for step in steps:
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = group["peak"] * schedule(step, recipe.cosine_steps or recipe.steps, recipe.cool_down)
        if isinstance(model, MixtralForCausalLM):
            loss = experts.update(model, optimizers, training_batch(corpus, recipe, step).to(device), recipe)
        else:
            tokens, targets = training_examples(corpus, recipe, step)
            loss = _update(model, optimizers, tokens.to(device), targets.to(device))
        if (step + 1) in recipe.checkpoints:
            _ship(name, step + 1, model, recipe)
        if (step + 1) % SAVE_EVERY == 0:
            steps.set_postfix(loss=f"{loss:.3f}")
            _save(state_path, model, optimizers, step + 1, time.monotonic() - started)
    state_path.unlink(missing_ok=True)
    return time.monotonic() - started


def _first_model(recipe: Recipe) -> shipped.Module:
    """The model as the training begins."""
    if recipe.start_from is not None:
        return shipped.weights(recipe.start_from)
    return initial_model(recipe) if recipe.n_experts is None else experts.initial_model(recipe)


def initial_model(recipe: Recipe) -> NativeModel:
    """The untrained model: TransformerLens' initialisation, with sinusoids for learned positions to start from.

    Neighbouring sinusoids are related by one rotation (Vaswani et al. 2017, section 3.5), so a head can learn "one
    step back" for all positions at once instead of for each in turn.
    """
    config = shipped.architecture(recipe.architecture())
    model = NativeModel(config)
    initialize_native_model(model, config)
    if model.pos is None:
        return model
    position = torch.arange(recipe.n_ctx)[:, None]
    frequency = torch.exp(-math.log(10_000) * torch.arange(0, recipe.d_model, 2) / recipe.d_model)
    waves = torch.stack([(position * frequency).sin(), (position * frequency).cos()], dim=-1).flatten(1)
    model.pos.weight.data = recipe.position_scale * waves
    return model


def schedule(step: int, steps: int, cool_down: int | None = None) -> float:
    """The learning rate as a fraction of its peak: a linear warm-up, then half a cosine down to a tenth.

    With a cool-down, the rate stays at its peak and falls in a straight line to zero over that many last steps, so
    that a run's length can still be chosen while it runs (Hägele et al. 2024).
    """
    cosine = 0.55 + 0.45 * math.cos(math.pi * step / steps)
    return min(1, (step + 1) / WARM_UP) * (cosine if cool_down is None else min(1, (steps - step) / cool_down))


def forward(model: NativeModel, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position d_vocab"]:
    """The model's logits with matrix products in bfloat16: what `model(tokens)` computes, several times faster."""
    batch, length = tokens.shape
    stream = model.tok_embed(tokens)
    if model.pos is not None:
        stream = stream + model.pos.weight[:length]
    ahead = torch.full((length, length), -torch.inf, dtype=torch.bfloat16, device=tokens.device).triu(1)
    for layer in model.layers:
        attn = layer.attn
        normalised = layer.ln1(stream).bfloat16()
        q, k, v = (
            _linear(normalised, part).view(batch, length, attn.n_heads, attn.d_head).transpose(1, 2)
            for part in (attn.q, attn.k, attn.v)
        )
        if model.rotary is not None:
            q, k = model.rotary.apply_rope(q, k)
        q, k, v = (part.reshape(batch * attn.n_heads, length, attn.d_head) for part in (q, k, v))
        scores = torch.baddbmm(ahead.expand(len(q), -1, -1), q, k.transpose(1, 2), alpha=1 / attn.scale)
        pattern = scores.softmax(-1, dtype=torch.float32).bfloat16()  # in bfloat16 slow for rows of odd lengths
        z = (pattern @ v).view(batch, attn.n_heads, length, attn.d_head)
        stream = stream + _linear(z.transpose(1, 2).flatten(2), attn.o).float()
        if not model.cfg.attn_only:
            assert isinstance(layer.mlp, NativeMLP)
            hidden = F.gelu(_linear(layer.ln2(stream).bfloat16(), layer.mlp.fc_in))
            stream = stream + _linear(hidden, layer.mlp.fc_out).float()
    return _linear(model.ln_out(stream).bfloat16(), model.head)


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    return F.linear(x, layer.weight.bfloat16(), None if layer.bias is None else layer.bias.bfloat16())


def _optimizers(model: shipped.Module, recipe: Recipe) -> list[Optimizer]:
    """AdamW for all parameters, or, where the recipe has a rate for it, Muon for the layers' matrices.

    Muon (Jordan et al. 2024) moves a matrix in all its directions by the same amount; its rate is scaled so that the
    steps are about as large as AdamW's.
    """
    muon = recipe.muon_learning_rate
    layers = model.layers if isinstance(model, NativeModel) else model.model.layers
    hidden = [value for value in layers.parameters() if value.ndim == 2] if muon else []
    chosen = {id(value) for value in hidden}
    others = [value for value in model.parameters() if id(value) not in chosen]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    groups = [{"params": others, "peak": rate}]
    optimizers: list[Optimizer] = [torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=decay)]
    if muon:
        groups = [{"params": hidden, "peak": muon}]
        optimizers.append(torch.optim.Muon(groups, lr=muon, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return optimizers


def _update(
    model: NativeModel,
    optimizers: list[Optimizer],
    tokens: Int[Tensor, "batch position"],
    targets: Int[Tensor, "batch position"],
) -> float:
    """One step of the optimisers on one batch; returns the mean loss in nats per target."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    count = (targets != NO_TARGET).sum().item()
    total = 0.0
    at_once = max(1, TOKENS_AT_ONCE // tokens.shape[1])
    for rows, wanted in zip(tokens.split(at_once), targets.split(at_once), strict=True):
        end = int((wanted != NO_TARGET).any(0).nonzero().max()) + 1  # behind it nothing is to be predicted
        logits = forward(model, rows[:, :end]).float().flatten(0, 1)
        loss = F.cross_entropy(logits, wanted[:, :end].flatten(), reduction="sum", ignore_index=NO_TARGET) / count
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return total


def _ship(name: str, step: int, model: shipped.Module, recipe: Recipe) -> None:
    state = {key: value.cpu() for key, value in model.state_dict().items()}
    shipped.save_checkpoint(name, step, state, recipe.architecture(), recipe.data)


def _save(path: Path, model: shipped.Module, optimizers: list[Optimizer], step: int, seconds: float) -> None:
    """Writes what a later run needs to continue, all of it as tensors."""
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, entry in optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{number}.{index}.{key}": value for key, value in entry.items()}
    state["progress"] = torch.tensor([float(step), seconds], dtype=torch.float64)
    partial = path.with_suffix(".partial")
    save_file(state, partial)
    partial.replace(path)


def _resume(path: Path, model: shipped.Module, optimizers: list[Optimizer]) -> tuple[int, float]:
    """Restores an interrupted run if there is one; returns its step and the seconds it had taken."""
    if not path.exists():
        return 0, 0.0
    state = load_file(path)
    step, seconds = state.pop("progress").tolist()
    model.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model.")})
    entries: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for key, value in state.items():
        if key.startswith("optimizer."):
            _, number, index, field = key.split(".")
            entries[int(number)].setdefault(int(index), {})[field] = value
    for optimizer, entry in zip(optimizers, entries, strict=True):
        optimizer.load_state_dict(optimizer.state_dict() | {"state": entry})
    return int(step), seconds
