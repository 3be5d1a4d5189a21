"""Every kind of figure: its text alternative, its errors, its size, and the same bytes every time."""

import json
import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from utils import figures
from utils.figures import boards, circuitsvis, panels, show, sliders, specs
from utils.figures.labels import ZERO_WIDTH
from utils.figures.style import themed
from utils.figures.values import rounded, to_json

ROOT = Path(__file__).parents[1]
ALT = "A made-up plot for a test: it shows that the numbers arrive unharmed."
TOKENS = ["<s>", "␣the", "␣the", "</script>"]

CALLS = {
    "heatmap": lambda alt: figures.heatmap([[0, 1], [2, 3]], title="t", alt=alt),
    "lines": lambda alt: figures.lines({"a": [1, 2]}, x=[1, 10], title="t", alt=alt),
    "bars": lambda alt: figures.bars(["a", "b"], {"s": [1, 2], "u": [2, 1]}, title="t", alt=alt),
    "scatter": lambda alt: figures.scatter({"a": ([1, 2], [3, 4])}, title="t", alt=alt),
    "histogram": lambda alt: figures.histogram({"a": [1, 2, 2]}, title="t", alt=alt),
    "board": lambda alt: figures.board([0, 1, 2, 0] * 16, title="t", alt=alt),
    "attention": lambda alt: figures.attention(TOKENS, torch.eye(4).repeat(2, 1, 1), alt=alt),
    "coloured_tokens": lambda alt: figures.coloured_tokens(TOKENS, torch.tensor([1.0, -1, 0, 2]), alt=alt),
    "slider": lambda alt: figures.slider({s: dict(values=[[s, 1]], title="t") for s in (0, 2)}, alt=alt),
    "explore": lambda alt: figures.explore(lambda layer: f"layer {layer} <b>", layer=[0, 1, 2], alt=alt),
}


class Reader(HTMLParser):
    """Collects the elements of a fragment and the text inside each kind of them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str | None]] = {}

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.attributes[tag] = dict(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data


def read(fragment):
    reader = Reader()
    reader.feed(fragment)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture
def shown(monkeypatch):
    """The MIME bundles that reach the front end."""
    bundles: list[dict[str, str]] = []
    for module in (show, circuitsvis, panels):
        monkeypatch.setattr(module, "emit", bundles.append)
    monkeypatch.setattr(circuitsvis, "_carrier", {})
    monkeypatch.delenv("DTRS_BUILD", raising=False)
    monkeypatch.delenv("DTRS_THEME", raising=False)
    return bundles


@pytest.fixture
def site(shown, monkeypatch):
    """The same while the book is being built."""
    monkeypatch.setenv("DTRS_BUILD", "1")
    return shown


# The text alternative


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("alt", ["", "too short", " " * 60, "a    b" * 8, None])
def test_a_short_alt_is_refused(call, alt, shown):
    with pytest.raises(ValueError, match="at least 40"):
        call(alt)
    assert not shown


def test_alt_cannot_be_left_out():
    with pytest.raises(TypeError, match="alt"):
        figures.heatmap([[1]], title="t")  # type: ignore[call-arg]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_plain_text_of_every_figure_is_its_alt(call, shown, monkeypatch):
    call(ALT.replace(" ", "\n   ", 1))
    monkeypatch.setenv("DTRS_BUILD", "1")
    call(ALT)
    assert [bundle["text/plain"] for bundle in shown] == [ALT, ALT]


def test_outside_a_notebook_the_alt_is_printed(capsys, monkeypatch):
    monkeypatch.delenv("DTRS_BUILD", raising=False)
    CALLS["heatmap"](ALT)
    assert capsys.readouterr().out == ALT + "\n"


# The built page


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_fragment_is_what_the_page_reads(call, site):
    call(ALT + ' "Quoted" & <marked>.')
    reader = read(site[0]["text/html"])
    kind = {"attention": "circuitsvis", "coloured_tokens": "circuitsvis", "explore": "explore"}
    name = next(name for name, other in CALLS.items() if other is call)
    assert reader.attributes["figure"] == {"class": "dtrs-figure", "data-kind": kind.get(name, "plotly")}
    assert reader.attributes["div"]["role"] == "img"
    assert reader.attributes["div"]["aria-label"] == reader.text["figcaption"] == ALT + ' "Quoted" & <marked>.'
    content = json.loads(reader.text["script"])
    if kind.get(name) is None:
        assert set(content) == {"data", "layout", "frames", "config"}
        assert content["layout"]["height"] > 200
        assert not {"template", "font", "paper_bgcolor", "plot_bgcolor"} & set(content["layout"])


def test_a_board_has_its_discs_marks_and_shades_where_they_belong():
    contents = [0] * 64
    contents[26], contents[63] = 1, 2  # C4 and H8
    plain = boards.spec(contents, None, [0, 7], "colour", "t", "", False)
    black, white, crosses = plain["data"][1:]
    assert (black["x"], black["y"]) == (["C"], ["4"]) and (white["x"], white["y"]) == (["H"], ["8"])
    assert crosses["text"] == ["A1: marked", "H1: marked"]
    shaded = boards.spec(contents, np.arange(64), [], "mine", "t", "v", True)["data"]
    assert shaded[0]["z"][3][2] == 26 and shaded[0]["zmin"] == -shaded[0]["zmax"] == -63
    assert shaded[1]["text"] == ["C4: mine"] and shaded[2]["text"] == ["H8: theirs"]
    for wrong, sentence in ((contents[:60], "60 entries"), (contents, "no frame 'yours'")):
        with pytest.raises(ValueError, match=sentence):
            boards.spec(wrong, None, [], "yours", "t", "", False)


def test_no_token_can_end_the_script_element(site):
    words = ["</script><b>", "<!--", "a&b", "\u2028"]
    figures.heatmap(torch.eye(4), x=words, y=words, title="t", alt=ALT)
    figures.attention(words, torch.eye(4)[None], alt=ALT)
    figures.explore(lambda word: word, word=words, alt=ALT)
    for bundle in site:
        assert re.findall(r"</?script|<!--", bundle["text/html"]) == ["<script", "</script"]
    content = json.loads(read(site[1]["text/html"]).text["script"])
    assert [unescape(token) for token in content["props"]["tokens"]] == words


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_two_calls_give_the_same_bytes(call, site):
    call(ALT)
    call(ALT)
    assert site[0] == site[1]


def test_two_processes_give_the_same_bytes():
    script = (
        "import tests.test_figures as t\n"
        "from utils.figures import show, circuitsvis, panels\n"
        "for m in (show, circuitsvis, panels):\n    m.emit = lambda b: print(b['text/html'])\n"
        "for call in t.CALLS.values():\n    call(t.ALT)\n"
    )
    outputs = set()
    for seed in ("1", "2"):
        environment = os.environ | {"DTRS_BUILD": "1", "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert outputs.pop().count(b"<figure") == len(CALLS)


def test_a_heat_map_of_24_by_24_is_small(site):
    figures.heatmap(torch.rand(24, 24, dtype=torch.float64), x=["␣word"] * 24, y=["␣word"] * 24, title="t", alt=ALT)
    assert len(site[0]["text/html"].encode()) < 8_000


def test_attention_of_eight_heads_is_small(site):
    pattern = torch.rand(8, 24, 24).tril()
    figures.attention(["␣word"] * 24, pattern / pattern.sum(-1, keepdim=True), alt=ALT)
    assert len(site[0]["text/html"].encode()) < 20_000


# Notebooks


@pytest.mark.parametrize("name", ["heatmap", "lines", "bars", "scatter", "histogram", "slider"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_plots_are_valid_plotly(name, theme, shown, monkeypatch):
    monkeypatch.setenv("DTRS_THEME", theme)
    CALLS[name](ALT)
    content = dict(shown[0][show.PLOTLY_MIME])
    assert content.pop("config")["responsive"]
    figure = go.Figure(content)
    assert figure.layout.paper_bgcolor in ("#fdfcf9", "#10181c")
    assert figure.layout.height == content["layout"]["height"]


def test_an_unknown_theme_is_refused(shown, monkeypatch):
    monkeypatch.setenv("DTRS_THEME", "sepia")
    with pytest.raises(ValueError, match="light or dark"):
        CALLS["lines"](ALT)


def test_a_notebook_has_room_for_plotlys_slider(shown):
    CALLS["slider"](ALT)
    CALLS["heatmap"](ALT)
    moving, still = (bundle[show.PLOTLY_MIME]["layout"] for bundle in shown)
    assert moving["margin"]["b"] > still["margin"]["b"] + 50


def test_themes_leave_the_spec_as_it_was():
    spec = sliders.build({s: {"series": {"a": [1, s], "b": [1, 1]}, "title": "t"} for s in (1, 2)}, kind="lines",
                         parameter="p")  # fmt: skip
    before = to_json(spec)
    themed(spec)
    assert to_json(spec) == before


def test_colab_gets_plotlys_own_html_with_a_label(shown, monkeypatch):
    monkeypatch.setattr(show, "in_colab", lambda: True)
    CALLS["slider"](ALT)
    html = shown[0]["text/html"]
    assert html.startswith(f'<div role="img" aria-label="{ALT}">')
    assert "Plotly.newPlot" in html


# Plots


def test_values_arrive_in_their_places(shown):
    figures.heatmap(torch.tensor([[1, 2, 3], [4, 5, float("nan")]], dtype=torch.bfloat16), title="t", alt=ALT)
    trace = shown[0][show.PLOTLY_MIME]["data"][0]
    assert trace["z"] == [[1, 2, 3], [4, 5, None]]
    assert (trace["x"], trace["y"]) == ([0, 1, 2], [0, 1])
    assert (trace["zmin"], trace["zmax"]) == (0, 5)


def test_a_diverging_scale_is_symmetric():
    trace = specs.heatmap([[-1, 4]], title="t", diverging=True)["data"][0]
    assert (trace["zmin"], trace["zmax"]) == (-4, 4)


@pytest.mark.parametrize("values", [[[0, 0]], [[float("nan"), float("nan")]], [[2, 2]], [[-3, -3]]])
def test_a_flat_heat_map_has_a_scale(values):
    for diverging in (False, True):
        trace = specs.heatmap(values, title="t", diverging=diverging)["data"][0]
        assert trace["zmin"] < trace["zmax"]


def test_equal_tokens_keep_their_own_columns():
    spec = specs.heatmap(torch.eye(3), x=["␣a", "␣a", "<b>"], y=[1, 2, 3], title="t")
    columns = spec["data"][0]["x"]
    assert len(set(columns)) == 3
    assert [column.replace(ZERO_WIDTH, "") for column in columns] == ["␣a", "␣a", "&lt;b&gt;"]
    assert spec["layout"]["xaxis"]["type"] == "category"
    assert spec["data"][0]["y"] == [1, 2, 3]


def test_words_that_look_like_numbers_stay_words():
    assert specs.bars(["10", "2"], [1, 2], title="t")["layout"]["xaxis"]["type"] == "category"


def test_every_word_of_a_short_axis_is_asked_for():
    """By itself Plotly drops every second word of a narrow plot, and no reader can tell which."""
    few, many = [f"word {i}" for i in range(12)], [f"word {i}" for i in range(40)]
    for words, step in ((few, 1), (many, None)):
        layout = specs.heatmap(np.zeros((len(words), len(words))), x=words, y=words, title="t")["layout"]
        assert layout["xaxis"].get("dtick") == layout["yaxis"].get("dtick") == step
        assert specs.lines({"a": range(len(words))}, x=words, title="t")["layout"]["xaxis"].get("dtick") == step
        assert specs.bars(words, range(len(words)), title="t")["layout"]["xaxis"].get("dtick") == step
    flat = specs.bars(few, range(12), title="t", horizontal=True)["layout"]
    assert flat["yaxis"]["dtick"] == 1 and "dtick" not in flat["xaxis"]


def test_a_heat_map_keeps_its_rows_when_its_words_stand_upright():
    short, long = ([f"{letter} {'x' * size}" for letter in "abcdefgh"] for size in (1, 16))
    heights = [specs.heatmap(np.eye(8), x=words, title="t")["layout"]["height"] for words in (short, long)]
    assert heights[1] - heights[0] > 100  # px: as long as a word is


def test_an_interval_at_zero_is_not_drawn_below_zero():
    values, intervals = [0, 0.0712345, 1], [(0, 0.1), (0, 0.2), (0.5, 1)]
    for horizontal, axis in ((False, "y"), (True, "x")):
        (trace,) = specs.bars(["a", "b", "c"], values, errors=intervals, title="t", horizontal=horizontal)["data"]
        error = trace[f"error_{axis}"]
        low = np.subtract(trace[axis], error["arrayminus"])
        high = np.add(trace[axis], error["array"])
        assert not error["symmetric"] and (low >= 0).all()
        assert np.allclose(list(zip(low, high, strict=True)), intervals, atol=1e-4)
        go.Figure({"data": [trace]})  # Plotly knows all of it


def test_deviations_are_drawn_to_both_sides():
    data = specs.bars(["a", "b"], {"s": [1, 2], "u": [3, 4]}, errors={"u": [0.5, 1]}, title="t")["data"]
    assert "error_y" not in data[0]
    assert data[1]["error_y"]["array"] == [0.5, 1] and "arrayminus" not in data[1]["error_y"]


def test_every_series_has_a_colour_a_dash_and_a_marker_of_its_own():
    data = specs.lines({str(i): [i, i] for i in range(6)}, title="t")["data"]
    for look in (lambda t: t["line"]["color"], lambda t: t["line"]["dash"], lambda t: t["marker"]["symbol"]):
        assert len({look(trace) for trace in data}) == 6


def test_a_band_goes_there_and_back():
    data = specs.lines({"a": [1, 2]}, x=[5, 6], title="t", bands={"a": ([0, 1], [2, 3])})["data"]
    assert (data[0]["x"], data[0]["y"]) == ([5, 6, 6, 5], [2, 3, 1, 0])
    assert not data[0]["showlegend"]


def test_marks_on_a_logarithmic_axis():
    layout = specs.lines({"a": [1, 2]}, x=[1, 1000], title="t", log_x=True, marks={"here": 100})["layout"]
    assert layout["shapes"][0]["x0"] == 100
    assert layout["annotations"][0]["x"] == 2


def test_a_histograms_shares_add_up_to_one():
    data = specs.histogram({"a": [1, 2, 2, float("inf")], "b": torch.arange(10)}, title="t", bins=7)["data"]
    for trace in data:
        assert len(trace["x"]) == 8
        assert sum(trace["y"][:-1]) == pytest.approx(1, abs=1e-3)


def test_the_diagonal_spans_both_axes():
    data = specs.scatter({"a": ([1, 2], [0, 5])}, title="t", diagonal=True, labels=["p<", "q"])["data"]
    assert data[0]["x"] == data[0]["y"] == [0, 5]
    assert data[1]["text"] == ["p&lt;", "q"]


def test_legends_only_where_there_is_a_choice():
    assert not specs.lines({"a": [1, 2]}, title="t")["layout"]["showlegend"]
    few = specs.bars(["a", "b"], {"s": [1, 2], "u": [1, 2]}, title="t")["layout"]
    many = specs.bars(["a long label"] * 9, {"s": [1] * 9, "u": [1] * 9}, title="t")["layout"]
    assert few["showlegend"]
    assert many["legend"]["y"] < few["legend"]["y"]


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (lambda: specs.heatmap([1, 2], title="t"), r"values must have 2 axes, not shape \(2,\)"),
        (lambda: specs.heatmap([["a"]], title="t"), "must be numbers"),
        (lambda: specs.heatmap(np.zeros((0, 2)), title="t"), "at least one row"),
        (lambda: specs.heatmap([[1, 2]], x=["a"], title="t"), "x has 1 entries, but each row of values has 2"),
        (lambda: specs.heatmap([[1, 2]], y=[1, 2], title="t"), "y has 2 entries, but values has 1"),
        (lambda: specs.heatmap([[1, 2]], text=[["a"]], title="t"), "a row of text has 1"),
        (lambda: specs.lines({"a": [1, 2], "b": [1]}, title="t"), "line 'b' has 1 entries, but the first line has 2"),
        (lambda: specs.lines({"a": [1, 2]}, x=[1], title="t"), "x has 1"),
        (lambda: specs.lines(cast(Any, [1, 2]), title="t"), "takes a dictionary"),
        (lambda: specs.lines({}, title="t"), "at least one"),
        (lambda: specs.lines({"a": [1, 2]}, x=[0, 1], log_x=True, title="t"), "every x above 0"),
        (lambda: specs.lines({"a": [0, 2]}, log_y=True, title="t"), "every value above 0"),
        (lambda: specs.lines({"a": [1, 2]}, bands={"b": ([1, 2], [1, 2])}, title="t"), "use the same names"),
        (lambda: specs.lines({"a": [1, 2]}, bands={"a": ([1], [1, 2])}, title="t"), "low edge"),
        (lambda: specs.bars(["a"], [1, 2], title="t"), "values has 2 entries, but labels has 1"),
        (lambda: specs.bars(["a"], [1], errors=[1, 2], title="t"), "errors of values has 2"),
        (lambda: specs.bars(["a"], [1], errors=[(0, 1, 2)], title="t"), r"shape \(1, 3\): give half a length or"),
        (lambda: specs.bars(["a"], [1], errors=[(2, 0)], title="t"), "ends below its start"),
        (lambda: specs.bars(["a"], [1], errors=[(0, 2), (0, 2)], title="t"), "errors of values has 2"),
        (lambda: specs.bars(["a"], {"s": [1]}, errors={"u": [1]}, title="t"), "use the same names"),
        (lambda: specs.bars([], [], title="t"), "at least one label"),
        (lambda: specs.scatter({"a": ([1, 2], [1])}, title="t"), "y of 'a' has 1"),
        (lambda: specs.scatter({"a": cast(Any, [1, 2, 3])}, title="t"), "pair"),
        (lambda: specs.scatter({"a": ([1], [1])}, labels=["p", "q"], title="t"), "labels of 'a' has 2"),
        (lambda: specs.histogram({"a": [float("nan")]}, title="t"), "no finite values"),
    ],
)
def test_wrong_shapes_are_named_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrong()


def test_numbers_are_short():
    assert rounded(np.array([0.123456, 1.0, -0.0, 1e-9, 123456.0, np.inf])) == [0.1235, 1, 0, 1e-9, 123500, None]
    assert to_json(rounded(np.array([-0.0, 2.0]))) == "[0,2]"
