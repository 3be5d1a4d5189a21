"""The planted tasks: answers follow their table, symbols tell some of the task, lessons are as said."""

from __future__ import annotations

import pytest
import torch

from utils.data import planted
from utils.data.tokenizers import load_tokenizer
from utils.measure import routing


def test_every_question_is_followed_by_its_tasks_answer() -> None:
    rows = planted.planted_sequences(50, 32, seed=3)
    assert rows.tokens.shape == rows.task.shape == (50, 32) and (rows.tokens[:, 0] == 0).all()
    assert torch.equal(rows.tokens[:, 1] - planted.FIRST_TASK, rows.task[:, 0])
    table = planted.answers()
    for tokens, task in zip(rows.tokens.tolist(), rows.task[:, 0].tolist(), strict=True):
        for question, answer in zip(tokens[2::2], tokens[3::2], strict=True):
            assert table[task, question - 1] == answer - 1
    assert torch.equal(rows.tokens, planted.planted_sequences(50, 32, seed=3).tokens)
    assert not torch.equal(rows.tokens, planted.planted_sequences(50, 32, seed=4).tokens)


def test_the_tokenizer_has_the_words_under_their_numbers() -> None:
    tokenizer = load_tokenizer("planted")
    tokens = planted.planted_sequences(2, 32).tokens
    words = [planted.WORDS[token - 1] for token in tokens[0, 1:].tolist()]
    assert tokenizer(" ".join(words), add_special_tokens=False)["input_ids"] == tokens[0, 1:].tolist()


def test_the_taught_routes_depend_on_token_or_task_alone() -> None:
    rows = planted.planted_sequences(400, 32)
    by_token, by_task = planted.taught_experts(rows.tokens)
    for taught in (by_token, by_task):
        assert (taught[..., 0] != taught[..., 1]).all() and taught.min() >= 0 and taught.max() < planted.EXPERTS
    assert torch.equal(by_task[..., 0] // 2, rows.task)
    for token in rows.tokens.unique():
        assert len(by_token[rows.tokens == token].unique(dim=0)) == 1
    sequences = torch.arange(400)[:, None].expand_as(rows.task)
    later = slice(2, None)  # the task's name is a token, too
    task, tokens, sequence = rows.task[:, later], rows.tokens[:, later], sequences[:, later]
    assert routing.mutual_information(task, by_token[:, later, 0], sequence).low > 0.1
    told_by_token = routing.added_information(task, by_token[:, later, 0], tokens).information
    assert told_by_token.bits == pytest.approx(0, abs=1e-9)
    assert routing.added_information(task, by_task[:, later, 0], tokens).information.low > 1.2
