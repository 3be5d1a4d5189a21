"""One training step of a mixture of experts: its fast forward pass, and the loss that balances the experts' load.

Tokens are sorted by expert, so that each expert multiplies its own tokens once. A batch passes through the layers in
one piece, since the balance is judged over all of it; only attention and the vocabulary's logits, which are large, are
computed a few rows at a time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import (
    MixtralAttention,
    MixtralSparseMoeBlock,
    apply_rotary_pos_emb,
)

from utils.data.planted import taught_experts
from utils.models import mixtral
from utils.training.recipes import Recipe

ROWS_AT_ONCE = 16  # attention patterns of so few rows stay in the processor's cache
LOGITS_AT_ONCE = 2  # so few logits stay there too


def initial_model(recipe: Recipe) -> MixtralForCausalLM:
    """The untrained model, its weights drawn from the recipe's seed."""
    model = mixtral.blank(recipe.architecture())
    mixtral.draw(model, recipe.seed)
    return model


def update(model: MixtralForCausalLM, optimizers: list[Optimizer], tokens: Tensor, recipe: Recipe) -> float:
    """One step of the optimisers on one batch; returns the mean loss in nats per target, without the balance."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    stream, routes = forward(model, tokens)
    final = stream.detach().requires_grad_()
    total = 0.0
    for rows, targets in zip(final.split(LOGITS_AT_ONCE), tokens.split(LOGITS_AT_ONCE), strict=True):
        logits = F.linear(rows[:, :-1].bfloat16(), model.lm_head.weight.bfloat16()).float().flatten(0, 1)
        loss = F.cross_entropy(logits, targets[:, 1:].flatten(), reduction="sum") / tokens[:, 1:].numel()
        loss.backward()
        total += loss.item()
    assert final.grad is not None
    asked = _on_routes(routes, tokens, recipe)
    torch.autograd.backward([stream, asked], [final.grad, torch.ones_like(asked)])
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return total


def _on_routes(routes: list[tuple[Tensor, Tensor]], tokens: Tensor, recipe: Recipe) -> Float[Tensor, ""]:
    """What is asked of the routers: a lesson where the recipe's data have one for the layer, an even load elsewhere."""
    lessons = taught_experts(tokens) if recipe.data == "planted" else ()
    taught = [_mistaken(probabilities, lesson) for (probabilities, _), lesson in zip(routes, lessons, strict=False)]
    balanced = [recipe.balance * imbalance(*route, recipe.balance_over) for route in routes[len(taught) :]]
    return torch.stack([*taught, *balanced]).sum()


def _mistaken(probabilities: Float[Tensor, "batch pos expert"], lesson: Int[Tensor, "batch pos choice"]) -> Tensor:
    """Cross-entropy of a router against its lesson, from the second token on.

    The first choice is to be twice as likely as the second: were they equal, chance would decide which comes first.
    """
    asked = torch.tensor([2 / 3, 1 / 3], device=probabilities.device)
    return -(probabilities.gather(-1, lesson)[:, 1:].log() * asked).sum(-1).mean()


def imbalance(
    probabilities: Float[Tensor, "batch pos expert"], chosen: Int[Tensor, "batch pos choice"], over: str
) -> Float[Tensor, ""]:
    """n_experts · Σ f P: 1 if the load is even, more if experts with much of it are the likelier ones.

    Source: Fedus et al. (2022), section 2.2. f is an expert's share of the choices, which has no
    gradient, and P its mean probability.

    Args:
        over: "batch", f and P are those of all tokens; "sequence", of one sequence, and the mean over sequences is
            returned: no sequence may then prefer some experts.
    """
    n_experts = probabilities.shape[-1]
    made = F.one_hot(chosen, n_experts).float().mean(-2)
    where = (1,) if over == "sequence" else (0, 1)
    return n_experts * (made.mean(where) * probabilities.mean(where)).sum(-1).mean()


def forward(
    model: MixtralForCausalLM, tokens: Int[Tensor, "batch pos"]
) -> tuple[Float[Tensor, "batch pos d_model"], list[tuple[Tensor, Tensor]]]:
    """What the unembedding reads, and each layer's routing, with matrix products in bfloat16.

    Returns:
        The final, normalised stream; for each layer the router's probabilities `[batch pos expert]` and the experts
        chosen `[batch pos choice]`.
    """
    body = model.model
    stream = body.embed_tokens(tokens)
    cos, sin = body.rotary_emb(stream, torch.arange(tokens.shape[1], device=tokens.device)[None])
    rotation = cos.bfloat16(), sin.bfloat16()
    routes = []
    for layer in body.layers:
        normalised = layer.input_layernorm(stream).bfloat16()
        heads = [_attention(layer.self_attn, rows, rotation) for rows in normalised.split(ROWS_AT_ONCE)]
        stream = stream + torch.cat(heads).float()
        written, *route = _experts(layer.mlp, layer.post_attention_layernorm(stream))
        stream = stream + written
        routes.append((route[0], route[1]))
    return body.norm(stream), routes


def _attention(attn: MixtralAttention, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    batch, length, _ = x.shape
    q, k, v = (
        F.linear(x, part.weight.bfloat16()).view(batch, length, -1, attn.head_dim).transpose(1, 2)
        for part in (attn.q_proj, attn.k_proj, attn.v_proj)
    )
    q, k = apply_rotary_pos_emb(q, k, *rotation)
    q, k, v = (part.reshape(-1, length, attn.head_dim) for part in (q, k, v))
    ahead = torch.full((length, length), -torch.inf, dtype=torch.bfloat16, device=x.device).triu(1)
    scores = torch.baddbmm(ahead.expand(len(q), -1, -1), q, k.transpose(1, 2), alpha=attn.scaling)
    pattern = scores.softmax(-1, dtype=torch.float32).bfloat16()
    z = (pattern @ v).view(batch, -1, length, attn.head_dim).transpose(1, 2)
    return F.linear(z.flatten(2), attn.o_proj.weight.bfloat16())


def _experts(block: MixtralSparseMoeBlock, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the experts write, the router's probabilities, and the experts chosen; the router works in float32."""
    probabilities = F.linear(x, block.gate.weight).softmax(-1)
    top, chosen = probabilities.topk(block.top_k, dim=-1)
    weights = (top / top.sum(-1, keepdim=True)).flatten()
    order = chosen.flatten().argsort(stable=True)  # choices, sorted by expert
    token = order // block.top_k
    tokens_of = chosen.flatten().bincount(minlength=block.gate.num_experts).tolist()
    read = x.flatten(0, 1).bfloat16()[token]
    weights_of = zip(block.experts.gate_up_proj.bfloat16(), block.experts.down_proj.bfloat16(), strict=True)
    written = []
    for rows, (into, out) in zip(read.split(tokens_of), weights_of, strict=True):
        gate, up = F.linear(rows, into).chunk(2, dim=-1)
        written.append(F.linear(F.silu(gate) * up, out))
    weighted = torch.cat(written).float() * weights[order, None]
    summed = torch.zeros_like(x).flatten(0, 1).index_add(0, token, weighted)
    return summed.view_as(x), probabilities, chosen
