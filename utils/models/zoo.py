"""`load(name)`: a shipped model, the real language model, or any model of the hub that TransformerLens knows."""

from __future__ import annotations

import difflib

from transformer_lens.model_bridge import TransformerBridge

from utils.models import shipped, smollm2


def names() -> list[str]:
    """The models that load without a network once the book is installed."""
    return [*shipped.names(), smollm2.NAME]


def checkpoints(name: str) -> list[int]:
    """The training steps at which a shipped model was kept, in order; the first is 0, the untrained model, of all
    that were trained from nothing.

    Raises:
        ValueError: if no model of that name ships with the book.
    """
    if name not in shipped.names():
        raise ValueError(f"{name!r} has no checkpoints in the book. Models that have: {', '.join(shipped.names())}.")
    return shipped.steps(name)


def load(name: str, checkpoint: int | None = None) -> TransformerBridge:
    """A model ready to be run and hooked, in float32 on the CPU, in evaluation mode.

    Args:
        name: one of `names()`, or a name on the Hugging Face hub such as `"gpt2"`.
        checkpoint: a training step from `checkpoints(name)`; the last one by default.

    Raises:
        ValueError: if the name or the checkpoint is unknown, or a weight file is damaged.
        ConnectionError: if the model must be fetched and cannot be reached.
    """
    if name in shipped.names():
        return shipped.load(name, checkpoint)
    if checkpoint is not None:
        raise ValueError(f"{name!r} has no checkpoints in the book. Call load({name!r}) without one.")
    if name == smollm2.NAME:
        return smollm2.load()
    if "/" not in name and (near := difflib.get_close_matches(name, names(), n=1)):
        raise ValueError(f"There is no model {name!r}. Did you mean {near[0]!r}? The book has: {', '.join(names())}.")
    return _load_from_hub(name)


def untrained(name: str, seed: int = 0) -> TransformerBridge:
    """The same architecture and tokenizer with random weights: the control for anything training should explain.

    Raises:
        ValueError: if `name` is not one of `names()`.
    """
    if name in shipped.names():
        return shipped.untrained(name, seed)
    if name == smollm2.NAME:
        return smollm2.untrained(seed)
    raise ValueError(f"There is no untrained twin of {name!r}. The book has: {', '.join(names())}.")


def _load_from_hub(name: str) -> TransformerBridge:
    try:
        return TransformerBridge.boot_transformers(name, device="cpu").eval()
    except Exception as error:  # the hub's clients raise many kinds; the reader needs one sentence
        raise ConnectionError(
            f"There is no model {name!r} in the book ({', '.join(names())}), and it could not be loaded from the "
            f"Hugging Face hub either ({type(error).__name__}). Check the name and the internet connection."
        ) from error
