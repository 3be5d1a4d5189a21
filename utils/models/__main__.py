"""`python -m utils.models fetch smollm2`: put the real language model into the cache ahead of time."""

from __future__ import annotations

import sys

from utils.models import names, smollm2


def main(arguments: list[str]) -> int:
    """Fetches the real model, or says which models there are."""
    if arguments == ["fetch", smollm2.NAME]:
        print(f"{smollm2.NAME} is ready in {smollm2.fetch()}")
        return 0
    print(f"Usage: python -m utils.models fetch {smollm2.NAME}\nModels of the book: {', '.join(names())}")
    return 0 if not arguments else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
