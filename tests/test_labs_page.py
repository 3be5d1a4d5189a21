"""The labs on the built site, under a reader's hands: keyboard, contrast, links to a view, errors, no scripts, print.

That every lab comes to life quietly and lightly, in both themes and on a phone, is asked in test_site.py, where every
page is visited anyway. The frame by itself is tested in test_labs_shell.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from labs import answering
from stills import labs_in
from visit import served

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
LABS = json.loads((ROOT / "book" / "labs" / "labs.json").read_text(encoding="utf-8"))
NAMES = list(LABS)
PAGE_OF = labs_in(SITE)
READABLE = 4.5  # contrast of text, WCAG 2.2 level AA
TYPED = {  # what labs read that do not read prose
    "othello": "D3 C5 F6 F5 E6 D6",
    "chain_of_thought": "first so 2, second then 6",
}
SHORTEST = "E6 F4 E3 F6 G5 D6 E7 F5 C5"  # the shortest game: nine moves, and no disc of one colour is left
BRIEF = 0.011  # s: a transition this short moves nothing

CONTROLS = "button, input, select, textarea, summary, a[href], [tabindex]"
# Everything the reader sees in the lab: its words, what is in its fields, what is pressed.
SNAPSHOT = """name => {
  const frame = document.querySelector(`figure[data-lab="${name}"] .dtrs-lab-frame`);
  const fields = [...frame.querySelectorAll("input, select, textarea")].map((field) => field.value);
  const buttons = [...frame.querySelectorAll("[aria-pressed]")].filter((node) => node.checkVisibility());
  const pressed = buttons.map((node) => node.getAttribute("aria-pressed"));
  const body = frame.querySelector(".dtrs-lab-body").innerText;
  return JSON.stringify({ body, fields, pressed: pressed.join() });
}"""
# Text that stands out too little from what is behind it: [ratio, text] for each.
FAINT = """([name, least]) => {
  const frame = document.querySelector(`figure[data-lab="${name}"]`);
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
    willReadFrequently: true,
  });
  const over = (colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
    }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = rgb.map((part) => linear(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (node) => {
    const behind = [];
    for (let at = node; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(node);
    const ink = node instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [over(["white", ...behind]), over(["white", ...behind, ink])]
      .map(luminance)
      .sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const says = (node) =>
    node.matches("textarea, select, input:not([type=range])")
      ? node.value
      : [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data).join("");
  return [...frame.querySelectorAll("*")]
    .filter((node) => says(node).trim() && node.checkVisibility({ visibilityProperty: true }) && !node.disabled)
    .map((node) => [Math.round(100 * ratio(node)) / 100, says(node).trim().slice(0, 40)])
    .filter(([value]) => value < least);
}"""
TRANSITIONS = """name => {
  for (const sheet of document.styleSheets) sheet.disabled = !sheet.href?.endsWith("/lab.css");
  const seconds = (text) => Math.max(...text.split(",").map(parseFloat));
  const nodes = document.querySelectorAll(`figure[data-lab="${name}"], figure[data-lab="${name}"] *`);
  return [...nodes].flatMap((node) => [null, "::before", "::after"].map((part) => getComputedStyle(node, part)))
    .reduce((most, style) => Math.max(most, seconds(style.transitionDuration), seconds(style.animationDuration)), 0);
}"""

pytestmark = pytest.mark.browser
each_lab = pytest.mark.parametrize("name", NAMES)
# Labs that run a shipped model read a text of the visitor's; a lab whose model is made in the page fetches nothing.
each_lab_with_a_model = pytest.mark.parametrize("name", [name for name in NAMES if LABS[name]["models"]])
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(SITE) as served_at:
        yield served_at


@pytest.fixture
def opened(chromium: Any, address: str) -> Iterator[Open]:
    """A function that opens the page of a lab, brings the lab into view and waits until it lives or fails."""
    contexts = []

    def open_lab(
        name: str, *, url: str = "", instead: dict[str, Any] | None = None, look: bool = True, **settings: Any
    ) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        contexts.append(context)
        tab = context.new_page()
        tab.route("**/figures.js*", lambda route: route.abort())  # the other figures of the page take time
        for pattern, answer in (instead or {}).items():
            tab.route(pattern, answering(answer))
        tab.goto(url or f"{address}/{PAGE_OF[name]}")
        if look:
            tab.locator(figure(name)).scroll_into_view_if_needed()
            tab.wait_for_selector(f"{figure(name)}:is([data-state=live], [data-state=failed])", timeout=30_000)
        return tab

    yield open_lab
    for context in contexts:
        context.close()


def figure(name: str) -> str:
    return f'figure[data-lab="{name}"]'


def changes_after(tab: Any, name: str, action: Callable[[], None]) -> None:
    """Do something and wait until the lab shows something else."""
    before = tab.evaluate(SNAPSHOT, name)
    action()
    tab.wait_for_function(f"([name, was]) => ({SNAPSHOT})(name) !== was", arg=[name, before], timeout=10_000)


def set_another_input(tab: Any, name: str) -> None:
    """Type another text, or move the first slider where a lab reads no text."""
    if LABS[name]["models"]:
        text = "One fish & two fish = red fish + blue fish, one fi"
        tab.locator(f"{figure(name)} textarea").first.fill(TYPED.get(name, text))
    else:
        tab.locator(f"{figure(name)} input[type=range]").first.press("ArrowRight")


def settled(tab: Any, name: str) -> str:
    """What the lab shows once it shows the same for half a second."""
    last = ""
    while (now := str(tab.evaluate(SNAPSHOT, name))) != last:
        last = now
        tab.wait_for_timeout(500)
    return last


def alert(tab: Any, name: str) -> str:
    return " ".join(tab.locator(f"{figure(name)} [role=alert]").all_inner_texts()).strip()


@each_lab
def test_lab_is_in_the_book(name: str) -> None:
    assert name in PAGE_OF, f"No built page has the lab {name}: type make book first."


# Keyboard and names --------------------------------------------------------------------------------------------------


@each_lab
def test_tab_reaches_every_control(opened: Open, name: str) -> None:
    tab = opened(name)
    expected = tab.evaluate(
        """([selector, controls]) => {
          const frame = document.querySelector(selector);
          const all = [...frame.querySelectorAll(controls)];
          window.reachable = all.filter((node) => node.tabIndex >= 0 && !node.disabled && node.checkVisibility());
          window.stranded = all.filter((node) => node.tabIndex < 0 && !node.disabled && node.checkVisibility()
            && !node.closest("[role=group], [role=grid], ul, div")?.parentElement.querySelector("[tabindex='0']"));
          window.reachable[0].focus();
          return [window.reachable.length, window.stranded.map((node) => node.outerHTML.slice(0, 80))];
        }""",
        [figure(name), CONTROLS],
    )
    count, stranded = expected
    assert count >= 5 and not stranded, f"no arrow key leads to {stranded}"
    visited = set()
    for _ in range(count):
        visited.add(tab.evaluate("window.reachable.indexOf(document.activeElement)"))
        tab.keyboard.press("Tab")
    missed = tab.evaluate(
        "seen => window.reachable.filter((_, at) => !seen.includes(at)).map((node) => node.outerHTML.slice(0, 80))",
        list(visited),
    )
    assert not missed, f"Tab does not reach {missed}"


@each_lab
def test_focus_is_visible(opened: Open, name: str) -> None:
    tab = opened(name)
    tab.locator(f"{figure(name)} .dtrs-lab-tools button").last.focus()
    for _ in range(6):
        tab.keyboard.press("Tab")
        line, width = tab.evaluate(
            """(({ outlineStyle, outlineWidth }) => [outlineStyle, parseFloat(outlineWidth)])(
              getComputedStyle(document.activeElement))"""
        )
        assert line != "none" and width >= 2, "a focused control has no ring"


@each_lab
def test_every_control_has_a_name(opened: Open, name: str) -> None:
    tab = opened(name)
    session = tab.context.new_cdp_session(tab)
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    query = ", ".join(f"{figure(name)} {one.strip()}" for one in CONTROLS.split(","))
    nodes = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": query})["nodeIds"]
    assert len(nodes) >= 5
    for node in nodes:
        (said,) = session.send("Accessibility.getPartialAXTree", {"nodeId": node, "fetchRelatives": False})["nodes"]
        if said["ignored"]:
            continue
        html = session.send("DOM.getOuterHTML", {"nodeId": node})["outerHTML"][:120]
        assert said.get("name", {}).get("value", "").strip(), f"a control has no name: {html}"


@each_lab
@pytest.mark.parametrize("key", ["Space", "Enter"])
def test_keys_press_buttons_and_the_numbers_change(opened: Open, name: str, key: str) -> None:
    tab = opened(name)
    settled(tab, name)
    body = f"{figure(name)} .dtrs-lab-body"
    tab.locator(f"{body} button[aria-pressed=false]:visible").first.focus()
    numbers = tab.inner_text(body)
    tab.keyboard.press(key)
    changed = "([body, was]) => document.querySelector(body).innerText !== was"
    tab.wait_for_function(changed, arg=[body, numbers], timeout=10_000)


@each_lab
def test_arrows_move_in_the_grid_or_along_the_tokens(opened: Open, name: str) -> None:
    tab = opened(name)
    settled(tab, name)
    tab.locator(f"{figure(name)} :is([role=gridcell], .dtrs-lab-token)[tabindex='0']").first.focus()
    spoken = "document.activeElement.getAttribute('aria-label')"
    first = tab.evaluate(spoken)
    heard = {first}
    for key in ("ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight"):
        tab.keyboard.press(key)
        heard.add(tab.evaluate(spoken))
    assert len(heard) >= 3 and None not in heard, f"arrow keys say {heard}"


@each_lab_with_a_model
def test_typing_changes_the_numbers(opened: Open, name: str) -> None:
    tab = opened(name)
    field = tab.locator(f"{figure(name)} textarea").first
    changes_after(tab, name, lambda: field.press_sequentially(" and the river"))
    assert not alert(tab, name)


# Looks ---------------------------------------------------------------------------------------------------------------


@each_lab
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read(opened: Open, name: str, theme: str) -> None:
    tab = opened(name, color_scheme=theme)
    settled(tab, name)
    tab.locator(f"{figure(name)} summary").evaluate_all("all => all.forEach((one) => (one.parentElement.open = true))")
    faint = tab.evaluate(FAINT, [name, READABLE])
    assert not faint, f"too faint in the {theme} theme: {sorted(faint)[:8]}"


def test_faint_text_is_noticed(opened: Open) -> None:
    tab = opened(NAMES[0])
    tab.evaluate("document.querySelector('.dtrs-lab-title').style.color = '#aaa'")
    assert len(tab.evaluate(FAINT, [NAMES[0], READABLE])) == 1


@each_lab
def test_reduced_motion_is_honoured(opened: Open, name: str) -> None:
    """With the stylesheet of the labs alone, as in a notebook: the site itself stills everything."""
    assert opened(name, reduced_motion="reduce").evaluate(TRANSITIONS, name) <= BRIEF


@each_lab
def test_phone_shows_all_of_it(opened: Open, name: str) -> None:
    tab = opened(name, viewport={"width": 360, "height": 740}, has_touch=True)
    settled(tab, name)
    small = tab.locator(f"{figure(name)} :is(button, select, input, summary)").evaluate_all(
        """all => all.filter((node) => node.checkVisibility()).map((node) => [node, node.getBoundingClientRect()])
          .filter(([, box]) => box.height < 39.5 || box.width < 24).map(([node, box]) =>
            `${node.className || node.tagName} ${Math.round(box.width)}×${Math.round(box.height)}`)"""
    )
    assert not small, f"too small to touch: {small}"
    cut = tab.locator(f"{figure(name)} .dtrs-lab-frame *").evaluate_all(
        """all => all.filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 1
          && !node.closest(".dtrs-lab-scroll, .dtrs-lab-hidden")).map((node) => node.className || node.tagName)"""
    )
    assert not cut, f"beyond the edge of the screen: {cut}"


# Links to a view -----------------------------------------------------------------------------------------------------


@each_lab
def test_address_leads_to_the_same_view_and_reset_leads_back(opened: Open, name: str) -> None:
    tab = opened(name)
    start = settled(tab, name)
    changes_after(tab, name, lambda: set_another_input(tab, name))
    button = tab.locator(f"{figure(name)} .dtrs-lab-body button[aria-pressed]:visible").last
    changes_after(tab, name, button.click)
    shown = settled(tab, name)
    tab.wait_for_function("name => new URL(location.href).searchParams.has(name)", arg=name)
    again = opened(name, url=tab.url)
    assert json.loads(settled(again, name)) == json.loads(shown)
    again.click(f"{figure(name)} .dtrs-lab-tools button:text-is('Reset')")
    again.wait_for_function("location.search === ''")
    assert json.loads(settled(again, name)) == json.loads(start)


@each_lab
def test_word_of_a_copied_link_goes_with_the_view(opened: Open, name: str) -> None:
    tab = opened(name, permissions=["clipboard-read", "clipboard-write"])
    settled(tab, name)
    tab.click(f"{figure(name)} .dtrs-lab-tools button:text('Copy link')")
    status = tab.locator(f"{figure(name)} .dtrs-lab-status")
    status.get_by_text("The link to this view is copied.").wait_for()
    changes_after(tab, name, lambda: set_another_input(tab, name))
    settled(tab, name)
    assert "link" not in status.inner_text()


# What can go wrong ---------------------------------------------------------------------------------------------------

MISSING = {"status": 404, "body": "not here"}
GARBAGE = {"status": 200, "body": "\x00 this is not what was asked for \xff" * 9}


@each_lab_with_a_model
@pytest.mark.parametrize("answer", [MISSING, GARBAGE], ids=["missing", "damaged"])
@pytest.mark.parametrize("path", ["**/*.safetensors*", "**/weights/*/config.json", "**/tokenizer.json"])
def test_file_that_does_not_come_is_a_sentence(opened: Open, name: str, path: str, answer: dict[str, Any]) -> None:
    tab = opened(name, instead={path: answer})
    assert tab.get_attribute(figure(name), "data-state") == "failed"
    said = alert(tab, name)
    assert len(said) > 30 and said.endswith("."), f"no sentence: {said!r}"
    assert "undefined" not in said and "JSON" not in said, f"not a sentence for people: {said!r}"
    assert tab.is_visible(f"{figure(name)} .dtrs-lab-still"), "the still picture is gone"


@each_lab
@pytest.mark.parametrize("script", ["NAME.js", "shell.js"])
def test_script_that_does_not_come_is_a_sentence(opened: Open, name: str, script: str) -> None:
    tab = opened(name, instead={f"**/labs/{script.replace('NAME', name)}": MISSING})
    assert "could not be loaded" in alert(tab, name)
    assert tab.is_visible(f"{figure(name)} .dtrs-lab-still")


@each_lab_with_a_model
def test_long_text_is_cut_and_the_lab_says_so(opened: Open, name: str) -> None:
    tab = opened(name)
    long = {"othello": f"{SHORTEST} " * 2, "chain_of_thought": "first so 2, second then 6, " * 20}
    tab.locator(f"{figure(name)} textarea").first.fill(long.get(name, "the boat went down the river " * 200))
    settled(tab, name)
    assert "leaves out the rest" in tab.inner_text(figure(name)) and not alert(tab, name)


@each_lab_with_a_model
@pytest.mark.parametrize("text", ["", " ", "<|endoftext|>", "🛶", "\\ud83d", "\n\n\n", "x"])
def test_odd_text_does_no_harm(opened: Open, name: str, text: str) -> None:
    tab = opened(name)
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    field = tab.locator(f"{figure(name)} textarea").first
    field.evaluate(
        """(area, text) => {
          area.value = text === "\\\\ud83d" ? "\\ud83d" : text; // half a character cannot travel here
          area.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        text,
    )
    settled(tab, name)
    body = tab.inner_text(f"{figure(name)} .dtrs-lab-body")
    assert not errors and not alert(tab, name), errors or alert(tab, name)
    assert "NaN" not in body and "undefined" not in body and len(body) > 40
    changes_after(tab, name, lambda: field.fill("A cat and a dog and a c"))


@each_lab
def test_opened_from_a_file_it_says_what_to_do(chromium: Any, name: str) -> None:
    tab = chromium.new_page()
    tab.goto((SITE / PAGE_OF[name]).as_uri())
    assert "make serve" in tab.inner_text(f"{figure(name)} [role=alert]")
    tab.close()


# Stills, and when files are fetched ----------------------------------------------------------------------------------


@each_lab
def test_without_scripts_the_picture_is_there(opened: Open, name: str) -> None:
    tab = opened(name, java_script_enabled=False, look=False)
    still = tab.locator(f"{figure(name)} .dtrs-lab-still")
    still.scroll_into_view_if_needed()
    assert still.is_visible() and still.bounding_box()["width"] > 500
    assert tab.locator(f"{figure(name)} figcaption").inner_text()


@each_lab
def test_in_print_the_picture_stands_for_the_lab(opened: Open, name: str) -> None:
    tab = opened(name)
    still, live = f"{figure(name)} .dtrs-lab-still", f"{figure(name)} .dtrs-lab-frame"
    assert tab.is_visible(live) and not tab.is_visible(still)
    tab.emulate_media(media="print")
    assert tab.is_visible(still) and not tab.is_visible(live)
    assert tab.evaluate("selector => document.querySelector(selector).decode().then(() => true)", still)


@each_lab
def test_stills_are_light_and_described(name: str) -> None:
    still = ROOT / "book" / "labs" / "stills" / f"{name}.png"
    assert still.is_file(), "type python book/stills.py"
    assert still.stat().st_size <= 120_000


@each_lab
def test_files_wait_until_the_lab_is_near(chromium: Any, address: str, name: str) -> None:
    tab = chromium.new_page(viewport={"width": 1280, "height": 600})
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{address}/{PAGE_OF[name]}")
    tab.wait_for_timeout(500)
    assert not [url for url in asked if "/_static/labs/" in url and "/stills/" not in url]
    tab.locator(figure(name)).scroll_into_view_if_needed()
    tab.wait_for_selector(f"{figure(name)}[data-state=live]", timeout=30_000)
    weights = [url for url in asked if ".safetensors.gz?v=" in url]
    assert bool(weights) == bool(LABS[name]["models"]), "weights are asked for without their checksum, or by a toy"
    tab.close()
