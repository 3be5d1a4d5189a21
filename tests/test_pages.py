"""The pages around the chapters: what they list is complete, and what was computed for them is up to date."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path

import pytest
import torch

BOOK = Path(__file__).parent.parent / "book"
sys.path.insert(0, str(BOOK))

import landing_data  # noqa: E402
import point_table  # noqa: E402

from utils.models import load, names  # noqa: E402

VERDICTS = {"held", "held with limits", "not supported", "not testable here", "not yet tested"}
CLAIMS = [
    *(f"A {n}" for n in (10, 14, 16, 18, 19, 20, 21, 27, 29, 37, 40, 41, 42, 43, 61, 62, 63, 67, 70, 71)),
    *(f"A {n}" for n in (73, 74, 75, 77, 78, 81, 82, 95)),
    *(f"B {n}" for n in (36, 37, 38, 39, *range(55, 66), 70, 71)),
]
CLAIMS += [f"B {n}" for n in range(75, 84)]
CLAIMS += [*(f"A {n}" for n in (59, 60, 79, 88, 92)), *(f"B {n}" for n in range(45, 55))]
CLAIMS += [*(f"A {n}" for n in range(46, 58)), "B 6", "B 7", "B 85"]
CLAIMS += [f"A {n}" for n in range(96, 102)]


def read(name: str) -> str:
    return (BOOK / name).read_text(encoding="utf-8")


def notebooks() -> list[Path]:
    return [*BOOK.parent.glob("chapters/*.ipynb"), *BOOK.parent.glob("solutions/*.ipynb")]


def glossary_terms() -> list[str]:
    inside = read("glossary.md").split("```{glossary}\n")[1].split("\n```")[0]
    return [line for line in inside.splitlines() if line and not line.startswith(" ")]


def test_the_glossary_is_in_alphabetical_order_without_repeats() -> None:
    entries = [block.splitlines()[0] for block in read("glossary.md").split("```{glossary}\n")[1].split("\n\n")]
    assert entries == sorted(entries, key=str.lower)
    assert len(set(glossary_terms())) == len(glossary_terms())


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_term_a_notebook_links_is_in_the_glossary(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    known = {term.lower() for term in glossary_terms()}
    used = {re.sub(r".*<(.*)>", r"\1", " ".join(term.split())) for term in re.findall(r"\{term\}`([^`]+)`", text)}
    assert sorted(term for term in used if term.lower() not in known) == []


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_citation_of_a_notebook_is_in_the_bibliography(path: Path) -> None:
    keys = set(re.findall(r"^@\w+\{([^,]+),", read("references.bib"), re.MULTILINE))
    used = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", path.read_text(encoding="utf-8"))
    assert sorted({key.strip() for group in used for key in group.split(",")} - keys) == []


def test_every_claim_has_a_verdict() -> None:
    found = dict(re.findall(r"^\*\*([AB] \d+)\..*?\{bdg-\w+(?:-line)?\}`([^`]+)`", read("claims.md"), re.M | re.S))
    assert sorted(found) == sorted(CLAIMS)
    assert set(found.values()) <= VERDICTS
    counts = [len(found), *(list(found.values()).count(verdict) for verdict in ("held", "held with limits"))]
    assert "Of the {} claims below, {} held, {} held with limits".format(*counts) in read("claims.md")


def test_the_points_in_the_instructors_guide_are_those_of_the_exercises() -> None:
    assert point_table.updated(read("instructors.md")) == read("instructors.md"), "run python book/point_table.py"


def test_the_sets_of_heads_come_smaller_ones_first() -> None:
    assert landing_data.removable_sets(3, 2) == [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]


@pytest.mark.skipif("induction" not in names(), reason="the trained weights are not here")
class TestLandingFigure:
    """The file that the landing page draws is what the shipped weights give."""

    def test_it_is_up_to_date(self) -> None:
        kept, now = json.loads(read("_static/landing-heads.json")), landing_data.measure(load("induction"))
        for key in now.keys() - {"losses", "patterns"}:
            assert kept[key] == now[key], "run python book/landing_data.py"
        for key in ("losses", "patterns"):
            old, new = (
                torch.frombuffer(bytearray(base64.b64decode(str(file[key]))), dtype=torch.uint8).int()
                for file in (kept, now)
            )
            assert (old - new).abs().max() <= 1, "run python book/landing_data.py"  # 1: rounding on another machine

    def test_a_removed_head_contributes_nothing(self) -> None:
        model = load("induction")
        _, tokens = landing_data.repeated_words(model)
        with torch.no_grad():
            by_hook = landing_data.losses_without(model, tokens, [(), (1,)])
            assert torch.allclose(by_hook[0], model(tokens, return_type="loss", loss_per_token=True)[0], atol=1e-4)
            model.blocks[0].attn.o.weight.view(model.cfg.d_model, model.cfg.n_heads, -1)[:, 1] = 0.0
            assert torch.allclose(by_hook[1], model(tokens, return_type="loss", loss_per_token=True)[0], atol=1e-4)

    def test_it_cannot_end_the_script_that_holds_it(self) -> None:
        assert "<" not in read("_static/landing-heads.json")
        assert len(read("_static/landing-heads.json")) <= landing_data.LARGEST
