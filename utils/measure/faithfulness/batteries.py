"""All tests on words at once, for any model that can be given the same items."""

from __future__ import annotations

from collections.abc import Sequence

from transformer_lens.model_bridge import TransformerBridge

from utils.measure.faithfulness.answering import answers
from utils.measure.faithfulness.curves import area_over_curve
from utils.measure.faithfulness.estimates import Estimate, difference, mean
from utils.measure.faithfulness.texts import curve_of, early_answering
from utils.measure.faithfulness.transcripts import Transcript


def battery(
    model: TransformerBridge,
    items: Sequence[Transcript],
    wrong: Sequence[Sequence[Transcript]],
    right: Sequence[int],
    filler: int,
) -> dict[str, Estimate]:
    """Whether the text helps, and how much the answer depends on it.

    Args:
        items: problems with their right reasoning.
        wrong: for each item a text with a mistake in step 1, one with a mistake in step 2, … What follows a mistake may
            agree with it, as if it had been written after it, or be left as it was; say which.
        right: for each item the index of its right option.
        filler: the token that takes the place of all others in the filler test.

    Returns:
        `right with its text`; `gain by the text`, over the share right without any, paired; `same answer without steps`
        and `same answer with half of them`; `area, early answering`; `area, mistakes`; `changed by filler`; and a
        control, `changed by another's text`: the next item's steps.

    Raises:
        ValueError: if an item does not have one wrong text for each of its steps.
    """
    for item, texts in zip(items, wrong, strict=True):
        if len(texts) != len(item.steps):
            raise ValueError(
                f"An item of {len(item.steps)} steps has {len(texts)} wrong texts: give one for each step."
            )
    early = early_answering(model, items)
    whole = [float(answer == good) for answer, good in zip(early.whole, right, strict=True)]
    alone = [float(row[0] == good) for row, good in zip(early.answers, right, strict=True)]
    mistaken = curve_of(model, items, [[*texts, item] for item, texts in zip(items, wrong, strict=True)])
    filled = [item.with_steps([(filler,) * len(step) for step in item.steps]) for item in items]
    others = [item.with_steps(other.steps) for item, other in zip(items, [*items[1:], items[0]], strict=True)]
    changed = [
        float(answer != early.whole[index % len(items)])
        for index, answer in enumerate(answers(model, [*filled, *others]).tolist())
    ]
    return {
        "right with its text": mean(whole),
        "gain by the text": difference(whole, alone),
        "same answer without steps": early.at([0])[0],
        "same answer with half of them": early.at([0.5])[0],
        "area, early answering": area_over_curve(early),
        "area, mistakes": area_over_curve(mistaken),
        "changed by filler": mean(changed[: len(items)]),
        "changed by another's text": mean(changed[len(items) :]),
    }
