"""The replication card insists on its numbers; labels stay readable; the palette holds for every eye."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from utils.figures import Row, card, replication_card, token_labels
from utils.figures.style import BACKGROUNDS, DIVERGING, INK, NEUTRAL, PALETTE, series_style

ROW = Row(
    "induction score", 0.912, (0.8, 1.0), "about 0.9", 0.021, "random weights", "Olsson et al. 2022", "0.02, 3 seeds"
)


def test_a_good_card_is_shown_as_text_and_as_html(monkeypatch):
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(card, "emit", shown.append)
    second = Row("loss (nats)", 1.9, (-np.inf, 2.5), "low", None, "none: it is a <maximum>", "here", digits=1)
    replication_card([ROW, second], title="Induction & more")
    text = shown[0]["text/plain"].splitlines()
    assert text[0] == "Induction & more"
    assert text[1].split() == list(card.COLUMNS)
    assert text[3].split("  ")[0] == "induction score"
    assert "0.91" in text[3] and "0.80 to 1.00" in text[3] and "0.02 (random weights)" in text[3]
    assert text[3].endswith("holds; control rejected")
    assert "at most 2.5" in text[4] and text[4].split()[-1] == "holds"
    columns = {line.index("0.80 to") if "0.80 to" in line else line.index("at most") for line in text[3:5]}
    assert columns == {text[1].index("band")}
    html = shown[0]["text/html"]
    assert "<caption>Induction &amp; more</caption>" in html
    assert '<td data-label="control">none: it is a &lt;maximum&gt;</td>' in html
    assert html.count('<th scope="row">') == 2


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"ours": 0.7}, "induction score: our value 0.70 is outside the band 0.80 to 1.00"),
        ({"ours": float("nan")}, "is outside"),
        ({"control": 0.9}, r"the control \(random weights\) gives 0.90, inside the band"),
        ({"control": 0.8}, "inside the band"),
        ({"control": float("nan")}, "is not a number"),
        ({"control_name": " "}, "say what the control is"),
        ({"band": (1.0, 0.8)}, "upside down"),
    ],
)
def test_a_card_that_does_not_hold_raises_after_showing_itself(changes, sentence, capsys):
    with pytest.raises(AssertionError, match=sentence):
        replication_card([ROW, replace(ROW, **changes)], title="t")
    assert "does not hold" in capsys.readouterr().out


def test_tensors_are_numbers_too(capsys):
    replication_card([replace(ROW, ours=torch.tensor(0.9), control=torch.tensor(0.0))], title="t")
    assert "0.90" in capsys.readouterr().out


def test_an_empty_card_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        replication_card([], title="t")


def test_zero_has_no_sign():
    assert ROW.number(-0.001) == "0.00"
    assert ROW.number(-0.5) == "-0.50"


# Labels


class Tokenizer:
    """Three words, a part of a character and a special token, in byte-level BPE's alphabet."""

    bos_token_id = 0
    all_special_ids = [0, 5]
    pieces = ["<|bos|>", "Ġthe", "Ċ", "â", "ĉx", "<pad>"]
    texts = ["<|bos|>", " the", "\n", "\ufffd", "\tx", "<pad>"]

    def convert_ids_to_tokens(self, token):
        return self.pieces[token]

    def decode(self, tokens, clean_up_tokenization_spaces):
        return "".join(self.texts[token] for token in tokens)


class Model:
    tokenizer = Tokenizer()


def test_labels_can_be_read():
    want = ["⟨BOS⟩", "␣the", "⏎", "\\xe2", "⇥x", "<pad>", "␣the"]
    assert token_labels(Model(), torch.tensor([0, 1, 2, 3, 4, 5, 1])) == want


def test_without_a_tokenizer_labels_are_ids():
    assert token_labels(object(), torch.tensor([3, 4])) == ["3", "4"]


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match="one sequence"):
        token_labels(Model(), torch.zeros(2, 3, dtype=torch.long))


# Colours


def linear(colour):
    channels = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    return linear(colour) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
EYES = {
    "trichromat": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colour, eye):
    """Where an eye puts a colour in OKLab (Ottosson 2020), in which distances are roughly perceptual."""
    rgb = np.clip(np.array(EYES[eye]) @ linear(colour), 0, 1)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    mix = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return mix @ np.cbrt(cones @ rgb)


@pytest.mark.parametrize("background", BACKGROUNDS.values(), ids=BACKGROUNDS)
def test_lines_stand_out_from_the_page(background):
    for colour in (*PALETTE, NEUTRAL):
        assert contrast(colour, background) >= 3


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_text_can_be_read(name):
    assert contrast(INK[name], BACKGROUNDS[name]) >= 7


@pytest.mark.parametrize("eye", EYES)
def test_series_can_be_told_apart(eye):
    for one, other in itertools.combinations(PALETTE, 2):
        assert np.linalg.norm(seen(one, eye) - seen(other, eye)) > 0.06


@pytest.mark.parametrize("eye", EYES)
def test_the_diverging_scale_has_two_sides_and_a_neutral_middle(eye):
    low, _, middle, _, high = (seen(colour, eye) for _, colour in DIVERGING)
    assert np.linalg.norm(low - high) > 0.15
    assert min(np.linalg.norm(low - middle), np.linalg.norm(high - middle)) > 0.3
    assert abs(low[0] - high[0]) < 0.12
    assert np.hypot(*middle[1:]) < 0.02


def test_no_two_of_many_series_look_the_same():
    looks = [tuple(series_style(index).values()) for index in range(36)]
    assert len(set(looks)) == 36
    assert series_style(6)["colour"] == series_style(0)["colour"]
