"""Writes a model's card: what it is, how it was made, and what was measured on the weights that ship."""

from __future__ import annotations

import platform

from utils.data import wikipedia
from utils.models import shipped
from utils.training.batches import LONGEST_REPEAT, PASSAGES_PER_ROW, SHORTEST_REPEAT
from utils.training.quality import PERIOD, SEEDS, Quality, measure
from utils.training.recipes import Recipe

TEMPLATE = """\
# {name}

{purpose}

## Architecture

{layers} attention-only, d_model {recipe.d_model}, {recipe.n_heads} heads of {d_head}, context {recipe.n_ctx},
vocabulary {recipe.d_vocab:,} (byte-level byte-pair encoding), LayerNorm, learned positions that start as sinusoids.
{parameters:,} parameters, kept in float16, {kept} checkpoints.

## Data

English Wikipedia prose of 2006: enwik8 (CC BY-SA) without markup, from the source archive of {package}
(SHA-256 {sha256}). The last {held_out} articles are held out. {share}
{seen:.0f} million tokens were seen, of 19.3 million different ones.

## Recipe

`python -m utils.training {name}`: {recipe.steps:,} steps of {recipe.batch} x {recipe.n_ctx} tokens, AdamW, peak
learning rate {recipe.learning_rate}, weight decay {recipe.weight_decay}, warm-up and cosine, matrix products in
bfloat16, seed {recipe.seed}. {minutes:.0f} minutes on {machine}.

## Measured

Lowest and highest value over evaluation seeds {seeds}; losses in nats per token. Repeated random tokens have a period
of {period}.

| quantity | trained | untrained (step 0) |
|---|---|---|
{table}

## Limits

Trained on a 2006 snapshot of English Wikipedia with a tiny vocabulary: it knows words and short phrases, no facts worth
repeating. One seed. Heads are numbered as they came out; another seed numbers them otherwise.{random}
"""

RANDOM_LIMIT = """ Some passages of the training
data are random tokens that come again, so the test on repeated random tokens asks for nothing new in kind, only for
tokens never seen together."""

ROWS = {
    "best_induction_score": "best head's induction score",
    "best_previous_token_score": "best head's previous-token score",
    "first_half_loss": "loss on random tokens, first copy",
    "second_half_loss": "loss on random tokens, second copy",
    "text_loss": "loss on held-out text",
    "in_context_learning_score": "in-context-learning score (tokens 215 to 255 minus tokens 20 to 40)",
}


def write_card(name: str, recipe: Recipe, seconds: float, device: str, threads: int) -> str:
    """Measures the shipped weights, writes `card.md` beside them and returns its text."""
    trained, untrained = measure(name), measure(name, checkpoint=0)
    share = (
        f"In {recipe.repeat_share:.0%} of the training sequences {PASSAGES_PER_ROW} passages of {SHORTEST_REPEAT} to "
        f"{int(LONGEST_REPEAT * recipe.n_ctx)} tokens come again further on; {recipe.random_share:.0%} of those "
        "passages are random tokens, the others text."
        if recipe.repeat_share
        else "No passage was repeated on purpose."
    )
    text = TEMPLATE.format(
        name=name,
        purpose=recipe.purpose,
        layers="One layer," if recipe.n_layers == 1 else f"{recipe.n_layers} layers,",
        recipe=recipe,
        d_head=recipe.d_model // recipe.n_heads,
        parameters=sum(p.numel() for p in shipped.load(name).original_model.parameters()),
        kept=len(recipe.checkpoints),
        package=wikipedia.PACKAGE,
        sha256=wikipedia.SHA256,
        held_out=wikipedia.HELD_OUT_ARTICLES,
        share=share,
        random=RANDOM_LIMIT if recipe.random_share else "",
        seen=recipe.steps * recipe.batch * recipe.n_ctx / 1e6,
        minutes=seconds / 60,
        machine=f"{device} ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})",
        seeds=", ".join(map(str, SEEDS)),
        period=PERIOD,
        table="\n".join(_row(label, field, trained, untrained) for field, label in ROWS.items()),
    )
    (shipped.WEIGHTS / name / "card.md").write_text(text)
    return text


def _row(label: str, field: str, trained: Quality, untrained: Quality) -> str:
    columns = (f"{low:.2f} to {high:.2f}" for low, high in (getattr(trained, field), getattr(untrained, field)))
    return f"| {label} | {' | '.join(columns)} |"
