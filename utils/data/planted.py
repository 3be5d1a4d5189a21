"""Four made-up tasks on the same symbols, and a division of labour between experts that is known because it is taught.

A sequence names its task and then lists symbols, each followed by the task's answer to it: `task3 k → d c → m …`,
without the arrows. Every task has its own table of answers. Tasks share all symbols, but each asks for a quarter of
them more often, so that a symbol tells something about the task.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

TASKS = 4
SYMBOLS = "abcdefghijklmnopqrstuvwxyzαβγδεζ"
WORDS = (*SYMBOLS, *(f"task{task}" for task in range(1, TASKS + 1)))  # token 1, token 2, …; token 0 begins a sequence
FIRST_TASK = 1 + len(SYMBOLS)  # the token of task 0
PREFERENCE = 0.6  # of the questions come from the task's own quarter, the others from anywhere
EXPERTS = 8
BY_TOKEN, BY_TASK = 0, 1  # the layers whose routers are taught; later ones are left alone


class PlantedTokens(NamedTuple):
    """Sequences and what they are about.

    Attributes:
        tokens: the beginning, the task, then questions at even places and their answers at odd ones.
        task: 0 to 3, of every token.
    """

    tokens: Int[Tensor, "batch position"]
    task: Int[Tensor, "batch position"]


def answers(seed: int = 0) -> Int[Tensor, "task symbol"]:
    """What each task answers to each symbol, both counted from 0: a random order of all symbols for each task."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(len(SYMBOLS), generator=generator) for _ in range(TASKS)])


def planted_sequences(rows: int, length: int, seed: int = 0) -> PlantedTokens:
    """Random sequences of all four tasks; the same from the same seed."""
    generator = torch.Generator().manual_seed(seed)
    task = torch.randint(TASKS, (rows, 1), generator=generator)
    questions = (length - 1) // 2
    quarter = len(SYMBOLS) // TASKS
    own = task * quarter + torch.randint(quarter, (rows, questions), generator=generator)
    anything = torch.randint(len(SYMBOLS), (rows, questions), generator=generator)
    asked = torch.where(torch.rand(rows, questions, generator=generator) < PREFERENCE, own, anything)
    pairs = torch.stack([asked, answers()[task, asked]], dim=-1).flatten(1)
    tokens = torch.cat([torch.zeros_like(task), FIRST_TASK + task, 1 + pairs], dim=1)[:, :length]
    return PlantedTokens(tokens, task.expand_as(tokens))


def taught_experts(tokens: Int[Tensor, "batch position"]) -> Int[Tensor, "layer batch position choice"]:
    """The two experts that each token is to go to, the first choice first, in the first layer and in the second.

    In layer 0 the token alone decides, in layer 1 the task alone. Since a task prefers some symbols, layer 0 will look
    divided by task, too, to whoever does not ask what the token tells already. The first token has no lesson.
    """
    first = (tokens - 1) // 4 % EXPERTS  # four symbols in a row to an expert: a task's quarter to two of them
    second = (first + 1 + (tokens - 1) % 4) % EXPERTS
    task = (tokens[:, 1:2] - FIRST_TASK).expand_as(tokens)
    return torch.stack([torch.stack([first, second], -1), torch.stack([2 * task, 2 * task + 1], -1)])
