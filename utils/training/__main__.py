"""`python -m utils.training NAME`: trains a shipped model, its dictionaries or its probes again; writes their card."""

from __future__ import annotations

import argparse
import sys

import torch

from utils.training import dictionary_card, expert_dictionary_card
from utils.training.card import write_card
from utils.training.dictionaries import DICTIONARIES, train_dictionaries
from utils.training.probes import PROBED, train_probes
from utils.training.recipes import RECIPES
from utils.training.train import train

# Before a model's name: its dictionaries, its probes.
DICTIONARY, PROBES = "dictionary-", "probes-"


def main(arguments: list[str] | None = None) -> int:
    """Runs one recipe to its end: training, checkpoints, measurements, model card."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.training",
        description="Train a shipped model again. Interrupt it with Ctrl-C; the same command continues where it was.",
    )
    names = [*sorted(RECIPES), *(DICTIONARY + name for name in DICTIONARIES), *(PROBES + name for name in PROBED)]
    parser.add_argument("name", choices=names, help="the model")
    parser.add_argument("--device", default="cpu", help="where to train: cpu (default), cuda, mps")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        if options.name.startswith(DICTIONARY):
            card = _train_dictionaries(options.name.removeprefix(DICTIONARY), options.threads)
        elif options.name.startswith(PROBES):
            card = train_probes(options.name.removeprefix(PROBES), options.threads)
        else:
            card = _train_model(options.name, options.device, options.threads)
    except KeyboardInterrupt:
        print(f"\nInterrupted. `python -m utils.training {options.name}` continues from the last saved step.")
        return 130
    print(card)
    return 0


def _train_model(name: str, device: str, threads: int) -> str:
    seconds = train(name, RECIPES[name], device)
    return write_card(name, RECIPES[name], seconds, device, threads)


def _train_dictionaries(name: str, threads: int) -> str:
    recipe = DICTIONARIES[name]
    seconds = train_dictionaries(name, recipe)
    card = dictionary_card if recipe.layer is None else expert_dictionary_card
    return card.write_card(name, recipe, seconds, threads)


if __name__ == "__main__":
    sys.exit(main())
