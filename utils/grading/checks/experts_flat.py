"""Checks of the chapter on experts: what a histogram over topics says about specialisation, and what it does not."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from utils.grading import exercise, expect_close, fail
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.experts_counted import LN2, bits, informed
from utils.grading.checks.superposition import Student, between, expect_parts, fresh

LEAST = 0.1  # bits
TOPICS, TOKENS, EXPERTS = 3, 12, 4
KINDS = ("chance", "token", "token, preferred", "topic", "hidden", "hidden, preferred")
MISLED = {
    "hidden": "misled is False where the histogram is flat and the topic matters all the same: who looks at it alone "
    "sees nothing.",
    "token": "misled is True where the histogram is flat and the topic does not matter: there it tells the truth.",
    "mixed": "misled is True where the histogram is peaked and the topic matters: there it tells the truth.",
    "token, preferred": "misled is False where the histogram is peaked and only the token matters: who looks at it "
    "alone takes the experts for specialists in topics.",
}


@exercise(
    "experts.read_histogram",
    title="What a flat histogram says",
    points=3,
    minutes=30,
    difficulty=3,
    hints=[
        "Before code, take two routers. One goes by token alone, and topics prefer tokens: what does its histogram by "
        "topic look like? The other sends token i of topic j to expert i + j, modulo their number: what does that one "
        "look like, and what does it know?",
        "shown and beyond are informations of the same table, summed over tokens or not. The verdict asks two "
        "questions in this order: is beyond at least `least`? If not, is the token's information about the expert? "
        "What the histogram shows is not asked.",
        "info = lambda t: h(t.sum(1)) + h(t.sum(0)) - h(t); shown = info(n.sum(1)); beyond = sum over tokens of "
        "n[:, i].sum() / n.sum() * info(n[:, i]); verdict = 'topic' if beyond >= least else 'token' if "
        "info(n.sum(0)) >= least else 'neither'; misled = (shown >= least) != (verdict == 'topic')",
    ],
)
def check_read_histogram(student: Student) -> None:
    g = fresh()
    counts = _counts(g, "mixed")
    while any(crowded(*table.values()) or table[""] < LEAST for table in _values(counts).values()):
        counts = _counts(g, "mixed")
    cases = {"mixed": counts} | {KINDS[i]: _counts(g, KINDS[i]) for i in torch.randperm(len(KINDS), generator=g)}
    misled = {kind: _reading(student, counts) for kind, counts in cases.items()}
    for kind, sentence in MISLED.items():
        got, right = misled[kind]
        if got != right:
            fail(sentence)


def _counts(g: torch.Generator, kind: str) -> Float[Tensor, "topic token expert"]:
    """Very many tokens of a router of some kind, drawn again while a value is near the threshold."""
    while True:
        counts = _drawn(g, kind)
        values = [table[""] for table in _values(counts).values()] + [_by_token(counts)]
        if all(abs(value - LEAST) > 0.03 for value in values):
            return counts


def _drawn(g: torch.Generator, kind: str) -> Float[Tensor, "topic token expert"]:
    topic, token = torch.arange(TOPICS)[:, None], torch.arange(TOKENS)[None]
    taste = torch.ones(TOPICS, TOKENS)
    if "preferred" in kind:
        taste[token % TOPICS == topic] = float(between(4.0, 9.0, generator=g))
    if kind == "mixed":
        taste = torch.rand(TOPICS, TOKENS, generator=g) ** 2
    home = {"token": token % TOPICS, "topic": topic, "hidden": token + topic}.get(kind.partition(",")[0], token)
    home = home.expand(TOPICS, TOKENS) % EXPERTS
    sure = 0.0 if kind == "chance" else float(between(0.65, 0.85, generator=g))
    goes = sure * one_hot(home, EXPERTS) + (1 - sure) / EXPERTS
    if kind == "mixed":
        goes = torch.randn(TOPICS, TOKENS, EXPERTS, generator=g).mul(1.5).softmax(-1)
    size = float(between(1.0, 4.0, generator=g)) * 1e6
    tokens, experts = torch.randperm(TOKENS, generator=g), torch.randperm(EXPERTS, generator=g)
    return (size * (taste / taste.sum())[..., None] * goes).round()[:, tokens][..., experts]


def _by_token(counts: Float[Tensor, "topic token expert"]) -> float:
    """What the token says about the expert."""
    return float(informed(counts.sum(0)[None]))


def _values(counts: Float[Tensor, "topic token expert"]) -> dict[str, dict[str, float]]:
    """For both values: mistake → what it would give; the right one under no mistake."""
    by_token = counts.transpose(0, 1)
    shown, beyond, token = float(informed(counts.sum(1)[None])), float(informed(by_token)), _by_token(counts)
    return {
        "shown": {
            "": shown,
            "Those are nats. Bits have base 2.": shown * LN2,
            "That is what the token says about the expert. The histogram is by topic.": token,
            "That is what the topic says about the token.": float(informed(counts.sum(2)[None])),
            "That is the topic's information with the token known, which is beyond.": beyond,
            "That is the entropy of the experts. Subtract what remains of it when the topic is known.": bits(
                counts.sum((0, 1))
            ),
        },
        "beyond": {
            "": beyond,
            "Those are nats, beyond too. Bits have base 2.": beyond * LN2,
            "All tokens weigh the same in yours. Weight each by how often it occurs.": float(
                informed(by_token[:, None]).mean()
            ),
            "You subtracted what the token says about the expert from what the topic says. Compare only tokens that "
            "are the same.": shown - token,
            "That is what the token adds for who knows the topic. It is the other way round.": float(informed(counts)),
            "That is the histogram's value again. Look at each token by itself.": shown,
            "That is what the token says about the expert.": token,
            "You added up the tokens' values. Take their mean, weighted by how often a token occurs.": float(
                informed(by_token[:, None]).sum()
            ),
        },
    }


def _reading(student: Student, counts: Float[Tensor, "topic token expert"]) -> tuple[bool, bool]:
    """Whether the answer says that the histogram misleads, and whether it does; the rest is checked here."""
    got = student(counts, LEAST)
    expect_parts(got, 4, "Return four things, (shown, beyond, verdict, misled): two numbers, a word, True or False.")
    tables = _values(counts)
    shown, beyond = (table.pop("") for table in tables.values())
    for value, right, (what, table) in zip(got, (shown, beyond), tables.items(), strict=False):
        expect_close(value, right, mistakes=table, otherwise=f"{what} differs.", what=what, atol=1e-4)
    token = _by_token(counts)
    verdict = "topic" if beyond >= LEAST else "token" if token >= LEAST else "neither"
    _expect_verdict(got[2], verdict, shown, token)
    if not isinstance(got[3], (bool, Tensor)):
        fail("misled should be True or False.")
    return bool(got[3]), (shown >= LEAST) != (verdict == "topic")


def _expect_verdict(got: Any, right: str, shown: float, token: float) -> None:
    if got not in ("topic", "token", "neither"):
        fail("The verdict should be one of the words 'topic', 'token' and 'neither'.")
    if got == right:
        return
    flat = shown < LEAST
    if right == "topic" and flat and got == ("token" if token >= LEAST else "neither"):
        fail(
            "A flat histogram over topics was taken to say that the topic does not matter. It says that loads are even "
            "in every topic, which balancing can enforce: look at what the topic adds for each token."
        )
    if right != "topic" and got == "topic":
        fail(
            "A peaked histogram over topics was taken to say that the topic decides. Topics prefer tokens, so experts "
            "that know the token only look the same: look at what the topic adds for each token."
        )
    if right == "topic" and got == "token":
        fail("Where the topic adds something beyond the token, the verdict is 'topic', even if the token matters too.")
    if right == "token":
        fail(
            "You found no specialisation where the token decides. That the topic says nothing does not mean that the "
            "experts are alike."
        )
    fail("You found specialisation where neither the topic nor the token says at least `least` bits.")
