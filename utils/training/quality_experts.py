"""What the cards of mixtures of experts report beside the loss: experts' loads, and whether lessons were learned."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from utils import models
from utils.data import mixture, planted
from utils.measure import routing, token_losses

ROWS = 32  # windows of each source
PLANTED_ROWS = 512
SEED = 1_000_000_000  # of sequences that no step of the training draws


def loads(name: str, checkpoint: int | None = None) -> Float[Tensor, "layer expert"]:
    """Each expert's share of all choices of its layer, on windows of the held-out sample, as many of each source."""
    model = models.load(name, checkpoint)
    tokens = mixture.labelled_windows(model.tokenizer, ROWS, model.cfg.n_ctx).tokens
    shares = []
    for layer in range(model.cfg.n_layers):
        found = routing.record_routing(model, tokens, layer)
        shares.append((found.weights > 0).float().mean((0, 1)) / found.chosen.shape[-1])
    return torch.stack(shares)


@torch.no_grad()
def planted_quality(name: str, checkpoint: int | None = None) -> tuple[float, float, float]:
    """The loss on the tasks' answers, in nats, and how often the first choice is as taught in the two taught layers."""
    model = models.load(name, checkpoint)
    tokens = planted.planted_sequences(PLANTED_ROWS, model.cfg.n_ctx, SEED).tokens
    lessons = planted.taught_experts(tokens)
    kept = [
        routing.agreement(routing.record_routing(model, tokens, layer).chosen[:, 1:, :1], lessons[layer][:, 1:, :1])
        for layer in (planted.BY_TOKEN, planted.BY_TASK)
    ]
    return token_losses(model(tokens), tokens)[:, 2::2].mean().item(), kept[0], kept[1]
