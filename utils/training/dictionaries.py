"""The shipped dictionaries: for which activations, how they are made, and how a run that was interrupted goes on.

All dictionaries of one model learn side by side from the same tokens, each in an order of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm
from transformer_lens.model_bridge import TransformerBridge

from utils import models
from utils.data import wikipedia
from utils.data.registry import cache_dir
from utils.measure import collect
from utils.models.dictionaries import dictionary_name, save_dictionary
from utils.training.batches import training_batch
from utils.training.corpora import training_corpus
from utils.training.dictionary import Trainer
from utils.training.expert_places import expert_place, read_hook, read_places, stream_place
from utils.training.recipes import RECIPES

Activations = dict[str, Float[Tensor, "token d"]]  # of each place; "" if there is but one
Piece = Callable[[int], Activations]  # the next tokens' activations, by number


class Wanted(NamedTuple):
    """One dictionary of a recipe.

    Attributes:
        hook: whose activations; inside an expert, where the library has no hook, the place again.
        width: latents.
        seed: of its training.
        untrained: trained on the untrained model.
        k: features that a token may use.
        place: what its activations are called, if the recipe reads several; see `expert_places`.
        share: of a piece's tokens so many are learned from; an expert that got fewer reads some again.
    """

    hook: str
    width: int
    seed: int = 0
    untrained: bool = False
    k: int = 16
    place: str = ""
    share: float = 1.0

    @property
    def name(self) -> str:
        """The stem of its file."""
        return dictionary_name(self.width, self.seed, self.untrained, self.place)


@dataclass(frozen=True)
class DictionaryRecipe:
    """How the dictionaries of one model are trained.

    Attributes:
        dictionaries: which ones; unless there is a `layer`, all for the same hook.
        pieces: the activations come in so many pieces …
        rows: … of so many sequences …
        n_ctx: … of so many tokens, the beginning token among them.
        passes: how often all pieces are read.
        layer: of a mixture of experts, the one whose places are read.
        kept: keep the activations in the cache, if the model is slow.
    """

    dictionaries: tuple[Wanted, ...]
    pieces: int
    rows: int
    n_ctx: int
    passes: int = 1
    batch: int = 1024
    learning_rate: float = 4e-3
    layer: int | None = None
    kept: bool = False

    def steps(self, share: float = 1.0) -> int:
        """Updates of a dictionary that learns from this share of the tokens."""
        return self.passes * self.pieces * self.steps_a_piece(share)

    def steps_a_piece(self, share: float = 1.0) -> int:
        """Updates from one piece; what does not fill a batch is left out."""
        return int(share * self.rows * (self.n_ctx - 1)) // self.batch


def _of_experts(layer: int, experts: int) -> Iterator[Wanted]:
    """For what all experts read, and for each one's hidden units and outputs, of which it has half as many."""
    yield Wanted(read_hook(layer), 512, k=16, place=stream_place(layer))
    for part, width in (("hidden", 344), ("written", 256)):
        for place in (expert_place(layer, expert, part) for expert in range(experts)):
            yield Wanted(place, width, k=8, place=place, share=2 / experts)


DICTIONARIES = {
    "mixture": DictionaryRecipe(
        dictionaries=(
            *(Wanted("blocks.2.hook_resid_pre", width, seed) for width in (512, 1024, 2048) for seed in (0, 1)),
            Wanted("blocks.2.hook_resid_pre", 1024, untrained=True),
        ),
        pieces=16,
        rows=2048,
        n_ctx=128,
    ),
    "experts": DictionaryRecipe(
        dictionaries=tuple(_of_experts(layer=2, experts=8)),
        pieces=32,
        rows=1024,
        n_ctx=128,
        layer=2,
    ),
    "smollm2": DictionaryRecipe(
        dictionaries=(Wanted("blocks.15.hook_resid_pre", 2304, k=32),),
        pieces=24,
        rows=96,
        n_ctx=256,
        passes=4,
        learning_rate=2e-3,
        kept=True,
    ),
}


def train_dictionaries(name: str, recipe: DictionaryRecipe) -> float:
    """Trains and ships all dictionaries of a model; continues a run that was interrupted.

    Returns:
        The seconds spent, over all runs, collecting activations included.
    """
    seconds = 0.0
    for untrained in sorted({wanted.untrained for wanted in recipe.dictionaries}):
        chosen = [wanted for wanted in recipe.dictionaries if wanted.untrained == untrained]
        model = models.untrained(name) if untrained else models.load(name)
        seconds += _train(name, recipe, model, chosen, untrained)
    return seconds


def _train(
    name: str, recipe: DictionaryRecipe, model: TransformerBridge, chosen: list[Wanted], untrained: bool
) -> float:
    """Trains the dictionaries `chosen` on one model's activations, and ships them."""
    label = f"{name}{'-untrained' if untrained else ''}"
    piece, state_path = _pieces(label, name, recipe, model), cache_dir() / f"dictionaries-{label}.safetensors"
    first, started = piece(0), time.monotonic()
    trainers = [
        Trainer(first[one.place], one.width, one.k, 0.0, recipe.steps(one.share), recipe.learning_rate, one.seed)
        for one in chosen
    ]
    done, seconds = _resume(state_path, trainers)
    started -= seconds
    with tqdm(total=recipe.passes * recipe.pieces, initial=done, desc=label, unit="piece") as bar:
        for index in range(done, recipe.passes * recipe.pieces):
            activations = first if index == 0 else piece(index % recipe.pieces)
            for trainer, one in zip(trainers, chosen, strict=True):
                x = activations[one.place]
                needed = recipe.steps_a_piece(one.share) * recipe.batch
                for rows in _order(len(x), needed, seed=1000 * one.seed + index).split(recipe.batch):
                    unexplained = trainer.step(x[rows])
                bar.set_postfix_str(f"{one.name} explains {1 - unexplained:.3f}")
            _save(state_path, trainers, index + 1, time.monotonic() - started)
            bar.update()
    for trainer, one in zip(trainers, chosen, strict=True):
        sae = trainer.dictionary()
        sae.hook = one.hook
        tokens = recipe.steps(one.share) * recipe.batch
        facts = {"scale": trainer.scale, "tokens_seen": tokens}
        if one.share == 1:
            facts["different_tokens"] = min(tokens, recipe.pieces * recipe.rows * (recipe.n_ctx - 1))
        save_dictionary(name, sae, one.seed, untrained, one.place, **facts)
    state_path.unlink(missing_ok=True)
    return time.monotonic() - started


def _pieces(label: str, name: str, recipe: DictionaryRecipe, model: TransformerBridge) -> Piece:
    """A function that gives piece number `index` of the activations."""
    tokens = _mixture_tokens(name, recipe) if name in RECIPES else _wikipedia_tokens(model, recipe)
    if (layer := recipe.layer) is not None:
        return lambda index: read_places(model, tokens(index), layer)
    hook = recipe.dictionaries[0].hook

    def compute(index: int) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = collect(model, tokens(index), [hook])[hook]
        return found[:, 1:].flatten(0, 1).float()

    def cached(index: int) -> Tensor:
        folder = cache_dir() / "activations"
        folder.mkdir(exist_ok=True)
        path = folder / f"{label}-{hook}-{recipe.rows}x{recipe.n_ctx}-{index:03d}.npy"
        if not path.exists():
            partial = path.with_suffix(".partial.npy")
            np.save(partial, compute(index).half().numpy())
            partial.replace(path)
        return torch.from_numpy(np.load(path)).float()

    read = cached if recipe.kept else compute
    return lambda index: {"": read(index)}


def _order(tokens: int, needed: int, seed: int) -> Int[Tensor, " needed"]:
    """Tokens in random order, all of them before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    rounds = -(-needed // tokens)
    return torch.cat([torch.randperm(tokens, generator=generator) for _ in range(rounds)])[:needed]


def _mixture_tokens(name: str, recipe: DictionaryRecipe) -> Callable[[int], Int[Tensor, "batch pos"]]:
    """Batches of the model's own training, drawn where its training ended."""
    of_model = RECIPES[name]
    corpus = training_corpus(of_model)
    batches = recipe.rows // of_model.batch

    def tokens(index: int) -> Tensor:
        first = of_model.steps + index * batches
        return torch.cat([training_batch(corpus, of_model, first + step) for step in range(batches)])

    return tokens


def _wikipedia_tokens(model: TransformerBridge, recipe: DictionaryRecipe) -> Callable[[int], Int[Tensor, "batch pos"]]:
    """Windows of Wikipedia prose in random order, each after a beginning token; cut when the first is asked for."""

    @cache
    def windows() -> Int[Tensor, "window pos"]:
        length = recipe.n_ctx - 1
        wanted = recipe.pieces * recipe.rows * length
        ids: list[int] = []
        for article in wikipedia.training_articles():
            ids += model.tokenizer(article + "\n", add_special_tokens=False, verbose=False)["input_ids"]
            if len(ids) >= wanted:
                break
        rows = torch.tensor(ids[:wanted]).view(-1, length)
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
        return torch.cat([torch.full((len(rows), 1), model.tokenizer.bos_token_id), rows], dim=1)

    return lambda index: windows()[index * recipe.rows : (index + 1) * recipe.rows]


def _save(path: Path, trainers: list[Trainer], done: int, seconds: float) -> None:
    """Writes what a later run needs to continue, all of it as tensors."""
    state = {
        f"{index}.{key}": value for index, trainer in enumerate(trainers) for key, value in trainer.state().items()
    }
    state["progress"] = torch.tensor([float(done), seconds], dtype=torch.float64)
    partial = path.with_suffix(".partial")
    save_file(state, partial)
    partial.replace(path)


def _resume(path: Path, trainers: list[Trainer]) -> tuple[int, float]:
    """Restores an interrupted run if there is one; returns how many pieces it had read and the seconds it had taken."""
    if not path.exists():
        return 0, 0.0
    state = load_file(path)
    done, seconds = state.pop("progress").tolist()
    for index, trainer in enumerate(trainers):
        prefix = f"{index}."
        trainer.restore({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    return int(done), seconds
