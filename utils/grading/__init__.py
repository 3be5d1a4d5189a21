"""Exercises, hints, points and predictions.

In a notebook::

    from utils.grading import check, hint, solved, progress, predict, reveal, calibration

    check("residual_stream.layer_norm", layer_norm)     # the verdict, in a sentence, with the points
    hint("residual_stream.layer_norm", 1)               # a nudge; higher levels say more
    if solved("residual_stream.layer_norm"): ...        # passed in this session
    progress("residual_stream")                         # points so far; kept between sessions
    predict("residual_stream.share", "What share …?", guess=(0.2, 0.5))
    reveal("residual_stream.share", 0.31)

A check is plain Python over the student's callable, in `checks/SLUG.py`::

    @exercise("residual_stream.scale", title="Scale a stream", points=1, minutes=5, difficulty=1,
              hints=["Which axis?", "Multiply.", "x * s[:, None]"])
    def check_scale(student):
        x, s = torch.randn(4, 7), torch.randn(4)        # fresh every time: `check` reseeds, then puts everything back
        got = student(x, s)
        expect_shape(got, (4, 7), "the scaled stream")
        expect_close(got, x * s[:, None], mistakes={"You added the scale instead.": x + s[:, None]})

`student` works on copies of its arguments, so a check may use its own afterwards. Answers that must pass and
answers that must fail stand beside it in `mutants/SLUG.py`; `utils.grading.audit` holds the one against the other.
"""

from utils.grading.checking import check, hint, solved
from utils.grading.expect import WrongAnswer, expect_close, expect_equal, expect_shape, fail
from utils.grading.points import export_progress, import_progress, progress
from utils.grading.predictions import calibration, predict, reveal
from utils.grading.registry import Exercise, all_exercises, exercise

__all__ = [
    "Exercise",
    "WrongAnswer",
    "calibration",
    "check",
    "exercise",
    "all_exercises",
    "expect_close",
    "expect_equal",
    "expect_shape",
    "export_progress",
    "fail",
    "hint",
    "import_progress",
    "predict",
    "progress",
    "reveal",
    "solved",
]
