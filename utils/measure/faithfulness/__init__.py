"""Is a written text what the answer was made from? Tests on words, interventions inside, and rates with intervals.

Everything takes a model and `Transcript`s of token ids, and loads nothing: a model of the book, SmolLM2 or any other
whose attention can be hooked.

Sources: Lanham et al. (2023), arXiv 2307.13702; Turpin et al. (2023), arXiv 2305.04388. Where a definition departs from
theirs, its docstring says so.
"""

from utils.measure.faithfulness.answering import answer_probabilities, answers
from utils.measure.faithfulness.auditing import auditor_bits
from utils.measure.faithfulness.batteries import battery
from utils.measure.faithfulness.cues import confession_rate, flip_rate, following_rate
from utils.measure.faithfulness.curves import Curve, area_over_curve, areas
from utils.measure.faithfulness.estimates import Estimate, difference, mean
from utils.measure.faithfulness.inside import answer_probe, knock_out, swap_keys_values
from utils.measure.faithfulness.texts import (
    adding_mistakes,
    early_answering,
    filler_tokens,
    paraphrasing,
    rewriting,
)
from utils.measure.faithfulness.transcripts import Transcript
from utils.measure.faithfulness.writing import padded, write

__all__ = [
    "Curve",
    "Estimate",
    "Transcript",
    "adding_mistakes",
    "answer_probabilities",
    "answer_probe",
    "answers",
    "area_over_curve",
    "areas",
    "auditor_bits",
    "battery",
    "confession_rate",
    "difference",
    "early_answering",
    "filler_tokens",
    "flip_rate",
    "following_rate",
    "knock_out",
    "mean",
    "padded",
    "paraphrasing",
    "rewriting",
    "swap_keys_values",
    "write",
]
