"""`python -m utils.training NAME`: trains a shipped model again and writes its card."""

from __future__ import annotations

import argparse
import sys

import torch

from utils.training.card import write_card
from utils.training.recipes import RECIPES
from utils.training.train import train


def main(arguments: list[str] | None = None) -> int:
    """Runs one recipe to its end: training, checkpoints, measurements, model card."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.training",
        description="Train a shipped model again. Interrupt it with Ctrl-C; the same command continues where it was.",
    )
    parser.add_argument("name", choices=sorted(RECIPES), help="the model")
    parser.add_argument("--device", default="cpu", help="where to train: cpu (default), cuda, mps")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = RECIPES[options.name]
    try:
        seconds = train(options.name, recipe, options.device)
    except KeyboardInterrupt:
        print(f"\nInterrupted. `python -m utils.training {options.name}` continues from the last saved step.")
        return 130
    print(write_card(options.name, recipe, seconds, options.device, options.threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
