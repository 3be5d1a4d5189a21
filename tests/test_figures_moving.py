"""Figures under the reader's hand: sliders, panels, and the views of tokens."""

import json
import re
from typing import Any

import ipywidgets
import plotly.graph_objects as go
import pytest
import torch

from utils import figures
from utils.figures import circuitsvis, panels, show, sliders

ALT = "A made-up view for a test: it shows that it follows the reader's hand."
TOKENS = ["<s>", "␣the", "␣the", "</script>"]


@pytest.fixture
def shown(monkeypatch):
    """The MIME bundles that reach the front end, in a session that has shown nothing yet."""
    bundles: list[dict[str, str]] = []
    for module in (show, circuitsvis, panels):
        monkeypatch.setattr(module, "emit", bundles.append)
    monkeypatch.setattr(circuitsvis, "_carrier", {})
    monkeypatch.delenv("DTRS_BUILD", raising=False)
    return bundles


@pytest.fixture
def site(shown, monkeypatch):
    """The same while the book is being built."""
    monkeypatch.setenv("DTRS_BUILD", "1")
    return shown


def content_of(bundle):
    """The JSON in a fragment for the built page."""
    return json.loads(re.findall(r'<script type="application/json">(.*)</script>', bundle["text/html"])[0])


# Sliders


def maps(**changes):
    base = {
        step: {"values": [[step, 1], [1, -step]], "x": ["a", "a"], "title": "Maps", "diverging": True}
        for step in (0, 10, 200)
    }
    for step, change in changes.items():
        base[int(step[1:])] |= change
    return base


def test_every_frame_has_the_same_scale_and_only_what_moves():
    spec = sliders.build(maps(), kind="heatmap", parameter="training step")
    assert [frame["name"] for frame in spec["frames"]] == ["0", "10", "200"]
    assert all(set(frame["data"][0]) == {"type", "z"} for frame in spec["frames"])
    assert (spec["data"][0]["zmin"], spec["data"][0]["zmax"]) == (-200, 200)


def test_the_slider_starts_where_it_says():
    spec = sliders.build(maps(), kind="heatmap", parameter="training step", start=10)
    control = spec["layout"]["sliders"][0]
    assert control["active"] == 1
    assert [step["label"] for step in control["steps"]] == ["0", "10", "200"]
    assert [step["args"][0] for step in control["steps"]] == [["0"], ["10"], ["200"]]
    assert spec["data"][0]["z"] == spec["frames"][1]["data"][0]["z"]
    last = sliders.build(maps(), kind="heatmap", parameter="training step")
    assert last["layout"]["sliders"][0]["active"] == 2


@pytest.mark.parametrize("horizontal", [False, True])
def test_bars_keep_their_axis_and_their_foot(horizontal):
    frames = {i: {"labels": ["a", "b"], "values": [1, i], "errors": [0, 1], "title": "t"} for i in (2, 9)}
    for arguments in frames.values():
        arguments["horizontal"] = horizontal
    layout = sliders.build(frames, kind="bars", parameter="p")["layout"]
    low, high = layout["xaxis" if horizontal else "yaxis"]["range"]
    assert low == 0
    assert high > 10
    assert "range" not in layout["yaxis" if horizontal else "xaxis"]


def test_the_axis_holds_both_ends_of_an_interval():
    frames = {i: {"labels": ["a"], "values": [0], "errors": [(-i, 3)], "title": "t"} for i in (1, 5)}
    low, high = sliders.build(frames, kind="bars", parameter="p")["layout"]["yaxis"]["range"]
    assert -6 < low < -5 and 3 < high < 4


def test_lines_keep_their_axes():
    frames = {i: {"series": {"a": [1, i], "b": [None, -i]}, "x": [1, 100], "title": "t", "log_x": True} for i in (1, 5)}
    with pytest.raises(ValueError, match="Frame '1': line 'b'|must be numbers"):
        sliders.build({i: {"series": {"b": ["x", "y"]}, "title": "t"} for i in (1, 5)}, kind="lines", parameter="p")
    spec = sliders.build(frames, kind="lines", parameter="p")
    low, high = spec["layout"]["yaxis"]["range"]
    assert low < -5 and high > 5
    low, high = spec["layout"]["xaxis"]["range"]
    assert -0.2 < low < 0 and 2 < high < 2.2  # powers of ten


@pytest.mark.parametrize(
    "frames, options, sentence",
    [
        ({0: {"values": [[1]], "title": "t"}}, {}, "at least two frames"),
        (maps(), {"start": 7}, "start is '7'"),
        (maps(), {"kind": "pie"}, "no slider over 'pie'"),
        (maps(_10={"values": [[1, 2]]}), {}, "Frame '10' has another shape"),
        (maps(_10={"title": "Other"}), {}, "Frame '10' has another title"),
        (maps(_10={"nonsense": 1}), {}, "Frame '10' does not hold the arguments of heatmap"),
        (maps(_10={"values": [1]}), {}, "Frame '10': values must have 2 axes"),
        ({1: {}, "1": {}}, {}, "read the same"),
    ],
)
def test_frames_that_do_not_fit_are_named(frames, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        sliders.build(frames, **{"kind": "heatmap", "parameter": "p", **options})


def test_other_series_in_a_frame_are_named():
    frames = {0: {"series": {"a": [1]}, "title": "t"}, 1: {"series": {"b": [1]}, "title": "t"}}
    with pytest.raises(ValueError, match="Frame '1' has other series"):
        sliders.build(frames, kind="lines", parameter="p")


@pytest.mark.parametrize("kind", sliders.KINDS)
def test_moving_figures_are_valid_plotly(kind):
    def frame(i):
        kinds: dict[str, dict[str, Any]] = {
            "heatmap": {"values": [[i, 1]]},
            "lines": {"series": {"a": [i, 1]}},
            "bars": {"labels": ["p", f"q{i}"], "values": [i, 1]},
            "scatter": {"series": {"a": ([i, 1], [2, 3])}, "diagonal": True},
        }
        return {**kinds[kind], "title": "t"}

    spec = sliders.build({i: frame(i) for i in (1, 2)}, kind=kind, parameter="p")
    assert len(go.Figure(spec).frames) == 2


# Panels


def test_the_page_holds_every_panel(site):
    figures.explore(lambda n: f"<b>{n}</b>" if n else "0 < 1", top_k=[0, 5, 10, 2.50], start=5, alt=ALT)
    content = content_of(site[0])
    assert content == {
        "name": "top k",
        "values": ["0", "5", "10", "2.5"],
        "panels": ["<pre>0 &lt; 1</pre>", "<b>5</b>", "<b>10</b>", "<b>2.5</b>"],
        "start": 1,
    }


def test_a_live_slider_follows_the_hand_and_computes_once(shown):
    calls: list[int] = []

    def say(n):
        calls.append(n)
        return f"n is {n}"

    figures.explore(say, n=range(5), alt=ALT)
    assert calls == [2]
    bundle = shown[0]
    assert bundle["text/html"] == "<pre>n is 2</pre>"
    model = bundle[panels.WIDGET_MIME]["model_id"]
    box = ipywidgets.widgets.widget._instances[model]
    control, panel = box.children
    assert control.description == "n"
    for index in (4, 2, 4):
        control.index = index
        assert panel.value == f"<pre>n is {index}</pre>"
    assert calls == [2, 4]


@pytest.mark.parametrize(
    "arguments, error, sentence",
    [
        ({}, ValueError, "exactly one parameter"),
        ({"a": [1], "b": [2]}, ValueError, "exactly one parameter"),
        ({"a": []}, ValueError, "at least one value"),
        ({"a": [1, 2], "start": 3}, ValueError, "start is 3"),
    ],
)
def test_wrong_parameters_are_named(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        figures.explore(str, alt=ALT, **arguments)


def test_a_panel_must_be_text(site):
    with pytest.raises(TypeError, match="must return a string, not int"):
        figures.explore(lambda n: n, n=[1], alt=ALT)


# Views of tokens


def test_the_script_comes_once_in_a_session(shown):
    for _ in range(3):
        figures.attention(TOKENS, torch.eye(4)[None], alt=ALT)
    sizes = [len(bundle["text/html"]) for bundle in shown]
    assert sizes[0] > 1_000_000
    assert max(sizes[1:]) < 5_000


def test_the_script_comes_again_when_its_cell_runs_again(shown, monkeypatch):
    for cell in ("first", "second", "first"):
        monkeypatch.setattr(circuitsvis, "_current_cell", lambda cell=cell: cell)
        figures.coloured_tokens(["a"], torch.ones(1), alt=ALT)
    large = [len(bundle["text/html"]) > 1_000_000 for bundle in shown]
    assert large == [True, False, True]


def test_the_script_cannot_end_its_own_element():
    assert "</script" not in circuitsvis.bundle()
    assert "CircuitsVis" in circuitsvis.bundle()


def test_notebook_views_escape_tokens_and_have_a_table(shown):
    figures.attention(TOKENS, torch.eye(4)[None], labels=["L0H<3"], alt=ALT)
    html = shown[0]["text/html"].rpartition("<div class")[2]
    assert html.count("</script>") == 1
    assert "<th scope='row'>&lt;s&gt;</th><td>&lt;s&gt; (1.00)</td>" in html
    assert "L0H&lt;3" in html


def test_keys_come_from_the_content():
    def key(value):
        html = circuitsvis.view("ColoredTokens", {"values": [value]}, "", ALT, "library")
        return re.findall(r'data-figure="(\w+)"', html)[0]

    assert key(1) == key(1) != key(2)


def test_colab_asks_the_cdn_and_carries_no_script(shown, monkeypatch):
    monkeypatch.setattr(circuitsvis, "in_colab", lambda: True)
    figures.coloured_tokens(["a"], torch.ones(1), alt=ALT)
    html = shown[0]["text/html"]
    assert re.search(r"unpkg.com/circuitsvis@[\d.]+/dist/cdn/esm.js", html)
    assert len(html) < 5_000


def test_colours_are_symmetric_around_zero(site):
    figures.coloured_tokens(["a", "b"], torch.tensor([0.5, -2.0]), alt=ALT)
    props = content_of(site[0])["props"]
    assert (props["minValue"], props["maxValue"], props["values"]) == (-2, 2, [0.5, -2])


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (lambda: figures.attention(["a"], torch.ones(1, 1), alt=ALT), r"shape \(head, query, key\)"),
        (lambda: figures.attention(["a"], torch.ones(2, 1, 3), alt=ALT), r"shape \(head, query, key\)"),
        (lambda: figures.attention(["a"], torch.ones(1, 2, 2), alt=ALT), "tokens has 1"),
        (lambda: figures.attention(["a"], torch.ones(2, 1, 1), labels=["x"], alt=ALT), "labels has 1"),
        (lambda: figures.coloured_tokens(["a"], torch.ones(2), alt=ALT), "values has 2 entries, but tokens has 1"),
        (lambda: figures.coloured_tokens(["a"], torch.tensor([torch.nan]), alt=ALT), "not finite"),
    ],
)
def test_views_name_what_does_not_fit(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrong()
