"""The set-up: pins and ranges agree, mistakes get one sentence, versions are the same everywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import browser
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LEFT_TO_COLAB = {"torch", "numpy", "pandas", "plotly", "transformers", "ipywidgets", "ipython"}


def requirements(name: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def pins() -> dict[str, Version]:
    found: dict[str, Version] = {}
    for requirement in requirements("constraints.txt"):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{requirement} is not an exact version"
        found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


def test_every_requirement_is_pinned_within_its_range() -> None:
    pinned = pins()
    for requirement in requirements("requirements.txt"):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} has no pin"
        assert pinned[name] in requirement.specifier, f"{name} is pinned outside {requirement.specifier}"


def test_pins_name_no_build_and_no_place() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "torch==2.13.0\n" in text, "the pin of torch must fit the builds of every platform"
    assert "@" not in text and "file:" not in text and "+" not in re.sub(r"#.*", "", text)


def test_colab_keeps_what_it_has() -> None:
    added = {canonicalize_name(requirement.name): requirement for requirement in requirements("requirements-colab.txt")}
    assert not set(added) & LEFT_TO_COLAB
    for name, requirement in added.items():
        assert pins()[name] in requirement.specifier


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["branch"] == f"v{version}"


def test_ci_runs_make_test_and_nothing_clever() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[1:] == ["set -eu", 'cd "$(dirname "$0")/.."', "exec make test"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert workflow["jobs"]["test"]["steps"][-1] == {"run": ".ci/run"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what the set-up reads, and nothing else."""
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_wrong_python_gets_one_sentence(clone: Path) -> None:
    old = clone / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")  # what a Python below 3.11 answers to the question for its version
    old.chmod(0o755)
    result = make(clone, "book", f"PYTHON={old}")
    assert result.returncode != 0 and not (clone / ".venv").exists()
    assert "needs Python 3.11 or newer" in result.stdout and result.stdout.count("\n") == 1


def test_no_python_gets_the_same_sentence(clone: Path) -> None:
    assert "needs Python 3.11 or newer" in make(clone, "book", "PYTHON=").stdout


def test_python_without_venv_gets_one_sentence(clone: Path) -> None:
    bare = clone / "python-bare"
    bare.write_text('#!/bin/sh\n[ "$1" = -c ]\n')  # new enough, and fails at -m venv
    bare.chmod(0o755)
    result = make(clone, "book", f"PYTHON={bare}")
    assert result.returncode != 0 and "install its venv module" in result.stdout


def test_train_without_a_model_says_which_word_is_missing(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()
    result = make(clone, "train")
    assert result.returncode != 0 and "make train MODEL=induction" in result.stdout


def test_set_up_is_done_once(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()
    assert make(clone, "setup").stdout.count("Setting up") == 0
    later = (clone / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(clone / "constraints.txt", (later, later))
    assert "Setting up" in make(clone, "-n", "setup").stdout


def test_help_lists_the_targets() -> None:
    listed = make(ROOT, "help").stdout
    for target in ("book", "test", "serve", "lab", "exercises", "train", "bench", "notebooks"):
        assert f"make {target} " in listed


def test_missing_browser_is_a_sentence_here_and_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    monkeypatch.setattr(browser, "install_browser", lambda: False)
    monkeypatch.delenv("CI", raising=False)
    assert browser.main() == 0
    monkeypatch.setenv("CI", "1")
    assert browser.main() == 1


def test_build_and_bench_explain_themselves() -> None:
    for script in ("build.py", "notebooks.py"):
        shown = subprocess.run([sys.executable, ROOT / "book" / script, "--help"], capture_output=True, text=True)
        assert shown.returncode == 0 and "usage:" in shown.stdout
