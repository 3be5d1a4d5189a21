"""What a model card reports, measured on the shipped weights with several seeds of evaluation data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from utils import models
from utils.data import repeated_tokens, text_windows

SEEDS = (1, 2, 3)
BATCH = 32


@dataclass(frozen=True)
class Quality:
    """The lowest and highest value over the evaluation seeds; losses in nats per token."""

    best_induction_score: tuple[float, float]
    best_previous_token_score: tuple[float, float]
    first_half_loss: tuple[float, float]
    second_half_loss: tuple[float, float]
    text_loss: tuple[float, float]
    in_context_learning_score: tuple[float, float]


def measure(name: str, checkpoint: int | None = None) -> Quality:
    """Runs a shipped model on repeated random tokens and on held-out text, once per seed."""
    model = models.load(name, checkpoint)
    period = model.cfg.n_ctx // 2 - 1
    rows = []
    for seed in SEEDS:
        repeated = repeated_tokens(model.cfg.d_vocab, BATCH, period, seed=seed)
        with torch.no_grad():
            logits, cache = model.run_with_cache(repeated)
            patterns = [cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.cfg.n_layers)]
            loss = _losses(logits, repeated)
            text = text_windows(model.tokenizer, 4 * BATCH, model.cfg.n_ctx, seed=seed)
            text_loss = _losses(model(text), text)
        rows.append(
            [
                max(_stripe(pattern, period - 1, first=period + 1) for pattern in patterns),
                max(_stripe(pattern, 1, first=2) for pattern in patterns),
                loss[:, 1:period].mean().item(),
                loss[:, period + 1 :].mean().item(),
                text_loss.mean().item(),
                (text_loss[:, -40:].mean() - text_loss[:, 20:40].mean()).item(),
            ]
        )
    return Quality(*((min(values), max(values)) for values in zip(*rows, strict=True)))


def _losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """The loss of every prediction, (batch, position - 1)."""
    return -logits[:, :-1].log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]


def _stripe(pattern: Tensor, offset: int, first: int) -> float:
    """The best head's mean attention `offset` positions back, over the queries from position `first` on."""
    stripe = pattern.diagonal(-offset, dim1=-2, dim2=-1)  # (batch, head, query - offset)
    return stripe[..., first - offset :].mean((0, 2)).max().item()
