"""How well a model predicts: loss per token, and how it changes along the context."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def token_losses(
    logits: Float[Tensor, "batch pos d_vocab"], tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos-1"]:
    """The loss of every prediction, in nats: minus the log probability of the token that came next.

    Entry `[b, i]` belongs to the prediction made at position `i` of the token at position `i + 1`.

    Raises:
        ValueError: if `logits` and `tokens` disagree on batch or length, or there is no next token to predict.
    """
    if logits.ndim != 3 or tokens.ndim != 2 or logits.shape[:2] != tokens.shape:
        raise ValueError(
            f"token_losses needs logits [batch pos d_vocab] for tokens [batch pos]; "
            f"got shapes {list(logits.shape)} and {list(tokens.shape)}."
        )
    if tokens.shape[1] < 2:
        raise ValueError("token_losses needs at least two tokens in a row: the first predicts the second.")
    chosen = logits[:, :-1].gather(-1, tokens[:, 1:, None].to(logits.device)).squeeze(-1)
    return logits[:, :-1].logsumexp(-1) - chosen


def second_half_loss(losses: Float[Tensor, "batch pos-1"], period: int) -> tuple[float, float]:
    """Mean loss on the first copy of a repeated passage and on the later ones, in nats per token.

    For sequences of a beginning token and whole copies of `period` tokens, as `repeated_tokens` makes them. The first
    copy is random, so nobody can do better there than ln(d_vocab − 1); a model that copies from context does better on
    the later ones. The first token of each copy counts, although nothing announces that a copy begins.

    Source: Olsson et al. (2022), "repeated random sequences".

    Raises:
        ValueError: if the losses do not cover a whole number of copies, and at least two.
    """
    copies, rest = divmod(losses.shape[-1], max(period, 1))
    if period < 1 or rest or copies < 2:
        raise ValueError(
            f"second_half_loss needs the losses of two or more whole copies of `period` tokens; "
            f"{losses.shape[-1]} losses do not fit a period of {period}."
        )
    return losses[:, :period].mean().item(), losses[:, period:].mean().item()


def in_context_learning_score(
    losses: Float[Tensor, "batch pos-1"], early: tuple[int, int], late: tuple[int, int]
) -> float:
    """Mean loss late in the context minus mean loss early in it, in nats; negative: the model uses its context.

    Olsson et al. (2022), "in-context learning score", take the 500th token minus the 50th; a window around each place
    averages noise away.

    Args:
        early: first place and the place after the last, counted along the losses (place `i` predicts token `i + 1`).
        late: the same for the late window.

    Raises:
        ValueError: if a window is empty or does not lie inside the losses.
    """
    length = losses.shape[-1]
    for name, (low, high) in (("early", early), ("late", late)):
        if not 0 <= low < high <= length:
            raise ValueError(
                f"The {name} window ({low}, {high}) does not lie inside the {length} losses: "
                f"choose 0 <= first < end <= {length}."
            )
    return (losses[:, slice(*late)].mean() - losses[:, slice(*early)].mean()).item()
