"""Writes the card of the dictionaries of a mixture of experts: of what its experts read, hold and write."""

from __future__ import annotations

import platform

from jaxtyping import Float
from torch import Tensor

from utils import models
from utils.measure import dictionary_scores, loss_recovered, principal_components, random_directions
from utils.models.dictionaries import folder
from utils.training.dictionaries import DictionaryRecipe, Wanted
from utils.training.dictionary import DEAD_AFTER
from utils.training.dictionary_card import SCORED_TOKENS, SPLICED_TOKENS, held_out
from utils.training.expert_places import read_places

TEMPLATE = """\
# Dictionaries of {name}

Sparse autoencoders for layer {recipe.layer} of `{name}`: for what its router and all its experts read
(`{stream.hook}`, behind the norm), and for each expert's hidden units and its outputs on the tokens that chose it,
as first or second. Outputs are taken before they are multiplied with the routing weight. Each token but the beginning
token is written as the mean and at most {stream.k} of the dictionary's directions, inside experts {inside.k} (top-k,
Gao et al. 2024). Kept in float16; the decoder's rows have length 1, and the encoder takes activations as they come out
of the model.

`load_dictionary("{name}", place="{stream.place}")`, `place="{inside.place}"` and so on; what an expert's
dictionary reads comes from `utils.measure.routing.expert_activity`.

## Recipe

`python -m utils.training dictionary-{name}`: {steps:,} steps of {recipe.batch:,} tokens for the stream,
{inside_steps:,} for each of the others, Adam, peak learning rate {recipe.learning_rate}, warm-up, then constant, then
linearly to zero; matrix products in bfloat16. {seen:.1f} million tokens were read, windows of the model's own training
corpus; an expert that was given fewer than an even share learned from some of its tokens again. Latents that have not
fired for {dead_after:,} tokens learn from what the others leave over (auxiliary loss, coefficient 1/32). {minutes:.0f}
minutes for all on {machine}.

## Measured

On held-out windows, as many of each source: {scored:,} tokens for the stream, and for an expert those of them that
chose it. A latent is dead here if it fires on none of these tokens. Beside what the dictionary explains stands what
random directions explain, as many of them and as many on a token, and what principal directions explain, each and its
opposite a latent, as many on a token, fitted to these very tokens.

| place | latents | tokens | L0 | variance explained | random directions | principal directions | dead |
|---|---|---|---|---|---|---|---|
{table}

What the router and the experts of layer {recipe.layer} read, replaced over {spliced} sequences, in nats per token
(beginning tokens left out and left as they are): as it is {losses.clean:.3f}, reconstructed {losses.spliced:.3f}, zero
{losses.zero:.3f}, mean {losses.mean:.3f}; recovered {losses.against_zero:.3f} against zero, {losses.against_mean:.3f}
against the mean. The stream beside the block is left as it is.

## Limits

One layer of one model, one seed of each dictionary: with another seed it holds other directions. They are features of a
dictionary, not proven parts of an expert. Variance is dominated by what is large: a dictionary can explain most of it
and miss what is rare. It was trained on text like that on which the scores were measured; on other text expect less.
Nobody has labelled the latents.
"""


def write_card(name: str, recipe: DictionaryRecipe, seconds: float, threads: int) -> str:
    """Measures the shipped dictionaries, writes `card.md` beside them and returns its text."""
    assert recipe.layer is not None
    model = models.load(name)
    stream, inside = recipe.dictionaries[:2]
    scored = read_places(
        model, held_out(name, model, -(-SCORED_TOKENS // (recipe.n_ctx - 1)), recipe.n_ctx), recipe.layer
    )
    spliced = held_out(name, model, SPLICED_TOKENS // recipe.n_ctx, recipe.n_ctx)
    text = TEMPLATE.format(
        name=name,
        recipe=recipe,
        stream=stream,
        inside=inside,
        steps=recipe.steps(),
        inside_steps=recipe.steps(inside.share),
        seen=recipe.steps() * recipe.batch / 1e6,
        dead_after=DEAD_AFTER,
        minutes=seconds / 60,
        machine=f"cpu ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})",
        scored=len(scored[stream.place]),
        table="\n".join(_row(name, wanted, scored[wanted.place]) for wanted in recipe.dictionaries),
        spliced=len(spliced),
        losses=loss_recovered(model, spliced, models.load_dictionary(name, place=stream.place), stream.hook),
    )
    (folder(name) / "card.md").write_text(text)
    return text


def _row(name: str, wanted: Wanted, x: Float[Tensor, "token d"]) -> str:
    scores = dictionary_scores(models.load_dictionary(name, place=wanted.place), x)
    at_random = dictionary_scores(random_directions(x, wanted.width, wanted.k), x)
    principal = dictionary_scores(principal_components(x, wanted.k), x)
    explained = [f"{found.variance_explained:.3f}" for found in (scores, at_random, principal)]
    values = [str(wanted.width), f"{len(x):,}", f"{scores.l0:.1f}", *explained, f"{scores.dead_share:.1%}"]
    return f"| {wanted.place} | {' | '.join(values)} |"
