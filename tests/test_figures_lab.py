"""Labs from Python: the figure of the page, the widget of the notebook, its program in one string, what it may read."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from notebooks import execute, keep_text, problems
from visit import served

from utils.figures import bundle as bundling
from utils.figures import lab, labs, show

ROOT = Path(__file__).resolve().parent.parent
ABOUT = json.loads((labs.LABS / "labs.json").read_text("utf-8"))
NAMES = list(ABOUT)
READS = {  # the name of what a lab reads in its state, what it starts with here, and what is typed then
    "stream": ("text", "The boat went down the river, and the river", "One two three four one two three"),
    "othello": ("moves", "D3 C5 F6 F5", "D3 C5 F6 F5 E6 D6"),
    "chain_of_thought": ("text", "first so 2, second then 6", "first so 2, second then"),
}
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
PATIENCE = 20_000  # ms that a lab may take to come to life on a busy machine


def test_plain_python_prints_the_description(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DTRS_BUILD", raising=False)
    lab("stream", text="a cat")
    assert capsys.readouterr().out == ABOUT["stream"]["description"] + "\n"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("steam", "There is no lab 'steam'. Did you mean 'stream'? The book has: stream, induction"),
        ("../stream", "There is no lab '../stream'. Did you mean 'stream'?"),
        ("zzz", "There is no lab 'zzz'. The book has: stream, induction"),
    ],
)
def test_unknown_labs_are_named(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(sentence)):
        lab(name)


def test_start_values_are_text_or_numbers() -> None:
    with pytest.raises(ValueError, match=r"^The start value off of the lab 'stream' must be text or a number"):
        lab("stream", off=[1])  # type: ignore[arg-type]


def test_importing_figures_does_not_wait_for_widgets() -> None:
    code = "import sys, utils.figures; print([name for name in ('anywidget', 'ipywidgets') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"


# --- the page --------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """The elements of a fragment with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: dict[str, dict[str, str | None]] = {}
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[f"{tag}.{dict(attrs).get('class') or ''}"] = dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", NAMES)
def test_the_build_emits_a_figure_with_a_mount_a_still_and_the_description(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(labs, "emit", shown.append)
    monkeypatch.setenv("DTRS_BUILD", "1")
    start = {"text": 'a "cat" & <b>\n', "step": 500}
    lab(name, **start)  # type: ignore[arg-type]
    lab(name, **start)  # type: ignore[arg-type]
    assert shown[0] == shown[1] and set(shown[0]) == {"text/html", "text/plain"}
    assert shown[0]["text/plain"] == ABOUT[name]["description"]
    found = Elements(shown[0]["text/html"])
    assert found.text == ABOUT[name]["description"]
    figure = found.seen["figure.dtrs-lab"]
    assert figure["data-lab"] == name
    assert json.loads(figure["data-start"] or "") == {"text": 'a "cat" & <b>\n', "step": "500"}
    assert "div.dtrs-lab-mount" in found.seen


def test_the_still_has_an_alternative() -> None:
    still = Elements(labs.fragment("x", "A <title>", {}, "d")).seen["img.dtrs-lab-still"]
    assert still["src"] == "../_static/labs/stills/x.png"
    assert still["alt"] == "Picture of the lab: A <title>"


# --- the notebook ----------------------------------------------------------------------------------------------------


def test_a_notebook_stores_the_description_and_shows_the_widget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DTRS_BUILD", raising=False)
    cell = nbformat.v4.new_code_cell("from utils.figures import lab\n\nlab('stream', text='a cat')")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    path = tmp_path / "n.ipynb"
    (output,) = execute(path, notebook, {"PYTHONPATH": str(ROOT)}).cells[0].outputs
    assert output.data["text/plain"] == ABOUT["stream"]["description"]
    assert output.data[WIDGET_MIME]["model_id"]
    (stored,) = keep_text(notebook).cells[0].outputs
    assert stored.data == {"text/plain": ABOUT["stream"]["description"]} and not stored.metadata
    assert not [problem for problem in problems(notebook) if "alt" in problem]


def test_missing_anywidget_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    labs._widget_class.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="^Labs in a notebook need anywidget: type `pip install anywidget`"):
        labs.widget("stream", {})


def test_the_widget_carries_its_program_its_look_and_the_start() -> None:
    made = labs.widget("stream", {"text": "a cat"})
    state = made.get_state()
    assert state["start"] == {"text": "a cat"} and state["state"] == {}
    assert state["_esm"] == bundling.bundle(labs.LABS / "stream.js")
    assert state["_css"] == (labs.LABS / "lab.css").read_text("utf-8")
    made.close()


# --- files -----------------------------------------------------------------------------------------------------------


def asked(monkeypatch: pytest.MonkeyPatch, message: Any) -> tuple[dict[str, Any], list[bytes]]:
    """What a widget sends when its page sends `message`."""
    made = labs.widget("stream", {})
    sent: list[Any] = []
    monkeypatch.setattr(made, "send", lambda content, buffers=None: sent.append((content, buffers)))
    made._handle_custom_msg(message, [])
    made.close()
    (answer,) = sent
    return answer


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("weights/induction/step-008000.safetensors", "utils/models/weights/induction/step-008000.safetensors"),
        ("tokenizers/wikipedia/tokenizer.json", "utils/data/tokenizers/wikipedia/tokenizer.json"),
        ("samples/wikipedia_held_out.txt", "utils/data/samples/wikipedia_held_out.txt"),
        ("labs.json", "book/labs/labs.json"),
    ],
)
def test_a_widget_answers_with_the_file(monkeypatch: pytest.MonkeyPatch, path: str, file: str) -> None:
    content, buffers = asked(monkeypatch, {"read": path, "id": "x-1"})
    assert content == {"id": "x-1"} and buffers == [(ROOT / file).read_bytes()]


@pytest.mark.parametrize(
    "path",
    [
        "weights/../zoo.py",
        "weights/induction/../../zoo.py",
        "../README.md",
        "README.md",
        str(ROOT / "README.md"),
        "weights//" + str(ROOT / "README.md"),
        "/etc/passwd",
        "weights",
        "weights/",
        "weights/nobody/config.json",
        "labs.json/../shell.js",
        "shell.js",
        "weights\\..\\zoo.py",
        "weights/\0",
        "",
        None,
        ["labs.json"],
    ],
)
def test_a_widget_gives_nothing_else_away(monkeypatch: pytest.MonkeyPatch, path: Any) -> None:
    content, buffers = asked(monkeypatch, {"read": path, "id": 7})
    assert buffers == [] and content["id"] == 7
    assert content["error"].startswith(f"There is no file {path!r} for the labs")


@pytest.mark.parametrize("message", [None, "read", {}, {"id": 1}])
def test_a_senseless_message_gets_an_answer(monkeypatch: pytest.MonkeyPatch, message: Any) -> None:
    content, buffers = asked(monkeypatch, message)
    assert buffers == [] and "error" in content


# --- the bundler -----------------------------------------------------------------------------------------------------

SMALL = {
    "lab.js": """\
        import { one } from "./one.js";
        import {
          two,
        } from './two.js';
        export { one } from "./one.js";
        // import { not } from "./comment.js"
        export async function render({ el }) {
          const late = (await import("./late.js")).default;
          const worker = new Worker(new URL("./desk.js", import.meta.url), { type: "module" });
          const answer = await new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
          worker.terminate();
          el.textContent = [one.count, two, late, answer].join(" ");
        }
        """,
    "one.js": "export const one = { count: 1 };\n",
    "two.js": "import { one } from './one.js';\none.count += 1;\nexport const two = 'zwei “2” $& \\\\n';\n",
    "late.js": "export default 3;\n",
    "desk.js": "import { one } from './one.js';\nself.postMessage('desk ' + one.count);\n",
    "comment.js": "",
}
# What a browser would look for beside the module: an import or a URL by a relative address, outside a comment.
RELATIVE = re.compile(r"""^(?!\s*(?:\*|//|/\*)).*(?:\bfrom|\bimport\b\s*\(?|\bURL\()\s*["']\.{1,2}/""", re.MULTILINE)


def sources(program: str) -> list[str]:
    """The sources of the modules in a bundled program."""
    return [source for _, source in json.loads(program.partition("const modules = ")[2].partition(";\nconst ")[0])]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in SMALL.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "lab.js"


def test_every_module_comes_once_and_no_relative_address_is_left(small: Path) -> None:
    assert RELATIVE.search(SMALL["lab.js"]) and RELATIVE.search(SMALL["two.js"])
    program = bundling.bundle(small)
    found = sources(program)
    assert len(found) == 5  # comment.js is needed by nobody
    assert not any(RELATIVE.search(source) for source in [program, *found])
    assert bundling.bundle(small) == program


def test_circles_and_missing_modules_are_named(small: Path) -> None:
    small.with_name("one.js").write_text("import './two.js';")
    with pytest.raises(ValueError, match="cannot be bundled: lab.js needs one.js needs two.js needs one.js"):
        bundling.bundle(small)
    small.with_name("one.js").unlink()
    with pytest.raises(FileNotFoundError, match=r"one.js, which lab.js imports, does not exist"):
        bundling.bundle(small)


@pytest.mark.parametrize("name", NAMES)
def test_no_relative_address_is_left_in_the_labs(name: str) -> None:
    program = bundling.bundle(labs.LABS / f"{name}.js")
    assert len(sources(program)) >= 7
    assert not any(RELATIVE.search(source) for source in [program, *sources(program)])


# --- in a browser, as a widget ---------------------------------------------------------------------------------------


MOUNT = """async (labs) => {
  // As anywidget does it: the program is a blob, the model's traits live here, files come from Python.
  const listeners = [];
  const modelOf = (start) => {
    const traits = { start, state: {} };
    return {
      get: (key) => traits[key],
      set: (key, value) => (traits[key] = value),
      save_changes: () => {},
      on: (event, listener) => event === "msg:custom" && listeners.push(listener),
      off: () => {},
      send: async (message) => {
        const [answer, content] = await window.askPython(message);
        const buffers = content.map((text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
        for (const listener of listeners) listener(answer, buffers);
      },
    };
  };
  const cleanups = [];
  for (const { program, start } of labs) {
    const el = document.body.appendChild(document.createElement("div"));
    const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    const module = (await import(address)).default;
    URL.revokeObjectURL(address);
    cleanups.push(await module.render({ model: modelOf(start), el }));
  }
  window.leave = () => cleanups.forEach((clean) => clean?.());
}"""


@pytest.fixture
def tab(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """An empty page that can ask Python for files, and remembers requests, errors and workers."""

    def ask(message: Any) -> list[Any]:
        answer, buffers = labs._answer(message)
        return [answer, [base64.b64encode(content).decode() for content in buffers]]

    (tmp_path / "empty.html").write_text('<!doctype html><link rel="icon" href="data:,"><title>notebook</title>')
    with served(tmp_path) as address:
        page = chromium.new_page()
        page.expose_function("askPython", ask)
        page.goto(f"{address}/empty.html")
        page.requests, page.wrong, page.started = [], [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
        page.on("worker", lambda worker: page.started.append(worker.url))
        page.set_default_timeout(PATIENCE)
        yield page
        page.close()


def nothing_is_fetched(tab: Any) -> bool:
    return all(url.startswith("blob:") for url in tab.requests)


@pytest.mark.browser
def test_a_bundled_program_runs_its_modules_once_and_its_worker(tab: Any, small: Path) -> None:
    tab.evaluate(MOUNT, [{"program": bundling.bundle(small), "start": {}}])
    assert tab.locator("body > div").text_content() == "2 zwei “2” $& \\n 3 desk 1"
    assert nothing_is_fetched(tab) and not tab.wrong


@pytest.mark.browser
@pytest.mark.parametrize("name", [name for name in NAMES if ABOUT[name]["models"]])
def test_a_lab_comes_to_life_as_a_widget(tab: Any, name: str) -> None:
    key, text, other = READS.get(name, READS["stream"])
    tab.evaluate(MOUNT, [{"program": bundling.bundle(labs.LABS / f"{name}.js"), "start": {key: text}}])
    field = tab.locator(".dtrs-lab-frame").get_by_role("textbox").first
    assert field.input_value() == text
    tab.wait_for_function("document.querySelector('.dtrs-lab-body')?.innerText.length > 100")
    assert tab.locator(".dtrs-lab-alert:visible").all_inner_texts() == []
    before = tab.locator(".dtrs-lab-body").inner_text()
    field.fill(other)
    tab.wait_for_function("(before) => document.querySelector('.dtrs-lab-body').innerText !== before", arg=before)
    assert nothing_is_fetched(tab) and not tab.wrong and len(tab.started) == 1
    tab.evaluate("window.leave()")
    assert tab.locator(".dtrs-lab-frame").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("name", [name for name in NAMES if not ABOUT[name]["models"]])
def test_a_lab_without_a_model_comes_to_life_as_a_widget(tab: Any, name: str) -> None:
    """Its model is made in the page: no text, no worker and no file are needed."""
    tab.evaluate(MOUNT, [{"program": bundling.bundle(labs.LABS / f"{name}.js"), "start": {}}])
    tab.wait_for_function("document.querySelector('.dtrs-lab-body')?.innerText.length > 100")
    before = tab.locator(".dtrs-lab-body").inner_text()
    tab.locator(".dtrs-lab-frame input[type=range]").first.press("ArrowRight")
    tab.wait_for_function("(before) => document.querySelector('.dtrs-lab-body').innerText !== before", arg=before)
    assert tab.locator(".dtrs-lab-alert:visible").all_inner_texts() == []
    assert nothing_is_fetched(tab) and not tab.wrong and not tab.started
    tab.evaluate("window.leave()")
    assert tab.locator(".dtrs-lab-frame").count() == 0


@pytest.mark.browser
def test_widgets_on_one_page_share_the_worker(tab: Any) -> None:
    programs = [{"program": bundling.bundle(labs.LABS / f"{name}.js"), "start": {}} for name in NAMES]
    tab.evaluate(MOUNT, programs)
    assert len(tab.started) == 1 and not tab.wrong


def test_emit_passes_metadata_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colab finds a widget's manager in the metadata."""
    shown: list[Any] = []
    monkeypatch.setattr(show, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda *all, **named: shown.append((all, named)))
    show.emit({"text/plain": "a"}, {"x": {"y": 1}})
    assert shown == [(({"text/plain": "a"},), {"raw": True, "metadata": {"x": {"y": 1}}})]
