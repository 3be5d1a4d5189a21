"""Make the cards that the lab `experts` shows: what each expert of a shipped model reads, and what its silence costs.

    python book/expert_cards.py

Everything is counted on held-out text, as many windows of each source; for the planted model on fresh sequences of each
task. Where dictionaries were trained on the experts' hidden units, a card names four latents: chosen on the documents
of even number, counted on the others, so that the choice does not flatter the numbers. The file holds the checksum
of the weights: the lab shows no cards that belong to others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils import measure, models
from utils.data import mixture, planted
from utils.measure import routing
from utils.models import shipped

MODELS = ("experts", "experts-unbalanced", "experts-planted")
CARDS = Path(__file__).parent / "labs" / "experts_cards.js"
HEAD = "/* What is known of every expert from held-out text. Made by book/expert_cards.py: do not edit. */\n"
ROWS, LENGTH = 8, 128  # windows of each source, and their tokens with the beginning token
PLANTED_ROWS = 200
SHOWN = 6  # tokens of each kind on a card
RARE = 5  # tokens that stand fewer times in the text are nobody's own
# The rule for features; experts_views.js tells the reader its numbers.
WITH_DICTIONARIES = {"experts": 2}  # models, and the layer with a dictionary for the hidden units of each expert
FEATURE_ROWS = 144  # windows of each source for the features: a latent fires on few tokens
FEATURES, CONTEXTS = 4, 3  # latents on a card, and contexts of each
OFTEN, DOCUMENTS = 40, 12  # latents that fire on fewer tokens, or in fewer documents, are not shown
ONE_UNIT = 0.9  # nor those whose direction has a larger cosine with a single hidden unit
BEFORE, AFTER = 6, 4  # tokens of a context


class HeldOut(NamedTuple):
    """Text and the kind of each of its tokens."""

    tokens: Int[Tensor, "row position"]
    source: Int[Tensor, "row position"]
    sources: tuple[str, ...]
    classes: Int[Tensor, " d_vocab"] | None  # of every token, by its letters


def held_out(name: str, model: TransformerBridge) -> HeldOut:
    """The text on which a model's experts are looked at."""
    if name == "experts-planted":
        tokens, task = planted.planted_sequences(PLANTED_ROWS, model.cfg.n_ctx, seed=7)
        return HeldOut(tokens, task, tuple(f"task{number + 1}" for number in range(planted.TASKS)), None)
    found = mixture.labelled_windows(model.tokenizer, ROWS, LENGTH)
    return HeldOut(found.tokens, found.source, mixture.SOURCES, routing.token_classes(model.tokenizer))


def shares(labels: Int[Tensor, " token"], count: int) -> Float[Tensor, " label"]:
    """Of all tokens, how many have each label; zeros for no tokens."""
    return torch.bincount(labels, minlength=count) / max(1, len(labels))


def own_tokens(read: Int[Tensor, " d_vocab"], usual: Int[Tensor, " d_vocab"]) -> Int[Tensor, " token"]:
    """The tokens of which an expert reads the most beyond its share of all tokens."""
    expected = usual * (read.sum() / usual.sum())
    beyond = (read - expected).masked_fill(usual < RARE, 0)
    best = beyond.topk(min(SHOWN, len(usual)))
    return best.indices[best.values > 0]


@torch.no_grad()
def losses(model: TransformerBridge, text: HeldOut, hooks: list[Any]) -> Float[Tensor, " 1+source"]:
    """The mean loss of all predictions, and of those inside each source."""
    each = torch.cat(
        [measure.token_losses(model.run_with_hooks(rows, fwd_hooks=hooks), rows) for rows in text.tokens.split(40)]
    )
    of_source = [each[text.source[:, 1:] == source].mean() for source in range(len(text.sources))]
    return torch.stack([each.mean(), *of_source])


def cards(name: str) -> dict[str, Any]:
    """All cards of a model, and what is true of all of them; counts leave the beginning token out."""
    model = models.load(name)
    text = held_out(name, model)
    read, source = text.tokens[:, 1:].flatten(), text.source[:, 1:].flatten()
    usual = torch.bincount(read, minlength=model.cfg.d_vocab)
    of_source = torch.bincount(source, minlength=len(text.sources))
    plain = losses(model, text, [])
    names = routing.CLASSES if text.classes is not None else ()

    def card(layer: int, expert: int, given: Tensor) -> dict[str, Any]:
        own = torch.bincount(read[given], minlength=model.cfg.d_vocab)
        common = own.topk(SHOWN)
        cost, *costs = (losses(model, text, routing.dropped(model, layer, [expert])) - plain).tolist()
        classes = shares(text.classes[read[given]], len(names)) if text.classes is not None else torch.zeros(0)
        return {
            "share": _short(given.float().mean()),
            "common": common.indices[common.values > 0].tolist(),
            "own": own_tokens(own, usual).tolist(),
            "sources": [_short(share) for share in shares(source[given], len(text.sources))],
            "rates": [_short(rate) for rate in torch.bincount(source[given], minlength=len(of_source)) / of_source],
            "classes": [_short(share) for share in classes],
            "cost": _short(cost),
            "costs": [_short(one) for one in costs],
        }

    def layer_cards(layer: int) -> list[dict[str, Any]]:
        chosen = routing.record_routing(model, text.tokens, layer).chosen[:, 1:].flatten(0, 1)
        experts = cast(Any, model.cfg).num_experts
        return [card(layer, expert, (chosen == expert).any(-1)) for expert in range(experts)]

    found = [layer_cards(layer) for layer in range(model.cfg.n_layers)]
    if name in WITH_DICTIONARIES:
        layer = WITH_DICTIONARIES[name]
        found[layer] = [one | more for one, more in zip(found[layer], features(name, layer), strict=True)]
    return {
        "sha256": checksum(name),
        "tokens": len(read),
        "sources": list(text.sources),
        "classes": list(names),
        "layers": found,
    }


@torch.no_grad()
def features(name: str, layer: int) -> list[dict[str, Any]]:
    """For each expert of a layer, what its dictionary finds: how many tokens were counted, and four latents."""
    model = models.load(name)
    text = mixture.document_windows(model.tokenizer, FEATURE_ROWS, LENGTH)
    parts = [routing.expert_activity(model, rows, layer) for rows in text.tokens.split(96)]
    activity = routing.Activity(*map(torch.cat, zip(*parts, strict=True)))

    def of(expert: int) -> dict[str, Any]:
        sae = models.load_dictionary(name, place=f"layer-{layer}-expert-{expert}-hidden")
        where, hidden = activity.of(expert)
        later = where[:, 1] > 0  # not the beginning token
        row, position, _ = where[later].T
        firing = sae.encode(hidden[later])
        source, document = text.source[row, position], text.document[row, position]
        counted = document % 2 == 1
        spread = (fired(firing[~counted], document[~counted]) > 0).sum(-1)
        several_units = sae.W_dec.abs().amax(-1) <= ONE_UNIT
        chosen = pure_latents(fired(firing[~counted], source[~counted]), (spread >= DOCUMENTS) & several_units)
        counts = fired(firing[counted], source[counted])

        def feature(latent: int) -> dict[str, Any]:
            places = strongest(firing[counted, latent], document[counted])
            at = where[later][counted][places].tolist()
            return {
                "latent": latent,
                "fires": int(counts[latent].sum()),
                "source": int(counts[latent].argmax()),
                "share": _short(counts[latent].max() / counts[latent].sum().clamp(min=1)),
                "contexts": [
                    [int(text.source[one, place]), *context(model.tokenizer, text.tokens[one], place)]
                    for one, place, _ in at
                ],
            }

        return {"counted": int(counted.sum()), "features": [feature(latent) for latent in chosen]}

    return [of(expert) for expert in range(cast(Any, model.cfg).num_experts)]


def fired(firing: Float[Tensor, "token latent"], label: Int[Tensor, " token"]) -> Int[Tensor, "latent label"]:
    """On how many tokens of each label each latent is above zero."""
    none = torch.zeros(int(label.max()) + 1, firing.shape[1], dtype=torch.long)
    return none.index_add_(0, label, (firing > 0).long()).T


def pure_latents(counts: Int[Tensor, "latent source"], allowed: Bool[Tensor, " latent"]) -> list[int]:
    """Of each source the latent that fires there most purely; of these the purest, the purest first.

    The purest has the largest share of its firings on one source; of equals, it is the one that fires most often.
    """
    fires = counts.sum(-1)
    share, source = (counts / fires.clamp(min=1)[:, None]).max(-1)
    often = ((fires >= OFTEN) & allowed).nonzero().flatten().tolist()
    best: dict[int, int] = {}
    for latent in sorted(often, key=lambda one: (float(share[one]), int(fires[one])), reverse=True):
        best.setdefault(int(source[latent]), latent)
    return list(best.values())[:FEATURES]


def strongest(firing: Float[Tensor, " token"], document: Int[Tensor, " token"]) -> list[int]:
    """Where a latent fires most strongly, once in each document."""
    places: dict[int, int] = {}
    for place in firing.argsort(descending=True)[: int((firing > 0).sum())].tolist():
        places.setdefault(int(document[place]), place)
    return list(places.values())[:CONTEXTS]


def context(tokenizer: Any, tokens: Int[Tensor, " position"], place: int) -> list[str]:
    """The text before a token, its own, and the text after it."""
    pieces = tokens[max(1, place - BEFORE) : place], tokens[place : place + 1], tokens[place + 1 : place + 1 + AFTER]
    before, own, after = (str(tokenizer.decode(piece)) for piece in pieces)
    return [before.lstrip("\ufffd"), own, after.rstrip("\ufffd")]  # no characters that the ends cut


def checksum(name: str) -> str:
    """Of a model's last checkpoint."""
    config = json.loads((shipped.WEIGHTS / name / "config.json").read_text("utf-8"))
    return str(config["checkpoints"][str(models.checkpoints(name)[-1])])


def module(found: dict[str, Any]) -> str:
    """The JavaScript module that holds the cards of some models, a card to a line."""
    parts = []
    for name, about in found.items():
        facts = {key: value for key, value in about.items() if key != "layers"}
        layers = ",\n".join("[\n" + ",\n".join(map(_line, layer)) + "\n]" for layer in about["layers"])
        parts.append(f'"{name}": {_line(facts)[:-1]},"layers":[\n{layers}\n]}}')
    return HEAD + "\nexport const CARDS = {" + ",\n".join(parts) + "};\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _short(number: float | Tensor) -> float:
    return round(float(number), 4)


def main() -> None:
    """Entry point: the cards of those models that are shipped."""
    found = {name: cards(name) for name in MODELS if name in models.names()}
    CARDS.write_text(module(found), encoding="utf-8")
    print(f"{CARDS}: {', '.join(found)}, {CARDS.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
