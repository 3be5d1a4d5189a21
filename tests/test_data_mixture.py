"""The mixture: labels on every token, right sums, markup taken off, and a sample that no recipe trains on."""

from __future__ import annotations

import base64
import io
import tarfile

import pytest

from utils.data import mixture, registry
from utils.data.mixture import english, generated, languages
from utils.data.mixture.documents import HELD_OUT_SHARE, LONGEST, Document, in_parts, is_held_out
from utils.data.mixture.sample import CHARACTERS_A_SOURCE, LONGEST_SAMPLED
from utils.data.mixture.sources import SHARES
from utils.data.tokenizers import load_tokenizer


def test_shares_are_shares():
    assert sum(SHARES.values()) == pytest.approx(1) and min(SHARES.values()) > 0


def test_the_sample_has_every_source_and_several_topics_of_each():
    topics: dict[str, set[str]] = {}
    characters = dict.fromkeys(mixture.SOURCES, 0)
    for document in mixture.sample():
        topics.setdefault(document.source, set()).add(document.topic)
        characters[document.source] += len(document.text)
        assert len(document.text) <= LONGEST_SAMPLED
    assert set(topics) == set(mixture.SOURCES)
    assert all(len(names) >= 2 for names in topics.values())
    assert all(40_000 < count < CHARACTERS_A_SOURCE + LONGEST_SAMPLED for count in characters.values())


def test_the_hash_holds_out_the_stated_share():
    documents = [Document(f"document {i}", "english", "other") for i in range(20_000)]
    assert sum(map(is_held_out, documents)) / 20_000 == pytest.approx(HELD_OUT_SHARE, abs=0.005)


def test_short_documents_of_the_sample_are_held_out():
    uncut = [d for d in mixture.sample() if len(d.text) < LONGEST_SAMPLED and d.source != "base64"]
    assert len(uncut) > 200 and all(map(is_held_out, uncut))


def test_parts_lose_nothing_and_are_short():
    text = "\n".join(f"line {i} " + "x" * (i % 90) for i in range(500))
    parts = in_parts(text, "code", "c")
    assert "\n".join(part.text for part in parts) == text
    assert all(len(part.text) <= LONGEST for part in parts)


def test_sums_are_right_and_repeatable():
    sheets = list(generated.arithmetic(20))
    assert sheets == list(generated.arithmetic(20)) != list(generated.arithmetic(20, seed=1))
    for sheet in sheets:
        for line in sheet.text.split("\n"):
            question, answer = line.split("=")
            assert eval(question) == int(answer) and generated.OPERATIONS[sheet.topic] in question


def test_base64_decodes_to_what_its_topic_says():
    source = "All the words of this text are ASCII. " * 40
    for document in generated.encoded([source], 10):
        content = base64.b64decode(document.text.replace("\n", ""))
        assert (content.decode("ascii", errors="replace") in source) == (document.topic == "english text")


@pytest.mark.parametrize(
    ("categories", "topic"),
    [
        (["1809 births", "American writers"], "people"),
        (["Cities in France"], "places"),
        (["Physics"], "science"),
        (["World War II films", "Physics"], "arts"),
        (["Zebras"], "other"),
        ([], "other"),
    ],
)
def test_topics_come_from_categories(categories, topic):
    assert english.topic_of(categories) == topic


def test_addresses_are_sorted_by_the_end_of_the_host():
    assert english.ending_of("http://www.example.org/a.com") == "org"
    assert english.ending_of("http://example.co.nz") == "elsewhere"
    assert english.ending_of("http://[broken") == "elsewhere"


def test_manual_pages_lose_their_typesetting():
    roff = ".TH LS 1\n\\fBls\\fP zeigt, was im Verzeichnis \\(aqhier\\(aq steht \\- und mehr davon\n.PP\nkurz\n"
    assert languages.plain_manual(roff) == "ls zeigt, was im Verzeichnis 'hier' steht - und mehr davon"


def test_every_token_of_a_window_has_its_labels():
    tokenizer = load_tokenizer("mixture")
    windows = mixture.labelled_windows(tokenizer, rows=3, length=40, seed=5, sources=("code", "base64"))
    assert windows.tokens.shape == windows.source.shape == windows.topic.shape == (6, 40)
    assert (windows.tokens[:, 0] == tokenizer.bos_token_id).all()
    names = [[mixture.SOURCES[i] for i in row] for row in windows.source.tolist()]
    assert names == [["code"] * 40] * 3 + [["base64"] * 40] * 3
    assert all(windows.topics[i].startswith("code / ") for i in windows.topic[:3].unique().tolist())
    text = "\n".join(d.text for d in mixture.sample() if d.source == "base64")
    assert str(tokenizer.decode(windows.tokens[4, 5:15].tolist())).split("<|endoftext|>")[0] in text
    again = mixture.labelled_windows(tokenizer, rows=3, length=40, seed=5, sources=("code", "base64"))
    assert windows.tokens.equal(again.tokens)


def test_an_unknown_source_and_a_window_too_long_are_refused():
    tokenizer = load_tokenizer("mixture")
    with pytest.raises(ValueError, match="no source 'music'. The mixture has: english"):
        mixture.labelled_windows(tokenizer, rows=1, length=8, sources=("music",))
    with pytest.raises(ValueError, match="too few for windows"):
        mixture.labelled_windows(tokenizer, rows=1, length=10**6)


def debian_package(files: dict[str, bytes]) -> bytes:
    """A package as dpkg writes it, with one odd-sized member before the data."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

    def member(name: str, content: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        return header + content + b"\n" * (len(content) % 2)

    return registry.AR_MAGIC + member("debian-binary", b"2.0") + member("data.tar.xz", data.getvalue())


def test_a_debian_package_is_checked_and_unpacked(monkeypatch, tmp_path):
    monkeypatch.setenv("RESIDUAL_STREAM_CACHE", str(tmp_path))
    package = debian_package({"./usr/share/doc/hello": b"good day"})
    calls: list[str] = []

    def download(path: str) -> bytes:
        calls.append(path)
        return package

    monkeypatch.setattr(registry, "_download_debian", download)
    with pytest.raises(ValueError, match="not the file this book was tested with"):
        registry.fetch_debian("h/hello_1_all.deb", "00")
    checksum = registry.hashlib.sha256(package).hexdigest()
    for _ in range(2):
        with registry.fetch_debian("h/hello_1_all.deb", checksum) as tar:
            file = tar.extractfile("./usr/share/doc/hello")
            assert file is not None and file.read() == b"good day"
    assert len(calls) == 2, "the second reading came from the cache"


def test_without_a_network_one_sentence_says_so(monkeypatch):
    def refused(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(registry.urllib.request, "urlopen", refused)
    with pytest.raises(ConnectionError, match="hello_1_all.deb .no route.*Connect to the internet"):
        registry._download_debian("h/hello_1_all.deb")


def test_windows_of_documents_share_no_token_and_take_every_document_first():
    tokenizer = load_tokenizer("mixture")
    found = mixture.document_windows(tokenizer, rows=40, length=32, sources=("english", "code"))
    assert found.tokens.shape == found.document.shape == (80, 32)
    assert (found.tokens[:, 0] == tokenizer.bos_token_id).all()
    kept = [document for document in mixture.sample() if document.source in ("english", "code")]
    used: dict[int, int] = {}
    for tokens, source, topic, document in zip(*(part.tolist() for part in found[:4]), strict=True):
        number, before = document[0], used.get(document[0], 0)
        ids = tokenizer(kept[number].text, add_special_tokens=False)["input_ids"]
        assert tokens[1:] == ids[31 * before : 31 * (before + 1)]  # each window goes on where the last one ended
        assert mixture.SOURCES[source[0]] == kept[number].source
        assert found.topics[topic[0]] == f"{kept[number].source} / {kept[number].topic}"
        assert len({*source}) == len({*topic}) == len({*document}) == 1
        used[number] = before + 1
    assert set(used) == set(range(len(kept))) and max(used.values()) == 2


def test_windows_of_documents_say_when_there_are_too_few():
    with pytest.raises(ValueError, match="The sample has .* windows of 600 tokens of english: ask for fewer."):
        mixture.document_windows(load_tokenizer("mixture"), rows=1000, length=600, sources=("english",))
