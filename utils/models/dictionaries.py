"""The dictionaries trained for this book, beside the model they belong to, in float16."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as format_safetensors

from utils.models import shipped
from utils.models.autoencoder import SparseAutoencoder


def load_dictionary(
    model: str, width: int | None = None, seed: int = 0, untrained: bool = False, place: str | None = None
) -> SparseAutoencoder:
    """A trained sparse autoencoder for the activations at one place of a model; `.hook` says which.

    Args:
        model: the model's name, such as `"mixture"`.
        width: the number of latents; may be left out if the model's dictionaries have but one there.
        seed: of the dictionary's training.
        untrained: the control, trained on the activations of `untrained(model)`.
        place: which activations, such as `"layer-2-expert-3-hidden"`; may be left out if the model's dictionaries are
            all for the same.

    Raises:
        ValueError: if there is no such dictionary, or its file is missing or damaged.
    """
    entries = _read_config(model)
    places = sorted({entry.get("place", "") for entry in entries.values()})
    if place is None and len(places) > 1:
        raise ValueError(f"The dictionaries of {model!r} have several places: choose one of {', '.join(places)}.")
    place = places[0] if place is None else place
    if place not in places:
        known = ", ".join(places) or "one only, which has no name"
        raise ValueError(f"{model!r} has no dictionary for the place {place!r}. Its places: {known}.")
    widths = sorted({entry["width"] for entry in entries.values() if entry.get("place", "") == place})
    if width is None and len(widths) > 1:
        raise ValueError(f"The dictionaries of {model!r} have several widths: choose one of {_listed(widths)}.")
    name = dictionary_name(widths[0] if width is None else width, seed, untrained, place)
    if name not in entries:
        raise ValueError(f"{model!r} has no dictionary {name!r}. It has: {', '.join(sorted(entries))}.")
    entry, path = entries[name], folder(model) / f"{name}.safetensors"
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(
            f"The dictionary {path.relative_to(shipped.WEIGHTS)} is missing or damaged. Restore it with `git checkout "
            f"-- utils/models/weights/{model}`, or make it again with `python -m utils.training dictionary-{model}`."
        )
    weights = parse_safetensors(content)
    sae = SparseAutoencoder(weights["W_dec"].shape[1], entry["width"], entry["k"], hook=entry["hook"])
    sae.load_state_dict({key: value.float() for key, value in weights.items()})
    return sae.requires_grad_(False)


def save_dictionary(
    model: str, sae: SparseAutoencoder, seed: int, untrained: bool, place: str = "", **facts: Any
) -> None:
    """Adds a dictionary, in float16, to a model's and records its checksum and `facts` in their `config.json`."""
    name = dictionary_name(sae.latent, seed, untrained, place)
    content = format_safetensors({key: value.half().contiguous() for key, value in sae.state_dict().items()})
    folder(model).mkdir(parents=True, exist_ok=True)
    (folder(model) / f"{name}.safetensors").write_bytes(content)
    path = folder(model) / "config.json"
    entries = json.loads(path.read_text()) if path.exists() else {}
    entries[name] = {"hook": sae.hook, "kind": sae.kind, "k": sae.k, "width": sae.latent, "seed": seed}
    entries[name] |= {**({"place": place} if place else {}), **facts, "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(dict(sorted(entries.items())), indent=2) + "\n")


def dictionary_name(width: int, seed: int, untrained: bool = False, place: str = "") -> str:
    """The stem of a dictionary's file; begins with the place if its model has dictionaries for several."""
    return f"{f'{place}-' if place else ''}width-{width}-seed-{seed}{'-untrained' if untrained else ''}"


def folder(model: str) -> Path:
    """Where a model's dictionaries lie."""
    return shipped.WEIGHTS / model / "dictionaries"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _read_config(model: str) -> dict[str, Any]:
    path = folder(model) / "config.json"
    if not path.exists():
        have = sorted(other.parent.parent.name for other in shipped.WEIGHTS.glob("*/dictionaries/config.json"))
        raise ValueError(f"There are no dictionaries for {model!r}. Models that have some: {', '.join(have)}.")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"The description of the dictionaries of {model!r} is damaged. "
            f"Restore it with `git checkout -- utils/models/weights/{model}/dictionaries`."
        ) from error
