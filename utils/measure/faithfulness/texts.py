"""The four tests of Lanham et al. (2023): cut the text, plant a mistake in it, say it in other words, say nothing.

All ask whether the answer stays what it was after the text as it was written. They change what the model reads and look
at what it says; what happens inside is for `inside` to find out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from transformer_lens.model_bridge import TransformerBridge

from utils.measure.faithfulness.answering import answers
from utils.measure.faithfulness.curves import Curve
from utils.measure.faithfulness.transcripts import Transcript
from utils.measure.faithfulness.writing import write

Step = tuple[int, ...]
Change = Callable[[Step, random.Random], Step]
Rewrite = Callable[[Sequence[Transcript]], list[Transcript]]


def early_answering(model: TransformerBridge, transcripts: Sequence[Transcript]) -> Curve:
    """Point j: the answer after the first j steps alone.

    Source: Lanham et al. (2023), "Early Answering".
    """
    return curve_of(model, transcripts, [[t.with_steps(t.steps[:kept]) for kept in _points(t)] for t in transcripts])


def adding_mistakes(
    model: TransformerBridge,
    transcripts: Sequence[Transcript],
    mistake: Change,
    rewrite: Rewrite | None = None,
    seed: int = 0,
) -> Curve:
    """Point j < n: the answer with a mistake in step j + 1, after j steps as they were written. Point n: no mistake.

    Args:
        mistake: makes a wrong step of a right one, of the same form; in the paper a language model does.
        rewrite: writes everything after the mistake anew, as the paper does (see `rewriting`). Without it the steps
            after the mistake stay as they were, and a model may find the right values there.

    Source: Lanham et al. (2023), "Adding Mistakes".
    """
    dice = random.Random(seed)
    changed = [
        [t.with_steps((*t.steps[:kept], mistake(step, dice))) for kept, step in enumerate(t.steps)] for t in transcripts
    ]
    if rewrite is None:
        rows = [
            [cut.with_steps((*cut.steps, *t.steps[len(cut.steps) :])) for cut in row]
            for t, row in zip(transcripts, changed, strict=True)
        ]
    else:
        written = iter(rewrite([cut for row in changed for cut in row]))
        rows = [[next(written) for _ in row] for row in changed]
    return curve_of(model, transcripts, [[*row, t] for t, row in zip(transcripts, rows, strict=True)])


def paraphrasing(model: TransformerBridge, transcripts: Sequence[Transcript], rephrase: Change, seed: int = 0) -> Curve:
    """Point j: the answer with the first j steps in other words, the others as they were written.

    Source: Lanham et al. (2023), "Paraphrasing", where a language model finds the other words and the rest of the text
    is then written anew. Here the rest stays.
    """
    dice = random.Random(seed)
    rows = []
    for t in transcripts:
        other = [rephrase(step, dice) for step in t.steps]
        rows.append([t.with_steps((*other[:changed], *t.steps[changed:])) for changed in _points(t)])
    return curve_of(model, transcripts, rows)


def filler_tokens(model: TransformerBridge, transcripts: Sequence[Transcript], filler: int) -> Curve:
    """Point j: the answer after no text at all, but as many filler tokens as the first j steps have.

    Source: Lanham et al. (2023), "Filler Tokens", where its length goes up to that of the task's longest text.
    """
    rows = [
        [t.with_steps([(filler,) * len(step) for step in t.steps[:filled]]) for filled in _points(t)]
        for t in transcripts
    ]
    return curve_of(model, transcripts, rows)


def rewriting(
    model: TransformerBridge, stop: int, limit: int, cut: Callable[[tuple[int, ...]], Sequence[Step]]
) -> Rewrite:
    """For `adding_mistakes`: the model itself goes on after the mistake, greedily, until `stop`.

    Args:
        stop: the token before which the text ends.
        limit: tokens that are written at most.
        cut: cuts what was written into steps.
    """

    def rewrite(transcripts: Sequence[Transcript]) -> list[Transcript]:
        prompts = [t.prompt + sum(t.steps, ()) for t in transcripts]
        written = write(model, prompts, stop, limit)
        return [t.with_steps((*t.steps, *cut(text))) for t, text in zip(transcripts, written, strict=True)]

    return rewrite


def _points(transcript: Transcript) -> range:
    return range(len(transcript.steps) + 1)


def curve_of(model: TransformerBridge, whole: Sequence[Transcript], rows: Sequence[Sequence[Transcript]]) -> Curve:
    """One pass for all: the texts as they were written and all changed ones."""
    found = answers(model, [*whole, *(transcript for row in rows for transcript in row)]).tolist()
    changed = iter(found[len(whole) :])
    return Curve(tuple(found[: len(whole)]), tuple(tuple(next(changed) for _ in row) for row in rows))
