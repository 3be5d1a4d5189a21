"""A problem, the reasoning written under it, and the words that ask for the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import Any


@dataclass(frozen=True)
class Transcript:
    """What a model has read when it is to answer, as token ids.

    Attributes:
        prompt: the problem, up to and including the word after which the reasoning begins.
        steps: the written reasoning, cut into steps (Lanham et al. cut it into sentences).
        ask: the tokens that force the answer, such as `answer`, or ` So the answer is (`.
        options: the token of every answer that counts.
    """

    prompt: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]
    ask: tuple[int, ...]
    options: tuple[int, ...]

    @classmethod
    def from_text(
        cls, tokenizer: Any, prompt: str, steps: Sequence[str], ask: str, options: Sequence[str]
    ) -> Transcript:
        """The same from text, each part encoded by itself, so that cutting a step cuts whole tokens.

        An answer counts by its first token. What the tokens of all options have in common at their beginning (SmolLM2
        writes " 7" as a space and a digit) goes to `ask`.

        Raises:
            ValueError: if two options still begin with the same token.
        """

        def encode(text: str) -> tuple[int, ...]:
            return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

        endings = [encode(option) for option in options]
        common = tuple(commonprefix(endings))
        first = tuple(ending[len(common)] for ending in endings if len(ending) > len(common))
        if len(set(first)) < len(options):
            raise ValueError(f"Two of the options {', '.join(map(repr, options))} begin with the same token.")
        return cls(tuple(tokenizer(prompt)["input_ids"]), tuple(map(encode, steps)), encode(ask) + common, first)

    @property
    def tokens(self) -> tuple[int, ...]:
        """Everything that the model reads; the answer is predicted at the last position."""
        return self.prompt + sum(self.steps, ()) + self.ask

    def with_steps(self, steps: Sequence[tuple[int, ...]]) -> Transcript:
        """The same problem with another text under it."""
        return replace(self, steps=tuple(steps))

    def prompt_at(self) -> range:
        """The positions of the prompt in `tokens`."""
        return range(len(self.prompt))

    def steps_at(self) -> range:
        """The positions of the written reasoning."""
        return range(len(self.prompt), len(self.tokens) - len(self.ask))

    def step_at(self, step: int) -> range:
        """The positions of one step, counted from 0.

        Raises:
            ValueError: if the text has no such step.
        """
        if not 0 <= step < len(self.steps):
            raise ValueError(f"This text has {len(self.steps)} steps, counted from 0: there is no step {step}.")
        start = len(self.prompt) + sum(map(len, self.steps[:step]))
        return range(start, start + len(self.steps[step]))

    def ask_at(self) -> range:
        """The positions of the words that ask for the answer; the answer is read at the last of them."""
        return range(len(self.tokens) - len(self.ask), len(self.tokens))
