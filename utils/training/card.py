"""Writes a model's card: what it is, how it was made, and what was measured on the weights that ship."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from utils.data import mixture, wikipedia
from utils.data.mixture.sources import SHARES
from utils.models import shipped
from utils.training import reasoning_card
from utils.training.batches import LONGEST_REPEAT, PASSAGES_PER_ROW, SHORTEST_REPEAT
from utils.training.corpora import training_corpus
from utils.training.quality import MIXTURE_ROWS, PERIOD, SEEDS, measure, source_losses
from utils.training.quality_experts import PLANTED_ROWS, loads, planted_quality
from utils.training.quality_othello import GAMES, boards_seen, measure_othello
from utils.training.recipes import Recipe

TEMPLATE = """\
# {name}

{purpose}

## Architecture

{layers}{mlp}, d_model {recipe.d_model}, {recipe.n_heads} heads of {d_head}, context {recipe.n_ctx},
vocabulary {recipe.d_vocab:,} ({vocabulary}), {parts}.
{parameters:,} parameters{active}, kept in {bits}, {kept}.

## Data

{data}
{amount}

## Recipe

`python -m utils.training {name}`: {recipe.steps:,} steps of {recipe.batch} x {recipe.n_ctx} tokens, AdamW, peak
learning rate {recipe.learning_rate}{muon}, weight decay {recipe.weight_decay}, warm-up and {fall}, matrix products in
bfloat16, {start}.{routers} {minutes:.0f} minutes on {machine}.

## Measured

{how}

{table}

## Limits

{limits}
"""

WIKIPEDIA_DATA = """\
English Wikipedia prose of 2006: enwik8 (CC BY-SA) without markup, from the source archive of {package}
(SHA-256 {sha256}). The last {held_out} articles are held out. {share}"""

WIKIPEDIA_LIMITS = """\
Trained on a 2006 snapshot of English Wikipedia with a tiny vocabulary: it knows words and short phrases, no facts worth
repeating. One seed. Heads are numbered as they came out; another seed numbers them otherwise.{random}"""

RANDOM_LIMIT = """ Some passages of the training
data are random tokens that come again, so the test on repeated random tokens asks for nothing new in kind, only for
tokens never seen together."""

MIXTURE_DATA = """\
The mixture of `utils.data.mixture`, a sequence being a window of one source: {shares}.
Packages, checksums and licences stand in `utils/data/mixture` and on the book's page on data and licences; documents
whose hash says so are held out."""

MIXTURE_LIMITS = """\
Trained on little text of narrow kinds: German and French are manual pages and one handbook, code is one web framework
and one compression library. It knows spelling, common words and formats, no facts worth repeating, and does sums only
where the answer is short. One seed. The shipped sample takes the topics of a source in turn, so its mean over a source
is not the mean over the source's text."""

EXPERTS_LIMITS = """

It differs from its dense twin `mixture` in more than its experts: RMSNorm, rotary positions and gated units are
Mixtral's. Experts are numbered as they came out; another seed numbers them otherwise."""

PLANTED_DATA = """\
Sequences of `utils.data.planted`, made for the occasion: the name of one of four tasks, then symbols, each followed by
the task's answer to it. The routers of the first two layers are taught which experts to choose."""

PLANTED_LIMITS = """\
A yardstick for methods that look for specialisation, and no evidence for any: the division of labour in its first two
layers was put there. One seed."""

OTHELLO_DATA = """\
Games of `utils.data.othello`, played for the occasion: each move is drawn uniformly among the legal ones, and the
transcript lists the squares alone, without passes and without saying who moved. The model is told no rule and no board;
its only target is the move that was made."""

OTHELLO_HOW = """\
{games:,} test games that no step trains on, with 95 % intervals by resampling games. The first choice is asked for at
moves 2 to 60; losses are in nats per move."""

OTHELLO_LIMITS = """\
It knows random games, hardly any of which looks like play between people, and it does not play to win. One seed.
Test boards that also stood in a training game: {overlap}."""

MIXTRAL_PARTS = "RMSNorm, rotary positions"
SEEDS_AND_UNIT = (
    f"Lowest and highest value over evaluation seeds {', '.join(map(str, SEEDS))}; losses in nats per token."
)
UNTRAINED = "trained | untrained (step 0)"
OPENING = (4, 6, 8, 10, 12, 16, 20)  # moves after which the card says how many test boards training had met

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
    parts = {
        "wikipedia": _wikipedia,
        "mixture": _mixture,
        "othello": _othello,
        "reasoning": reasoning_card.sections,
        "planted": _planted,
    }
    text = TEMPLATE.format(
        name=name,
        purpose=recipe.purpose,
        layers="One layer" if recipe.n_layers == 1 else f"{recipe.n_layers} layers",
        mlp=_mlp(recipe),
        parts=MIXTRAL_PARTS if recipe.n_experts else f"LayerNorm, {_positions(recipe)}",
        recipe=recipe,
        d_head=recipe.d_model // recipe.n_heads,
        parameters=sum(p.numel() for p in shipped.load(name).original_model.parameters()),
        active=f", of which {_active(name, recipe):,} work on each token" if recipe.n_experts else "",
        bits="8 bits" if recipe.n_experts else "float16",
        kept="one checkpoint" if len(recipe.checkpoints) == 1 else f"{len(recipe.checkpoints)} checkpoints",
        muon=f" (Muon for the layers' matrices: {recipe.muon_learning_rate})" if recipe.muon_learning_rate else "",
        fall=_fall(recipe),
        routers=_routers(recipe),
        start=f"from the last weights of `{recipe.start_from}`" if recipe.start_from else f"seed {recipe.seed}",
        minutes=seconds / 60,
        machine=f"{device} ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})",
        **parts[recipe.data](name, recipe),
    )
    (shipped.WEIGHTS / name / "card.md").write_text(text)
    return text


def _mlp(recipe: Recipe) -> str:
    if recipe.d_mlp is None:
        return " attention-only"
    if recipe.n_experts is None:
        return f", each with an MLP of {recipe.d_mlp} hidden units (GELU)"
    return f", each with {recipe.n_experts} experts of {recipe.d_mlp} gated hidden units (SiLU), two for a token"


def _active(name: str, recipe: Recipe) -> int:
    """How many parameters take part in the prediction of one token."""
    assert recipe.n_experts is not None
    share = {True: 2 / recipe.n_experts, False: 1.0}  # of the experts' weights, of all others
    parameters = shipped.load(name).original_model.named_parameters()
    return round(sum(value.numel() * share["experts" in key] for key, value in parameters))


def _positions(recipe: Recipe) -> str:
    """How a dense model knows positions."""
    if recipe.rotary_dim is None:
        return "learned positions that start as sinusoids"
    return f"rotary positions in {recipe.rotary_dim} of a head's {recipe.d_model // recipe.n_heads} entries"


def _fall(recipe: Recipe) -> str:
    if recipe.cool_down:
        return f"a straight fall to zero over the last {recipe.cool_down:,} steps"
    return f"the beginning of a cosine over {recipe.cosine_steps:,} steps" if recipe.cosine_steps else "cosine"


def _routers(recipe: Recipe) -> str:
    if not recipe.n_experts:
        return ""
    if not recipe.balance:
        return " Nothing balances the experts' load."
    where = "every sequence" if recipe.balance_over == "sequence" else "each batch"
    return f" The load is balanced over {where} with weight {recipe.balance} (Fedus et al. 2022)."


def _wikipedia(name: str, recipe: Recipe) -> dict[str, str]:
    """What a card says of a model trained on Wikipedia alone."""
    return _of_text(recipe) | {
        "data": _wikipedia_data(recipe),
        "how": f"{SEEDS_AND_UNIT} Repeated random tokens have a period\nof {PERIOD}.",
        "table": _table(UNTRAINED, _wikipedia_rows(name)),
        "limits": WIKIPEDIA_LIMITS.format(random=RANDOM_LIMIT if recipe.random_share else ""),
    }


def _mixture(name: str, recipe: Recipe) -> dict[str, str]:
    """What a card says of a model trained on the mixture."""
    return _of_text(recipe) | {
        "data": MIXTURE_DATA.format(shares=", ".join(f"{source} {share:.0%}" for source, share in SHARES.items())),
        "how": f"{SEEDS_AND_UNIT} {MIXTURE_ROWS} windows of each\nsource of the shipped sample.",
        "table": _table(*_mixture_table(name, recipe)),
        "limits": MIXTURE_LIMITS + (EXPERTS_LIMITS if recipe.n_experts else ""),
    }


def _planted(name: str, recipe: Recipe) -> dict[str, str]:
    """What a card says of the model with the planted tasks."""
    labels = ("loss on answers, in nats", "first choices as taught, by token", "first choices as taught, by task")
    values = zip(planted_quality(name), planted_quality(name, 0), strict=True)
    rows = [f"| {label} | {late:.3f} | {early:.3f} |" for label, (late, early) in zip(labels, values, strict=True)]
    return {
        "vocabulary": "symbols, names of tasks, and a beginning",
        "data": PLANTED_DATA,
        "amount": f"{recipe.steps * recipe.batch:,} sequences were seen.",
        "how": f"{PLANTED_ROWS} sequences that no step trains on.",
        "table": _table(UNTRAINED, rows),
        "limits": PLANTED_LIMITS,
    }


def _othello(name: str, recipe: Recipe) -> dict[str, str]:
    """What a card says of a model trained on games of Othello."""
    early = recipe.checkpoints[1]
    games = recipe.steps * recipe.batch
    seen = boards_seen(recipe)
    return {
        "vocabulary": "the 60 squares that can be played, and a beginning",
        "data": OTHELLO_DATA,
        "amount": f"{games:,} games were seen, each once; {early * recipe.batch:,} by step {early:,}.",
        "how": OTHELLO_HOW.format(games=GAMES),
        "table": _table(f"trained | step {early:,} | untrained (step 0)", _othello_rows(name, early)),
        "limits": OTHELLO_LIMITS.format(overlap=_overlap(seen)),
    }


def _of_text(recipe: Recipe) -> dict[str, str]:
    """What the cards of all models of text have in common."""
    seen = recipe.steps * recipe.batch * recipe.n_ctx / 1e6
    different = sum(len(tokens) for _, tokens in training_corpus(recipe)) / 1e6
    return {
        "vocabulary": "byte-level byte-pair encoding",
        "amount": f"{seen:.0f} million tokens were seen, of {different:.1f} million different ones.",
    }


def _table(columns: str, rows: list[str]) -> str:
    return "\n".join([f"| quantity | {columns} |", "|---" * (columns.count("|") + 2) + "|", *rows])


def _wikipedia_data(recipe: Recipe) -> str:
    share = (
        f"In {recipe.repeat_share:.0%} of the training sequences {PASSAGES_PER_ROW} passages of {SHORTEST_REPEAT} to "
        f"{int(LONGEST_REPEAT * recipe.n_ctx)} tokens come again further on; {recipe.random_share:.0%} of those "
        "passages are random tokens, the others text."
        if recipe.repeat_share
        else "No passage was repeated on purpose."
    )
    return WIKIPEDIA_DATA.format(
        package=wikipedia.PACKAGE, sha256=wikipedia.SHA256, held_out=wikipedia.HELD_OUT_ARTICLES, share=share
    )


def _wikipedia_rows(name: str) -> list[str]:
    trained, untrained = measure(name), measure(name, checkpoint=0)
    return [_row(label, getattr(trained, field), getattr(untrained, field)) for field, label in ROWS.items()]


def _mixture_table(name: str, recipe: Recipe) -> tuple[str, list[str]]:
    """Losses by source, and for experts their loads; experts stand beside what they are to be compared with."""
    columns: dict[str, tuple[str, int | None]] = {"trained": (name, None)}
    if recipe.n_experts:
        step = recipe.steps if recipe.cosine_steps else None  # of the main run, after as many tokens
        columns |= {f"`experts`, step {step:,}": ("experts", step)} if step else {"dense `mixture`": ("mixture", None)}
    if 0 in recipe.checkpoints:
        columns["untrained (step 0)"] = (name, 0)
    measured = [source_losses(*column) for column in columns.values()]
    rows = [_row(f"loss on held-out {source}", *(losses[source] for losses in measured)) for source in mixture.SOURCES]
    if recipe.n_experts:
        shares = [None if model == "mixture" else loads(model, step) for model, step in columns.values()]
        for layer in range(recipe.n_layers):
            ranges = [None if of is None else (of[layer].min().item(), of[layer].max().item()) for of in shares]
            rows.append(_row(f"load of least and most used expert, layer {layer}", *ranges))
    return " | ".join(columns), rows


def _othello_rows(name: str, early: int) -> list[str]:
    measured = [measure_othello(name, checkpoint) for checkpoint in (None, early, 0)]
    illegal = (_with_interval([100 * value for value in quality.illegal], "%", digits=2) for quality in measured)
    losses = (_with_interval(quality.loss, "", digits=3) for quality in measured)
    return [
        f"| first choice not a legal move | {' | '.join(illegal)} |",
        f"| loss; {measured[0].least_loss[0]:.3f} for who knows the rules | {' | '.join(losses)} |",
    ]


def _with_interval(values: Sequence[float], unit: str, digits: int) -> str:
    mean, low, high = values
    return f"{mean:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"


def _overlap(seen: Float[np.ndarray, "position"]) -> str:
    """The share of test boards met in training, by the number of moves made."""
    shown = ", ".join(f"{100 * seen[moves]:.3g}%" for moves in OPENING)
    late = 100 * seen[OPENING[-1] + 1 :].max()
    moves = ", ".join(map(str, OPENING))
    return f"{shown} after {moves} moves, and\n{f'at most {late:.2g}%' if late else 'none'} after more"


def _row(label: str, *ranges: tuple[float, float] | None) -> str:
    columns = ("none" if found is None else f"{found[0]:.2f} to {found[1]:.2f}" for found in ranges)
    return f"| {label} | {' | '.join(columns)} |"
