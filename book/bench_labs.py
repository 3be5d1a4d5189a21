"""How fast the labs answer: a keystroke in the browser beside PyTorch, and what a lab's page takes to appear."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from visit import PATIENCE, pages, visit

from utils.data.wikipedia import held_out
from utils.models import load

MODEL = "induction"
TOKENS = 64
REPEATS = 30
FORWARD = "PyTorch, forward pass alone"

# Types into a text of `tokens` tokens, the beginning token included, and asks for what the stream lab asks for. Each
# time is that of one keystroke: the text is encoded, sent to the worker, computed anew, and the numbers are back.
TYPE = """async ({ name, article, tokens, repeats }) => {
  const { openModel } = await import("/_static/labs/engine.js");
  let answer = null;
  const model = {
    on: (event, listener) => (answer = listener),
    send: async ({ read: path, id }) => {
      const packed = path.endsWith(".safetensors");
      const found = await fetch("/_static/labs/files/" + path + (packed ? ".gz" : ""));
      if (!found.ok) return answer({ id, error: `The site lacks ${path}.` }, []);
      const stream = packed ? found.body.pipeThrough(new DecompressionStream("gzip")) : found.body;
      answer({ id }, [new DataView(await new Response(stream).arrayBuffer())]);
    },
  };
  const handle = await openModel(model, name);
  const { tokenizer } = handle;
  const text = tokenizer.decode(tokenizer.encode(article).slice(0, tokens - 1));
  const ids = [tokenizer.bos, ...tokenizer.encode(text)];
  if (ids.length !== tokens) throw new Error(`The text has ${ids.length} tokens instead of ${tokens}.`);
  const middle = Math.floor(text.length / 2);
  const keystrokes = {
    "appended at the end": (letter) => text + letter,
    "replaced at the end": (letter) => text.slice(0, -1) + letter,
    "inserted in the middle": (letter) => text.slice(0, middle) + letter + text.slice(middle),
    "replaced in the middle": (letter) => text.slice(0, middle) + letter + text.slice(middle + 1),
  };
  const times = {};
  for (const [kind, edit] of Object.entries(keystrokes)) {
    times[kind] = [];
    for (let turn = -3; turn < repeats; turn++) { // the first three warm up
      const letter = "abcdefghijklmnopqrstuvwxyz"[(turn + 3) % 26];
      const start = performance.now();
      const typed = [tokenizer.bos, ...tokenizer.encode(edit(letter))];
      const { lens } = await handle.call("followed", { tokens: typed, k: 5 });
      if (turn >= 0) times[kind].push(performance.now() - start);
      if (lens.top[0].length !== typed.length) throw new Error("The logit lens misses positions.");
    }
  }
  handle.close();
  return { ids, times };
}"""
# Plays a game in the lab of Othello by pressing legal squares. A move's time ends when its numbers are on the page.
PLAY = """async (moves) => {
  const shown = (label) => [...document.querySelectorAll(".dtrs-lab button")].find((one) => one.textContent === label);
  const body = document.querySelector('figure[data-lab="othello"] .dtrs-lab-body');
  const quiet = async () => {
    while (body.ariaBusy !== "false") await new Promise((resolve) => setTimeout(resolve));
  };
  shown("you play on").click();
  shown("New game").click();
  const times = [];
  for (let move = -3; move < moves; move++) { // the first three warm up
    await quiet();
    const legal = document.querySelectorAll('[aria-label="The game"] .dtrs-lab-square[aria-disabled=false]');
    if (!legal.length) throw new Error(`The game ended before ${moves} moves.`);
    const start = performance.now();
    legal[Math.floor(legal.length / 2)].click();
    await quiet();
    body.getBoundingClientRect();
    if (move >= 0) times.push(performance.now() - start);
  }
  return times;
}"""
# Silences experts in the lab of experts, one after the other. A mark's time ends when its numbers are on the page.
MARK = """async (marks) => {
  const body = document.querySelector('figure[data-lab="experts"] .dtrs-lab-body');
  const quiet = async () => {
    while (body.ariaBusy !== "false") await new Promise((resolve) => setTimeout(resolve));
  };
  const switches = [...body.querySelectorAll(".dtrs-lab-switch")];
  const finding = body.querySelector(".dtrs-lab-finding");
  const times = [];
  for (let mark = -3; mark < marks; mark++) { // the first three warm up
    await quiet();
    const said = finding.textContent;
    const start = performance.now();
    switches[(mark + 3) % switches.length].click();
    await quiet();
    body.getBoundingClientRect();
    if (mark >= 0) times.push(performance.now() - start);
    if (finding.textContent === said) throw new Error("A mark changes nothing.");
  }
  return times;
}"""
FIRST_PAINT = """() => new Promise((resolve) =>
  new PerformanceObserver((list) => {
    const [paint] = list.getEntriesByName("first-contentful-paint");
    if (paint) resolve(paint.startTime);
  }).observe({ type: "paint", buffered: true }))"""
COME_NEAR = """async ([name, patience]) => {
  const figure = document.querySelector(`figure.dtrs-lab[data-lab="${name}"]`);
  const start = performance.now();
  figure.scrollIntoView({ behavior: "instant" });
  while (figure.dataset.state !== "live") {
    if (figure.dataset.state === "failed" || performance.now() - start > patience)
      throw new Error(`The lab ${name} does not come to life: ${figure.innerText}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - start;
}"""


def keystrokes(chromium: Any, address: str) -> dict[str, list[float]]:
    """Milliseconds of each kind of keystroke, and beside them of PyTorch's forward pass of the same tokens alone.

    Args:
        chromium: the browser.
        address: where the built site is served.
    """
    tab = chromium.new_page()
    try:
        tab.goto(f"{address}/_static/labs/labs.json")
        typed = tab.evaluate(TYPE, {"name": MODEL, "article": held_out()[0], "tokens": TOKENS, "repeats": REPEATS})
    finally:
        tab.close()
    return typed["times"] | {FORWARD: forward_times(typed["ids"])}


def forward_times(ids: list[int]) -> list[float]:
    """Milliseconds of PyTorch's forward passes of one text."""
    model, tokens = load(MODEL), torch.tensor([ids])
    times = []
    with torch.inference_mode():
        for _ in range(REPEATS + 3):
            start = time.perf_counter()
            model(tokens)
            times.append(1000 * (time.perf_counter() - start))
    return times[3:]  # the first three warm up


def move_times(chromium: Any, address: str, page: str) -> list[float]:
    """Milliseconds from a press on a square to the model's answer on the page, for each move of a game.

    Args:
        chromium: the browser.
        address: where the site is served.
        page: one that holds the lab `othello`.
    """
    return _times_in(chromium, f"{address}/{page}", "othello", PLAY)


def mark_times(chromium: Any, address: str, page: str) -> list[float]:
    """Milliseconds from a press that silences an expert, or lets it speak again, to the new losses on the page.

    Args:
        chromium: the browser.
        address: where the site is served.
        page: one that holds the lab `experts`.
    """
    return _times_in(chromium, f"{address}/{page}", "experts", MARK)


def _times_in(chromium: Any, address: str, lab: str, script: str) -> list[float]:
    """What a script that presses buttons of a lab says of each press."""
    tab = chromium.new_page()
    try:
        tab.goto(address, timeout=PATIENCE)
        tab.evaluate(COME_NEAR, [lab, PATIENCE])
        return list(tab.evaluate(script, REPEATS))
    finally:
        tab.close()


def keystroke_rows(times: dict[str, list[float]]) -> list[tuple[str, str]]:
    """Median milliseconds of each keystroke, and how many forward passes of PyTorch that is."""
    forward = median(times[FORWARD])
    return [(kind, f"{median(each):.1f} ms  {median(each) / forward:.2f} ×") for kind, each in times.items()]


def lab_rows(chromium: Any, out: Path, address: str) -> list[tuple[str, str]]:
    """For each lab: what it downloads, its page's first paint, and how soon it is live once it comes near.

    Raises:
        RuntimeError: if no page holds the lab, or it does not come to life there.
    """
    rows = []
    for name in json.loads((out / "_static" / "labs" / "labs.json").read_text(encoding="utf-8")):
        holding = [page for page in pages(out) if f'data-lab="{name}"' in (out / page).read_text(encoding="utf-8")]
        if not holding:
            raise RuntimeError(f"No page of the built site holds the lab {name}: build it again, or place the lab.")
        page = holding[0]
        seen = visit(chromium, out, address, page)
        if any(lab["state"] != "live" for lab in seen.labs):
            raise RuntimeError(f"A lab on {page} does not come to life: {seen.labs} {seen.errors}")
        tab = chromium.new_context().new_page()
        try:
            tab.goto(f"{address}/{page}", timeout=PATIENCE)
            paint = tab.evaluate(FIRST_PAINT)
            live = tab.evaluate(COME_NEAR, [name, PATIENCE])
        finally:
            tab.context.close()
        rows.append((f"{name}, {seen.lab_weight / 1e6:.2f} MB", f"{paint:.0f} ms to paint, {live:.0f} ms to life"))
    return rows
