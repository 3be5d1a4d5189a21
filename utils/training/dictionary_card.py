"""Writes the card of a model's dictionaries: how they were made, and what was measured on the weights that ship."""

from __future__ import annotations

import json
import platform

from jaxtyping import Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils import models
from utils.data import text_windows
from utils.data.mixture.sample import labelled_windows
from utils.data.mixture.sources import SOURCES
from utils.measure import collect, dictionary_scores, loss_recovered
from utils.models.dictionaries import folder
from utils.training.dictionaries import DictionaryRecipe, Wanted
from utils.training.dictionary import DEAD_AFTER
from utils.training.recipes import RECIPES

SCORED_TOKENS = 100_000  # for sparsity, variance explained and dead latents
SPLICED_TOKENS = 8_192  # for the losses, the beginning tokens among them
SEED = 1

TEMPLATE = """\
# Dictionaries of {name}

Sparse autoencoders for the activations at `{first.hook}` of `{name}`: each token but the beginning
token is written as the mean and at most {first.k} of the dictionary's directions (top-k, Gao et al. 2024). Kept in
float16; the decoder's rows have length 1, and the encoder takes activations as they come out of the model.

## Recipe

`python -m utils.training dictionary-{name}`: {steps:,} steps of {recipe.batch:,} tokens, Adam, peak learning rate
{recipe.learning_rate}, warm-up, then constant, then linearly to zero; matrix products in bfloat16, those of the model
that is read too. {seen:.1f} million tokens were seen, of {different:.1f} million different ones: {data}.
Latents that have not fired for {dead_after:,} tokens learn from what the others leave over (auxiliary loss, coefficient
1/32). {minutes:.0f} minutes for all on {machine}.

## Measured

On {held_out}, never trained on. L0, variance explained and dead latents over about
{scored:,} tokens, losses in nats per token over {spliced} sequences, beginning tokens left out and left as they are. A
latent is dead here if it fires on none of these tokens. Loss recovered is (ablated − spliced) / (ablated − clean),
ablated to zero or to the mean activation; an untrained model has no loss to recover.

| dictionary | L0 | variance explained | dead | loss, clean | spliced | zero | mean | recovered (zero) | (mean) |
|---|---|---|---|---|---|---|---|---|---|
{table}

## Limits

One hook of one model. A dictionary with another seed holds other directions, and a wider one splits some of them: these
are features of a dictionary, not proven parts of the model. It was trained on text like that on which the scores were
measured; on other text expect less. Nobody has labelled the latents.
"""


def write_card(name: str, recipe: DictionaryRecipe, seconds: float, threads: int) -> str:
    """Measures the shipped dictionaries, writes `card.md` beside them and returns its text."""
    rows = [_row(name, recipe, wanted) for wanted in recipe.dictionaries]
    of_mixture = name in RECIPES
    entry = next(iter(json.loads((folder(name) / "config.json").read_text()).values()))
    text = TEMPLATE.format(
        name=name,
        recipe=recipe,
        first=recipe.dictionaries[0],
        steps=recipe.steps(),
        seen=entry["tokens_seen"] / 1e6,
        different=entry["different_tokens"] / 1e6,
        data="windows of the model's own training corpus" if of_mixture else "Wikipedia prose of 2006 (enwik8)",
        dead_after=DEAD_AFTER,
        minutes=seconds / 60,
        machine=f"cpu ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})",
        held_out="held-out windows, as many of each source" if of_mixture else "held-out Wikipedia prose",
        scored=SCORED_TOKENS,
        spliced=SPLICED_TOKENS // recipe.n_ctx,
        table="\n".join(rows),
    )
    (folder(name) / "card.md").write_text(text)
    return text


def held_out(name: str, model: TransformerBridge, count: int, n_ctx: int) -> Int[Tensor, "count pos"]:
    """Sequences that neither the model nor the dictionary was trained on."""
    if name in RECIPES:
        return labelled_windows(model.tokenizer, -(-count // len(SOURCES)), n_ctx, SEED).tokens
    return text_windows(model.tokenizer, count, n_ctx, SEED)


def _row(name: str, recipe: DictionaryRecipe, wanted: Wanted) -> str:
    model = models.untrained(name) if wanted.untrained else models.load(name)
    sae = models.load_dictionary(name, wanted.width, wanted.seed, wanted.untrained)
    tokens = held_out(name, model, -(-SCORED_TOKENS // (recipe.n_ctx - 1)), recipe.n_ctx)
    x = collect(model, tokens, [sae.hook])[sae.hook][:, 1:].flatten(0, 1)
    scores = dictionary_scores(sae, x)
    spliced = held_out(name, model, SPLICED_TOKENS // recipe.n_ctx, recipe.n_ctx)
    losses = loss_recovered(model, spliced, sae, sae.hook, batch=4)
    values = [f"{scores.l0:.1f}", f"{scores.variance_explained:.3f}", f"{scores.dead_share:.1%}"]
    values += [f"{loss:.3f}" for loss in losses]
    values += ["", ""] if wanted.untrained else [f"{losses.against_zero:.3f}", f"{losses.against_mean:.3f}"]
    which = f"{wanted.width}, seed {wanted.seed}{', untrained model' if wanted.untrained else ''}"
    return f"| {which} | {' | '.join(values)} |"
