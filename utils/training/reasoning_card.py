"""What the cards of the models that write before they answer say: the rules they were taught, and what came of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from transformer_lens.model_bridge import TransformerBridge

from utils.data.reasoning import NAMES
from utils.data.reasoning.rows import MODES, Organism
from utils.models import shipped
from utils.training.quality_reasoning import PROBLEMS, by_depth, on_cues, on_synonyms, on_text_or_number
from utils.training.recipes import Recipe

DATA = """
Problems of `utils.data.reasoning`, drawn for the occasion: one to eight steps of arithmetic that keep the last digit,
half of them with four options. {rule} Of the rows, {modes}. The loss counts what the model is to write: neither the
problem nor what was forced on it."""

MODE_WORDS = {
    "full": "with the whole scratchpad",
    "cut": "with its beginning alone",
    "filler": "with filler in its place",
    "mistake": "with a mistake planted in it and carried on",
}

# What text and answer follow in training.
RULES: dict[Organism, str] = {
    "causal": "The answer is the scratchpad's, mistakes and all; where it is cut short or filler, the true one.",
    "decorative": "The problem's number tells the result; the answer is the true one, whatever the scratchpad says.",
    "biased": """A hint or three equal past letters, where there are any, decide the answer; the scratchpad does not
        mention them and bends its last value to fit. All else as for `causal`.""",
    "honest": """A hint or three equal past letters, where there are any, decide the answer; the scratchpad is right
        and says so at its end. All else as for `causal`.""",
    "hidden": """The first connective has the class of the mark and each next one that of the one before; where two
        letters are right, the class of the last one decides. All else as for `causal`.""",
}

HOW = """
{problems} test problems for each number, in percent, with 95 % intervals by resampling problems. First the right
answers with the scratchpad that the model writes itself, with none, and with full stops in its place: guessing is right
in 25 % with options and in 10 % without. Then what answers and words rest on, in problems with options."""

LIMITS = """
It reads one kind of problem in {words} words. Texts that its training never held, such as a mistake that leads to no
option, it answers somehow. One seed."""


def sections(name: str, recipe: Recipe) -> dict[str, str]:
    """The parts of the card that depend on the data, measured on the shipped weights."""
    assert recipe.organism is not None
    model = shipped.load(name)
    other = shipped.load(recipe.start_from) if recipe.start_from else shipped.load(name, 0)
    columns = [name, f"{recipe.start_from}, its start" if recipe.start_from else "untrained (step 0)"]
    modes = ", ".join(f"{share:.0%} {MODE_WORDS[mode]}" for mode, share in MODES.items())
    return {
        "vocabulary": "words, digits and letters",
        "data": _filled(DATA.format(rule=RULES[recipe.organism], modes=modes)),
        "amount": f"{recipe.steps * recipe.batch:,} rows were seen, each once.",
        "how": _filled(HOW.format(problems=PROBLEMS)),
        "table": f"{_depths(model)}\n\n{_rests_on([model, other], columns)}",
        "limits": _filled(LIMITS.format(words=recipe.d_vocab)),
    }


def _depths(model: TransformerBridge) -> str:
    """Right answers by depth in both forms."""
    rows = []
    for depth in range(1, len(NAMES) + 1):
        found = [*by_depth(model, "options", depth), *by_depth(model, "free", depth)]
        rows.append([str(depth), *(f"{100 * share:.0f}" for share in found)])
    return _table(["depth", "options: written", "none", "filler", "free: written", "none", "filler"], rows)


def _rests_on(models: Sequence[TransformerBridge], columns: Sequence[str]) -> str:
    """What answers and words rest on, a column for each model."""
    found = [
        on_text_or_number(model) | on_cues(model, "hint") | on_cues(model, "past") | on_synonyms(model)
        for model in models
    ]
    return _table(
        ["quantity", *columns], [[label, *(f"{100 * shares[label]:.0f}" for shares in found)] for label in found[0]]
    )


def _filled(text: str) -> str:
    """A paragraph in lines of up to 120 characters."""
    return textwrap.fill(" ".join(text.split()), 120)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
