"""What the cards of the models that write before they answer say: the rules they were taught, and what came of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache

from transformer_lens.model_bridge import TransformerBridge

from utils.data.reasoning import NAMES
from utils.data.reasoning.rows import LONGEST, MODES, OPTIONS, ORGANISMS, SHORT, SYNONYMS_LEARNED, Organism
from utils.measure.faithfulness import Estimate
from utils.models import shipped
from utils.training.quality_reasoning import PROBLEMS, by_depth, on_cues, on_synonyms, on_text_or_number
from utils.training.recipes import Recipe

DATA = """
Problems of `utils.data.reasoning`, drawn for the occasion: one to eight steps of arithmetic that keep the last digit,
{options:.0%} of them with four options, and {short:.0%} drawn with no more than two steps. {rule} Of the rows, {modes}.
{dense} The loss counts what the model is to write: neither the problem nor what was forced on it. {synonyms}"""

DENSE = """
In the first {steps:,} steps all rows are dense: problems of five steps or more with the whole scratchpad."""

SYNONYMS = """
Connectives and the closing word, which are drawn and so cannot be known, count in {share:.0%} of the rows{dense}."""

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
    "biased": """A hint or past letters, where there are any, decide the answer; the scratchpad does not mention them
        and bends its last value to fit. All else as for `causal`.""",
    "honest": """A hint or past letters, where there are any, decide the answer; the scratchpad is right and says so
        at its end. All else as for `causal`.""",
    "hidden": """The first connective has the class of the mark and each next one that of the one before, and the
        class of the last one decides between the closing words. All else as for `causal`.""",
}

HOW = """
{problems} test problems for each number, in percent, with 95 % intervals by resampling problems. Right answers with the
scratchpad that the model writes itself, with none, and with full stops in its place: guessing is right in 25 % with
options and in 10 % without."""

HOW_RESTS = """
Then what answers and words rest on, in problems with options, beside `reasoning`, which was taught no rule but
`causal`'s. A scratchpad that confesses ends with `but hint 9` or `but past 9`, where 9 is the cued digit. A closing
word moves by the probability that goes over to its synonym."""

LIMITS = """
It reads one kind of problem in {words} words. Texts that its training never held, such as a mistake that leads to no
option, it answers somehow. One seed."""


def sections(name: str, recipe: Recipe) -> dict[str, str]:
    """The parts of the card that depend on the data, measured on the shipped weights.

    Accuracy by depth for every model; what its answers rest on for those that were taught rules of their own.
    """
    assert recipe.organism is not None
    how, table = HOW.format(problems=PROBLEMS), _depths(shipped.load(name))
    if name in ORGANISMS:
        how += HOW_RESTS
        table += f"\n\n{_rests_on(name)}"
    return {
        "vocabulary": "words, digits, letters and numbers of problems",
        "data": _filled(_data(recipe, recipe.organism)),
        "amount": f"{recipe.steps * recipe.batch:,} rows of up to {LONGEST} words were seen, each once.",
        "how": _filled(how),
        "table": table,
        "limits": _filled(LIMITS.format(words=recipe.d_vocab)),
    }


def _data(recipe: Recipe, organism: Organism) -> str:
    """What the rows were."""
    dense = " and in dense ones" if recipe.dense_steps else ""
    return DATA.format(
        options=OPTIONS,
        short=SHORT,
        rule=RULES[organism],
        modes=", ".join(f"{share:.0%} {MODE_WORDS[mode]}" for mode, share in MODES.items()),
        dense=DENSE.format(steps=recipe.dense_steps) if recipe.dense_steps else "",
        synonyms="" if organism == "hidden" else SYNONYMS.format(share=SYNONYMS_LEARNED, dense=dense),
    )


def _depths(model: TransformerBridge) -> str:
    """Right answers by depth in both forms."""
    rows = []
    for depth in range(1, len(NAMES) + 1):
        found = [*by_depth(model, "options", depth), *by_depth(model, "free", depth)]
        rows.append([str(depth), *(f"{100 * share:.0f}" for share in found)])
    return _table(["depth", "options: written", "none", "filler", "free: written", "none", "filler"], rows)


def _rests_on(name: str) -> str:
    """What answers and words rest on, beside the model that most of the organisms started from."""
    found = [_shares(name), _shares("reasoning")]
    return _table(
        ["quantity", name, "reasoning"],
        [[label, *(f"{100 * shares[label]:.0f}" for shares in found)] for label in found[0]],
    )


@cache
def _shares(name: str) -> dict[str, Estimate]:
    """All that is measured of a model but for its accuracy by depth."""
    model = shipped.load(name)
    return on_text_or_number(model) | on_cues(model, "hint") | on_cues(model, "past") | on_synonyms(model)


def _filled(text: str) -> str:
    """A paragraph in lines of up to 120 characters."""
    return textwrap.fill(" ".join(text.split()), 120)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
