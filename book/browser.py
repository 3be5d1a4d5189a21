"""Find the Chromium that the browser tests drive, or install it where that needs no question.

    python book/browser.py

Debian's `chromium` is what the suite is tested with. Where none is found and this is root on a Debian-like system, it
is installed; elsewhere one sentence says what to do. Without a browser the tests of the built pages are skipped on a
person's machine and fail in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ADVICE = "install Chromium (on Debian and Ubuntu: sudo apt-get install chromium)"


def find_browser() -> str | None:
    """The path of an installed Chromium, or None. `CHROMIUM=/path/to/it` names one that is elsewhere."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next((path for name in NAMES if (path := shutil.which(name))), None)


def install_browser() -> bool:
    """Install Debian's chromium when this is root and apt is there; whether that worked."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print("Installing Chromium for the browser tests …", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
    if subprocess.run(install, **quiet).returncode == 0:  # type: ignore[call-overload]
        return True
    updated = subprocess.run(["apt-get", "update", "-q"], **quiet).returncode == 0  # type: ignore[call-overload]
    return updated and subprocess.run(install, **quiet).returncode == 0  # type: ignore[call-overload]


def main() -> int:
    """Entry point; fails only in CI, where a suite without its browser tests would mean too little."""
    if find_browser() or (install_browser() and find_browser()):
        return 0
    in_ci = bool(os.environ.get("CI"))
    print(f"No Chromium found: {ADVICE}.{'' if in_ci else ' Until then the tests of the built pages are skipped.'}")
    return int(in_ci)


if __name__ == "__main__":
    sys.exit(main())
