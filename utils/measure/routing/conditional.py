"""What a label adds for who knows the token already, where most tokens are rare."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from utils.measure.routing.information import Information


class Added(NamedTuple):
    """What a label adds.

    Attributes:
        information: in bits. `bits` is the plug-in value less the mean of what dealt-out labels give.
        chance: how far above that mean the largest of the deals came.
    """

    information: Information
    chance: float


def added_information(
    labels: Int[Tensor, "batch pos"],
    experts: Int[Tensor, "batch pos"],
    given: Int[Tensor, "batch pos"],
    draws: int = 20,
    seed: int = 0,
) -> Added:
    """I(label; expert | given), corrected by dealing labels out among tokens that share the value of `given`.

    A token that comes twice, with two labels and two experts, seems to tell a whole bit. Leaving one of the two out, as
    the jackknife of `mutual_information` would, leaves nothing to be told and makes matters worse. Labels dealt out
    within each value keep both how rare values are and which labels and experts they come with, and are wrong by as
    much. The value is cautious: where there is much to tell, dealt labels are wrong by more than the true ones, and a
    value of `given` that comes once tells nothing.

    Of tokens with the same value in one sequence only the first counts: the others share its label and perhaps its
    expert, and nothing dealt out to single tokens would share them so. The interval takes whole sequences as
    independent.

    Raises:
        ValueError: if the three do not have one shape.
    """
    if not labels.shape == experts.shape == given.shape:
        shapes = [list(values.shape) for values in (labels, experts, given)]
        raise ValueError(f"One value for each token, please; got shapes {shapes}.")
    first = _first_in_row(given)
    sequence = torch.arange(len(given))[:, None].expand_as(given)[first]
    label, expert, stratum = (torch.unique(v[first], return_inverse=True)[1] for v in (labels, experts, given))
    generator = torch.Generator().manual_seed(seed)
    told = _pointwise(label, expert, stratum)
    dealt = torch.stack([_pointwise(_dealt(label, stratum, generator), expert, stratum) for _ in range(draws)])
    excess = told - dealt.mean(0)
    bits = excess.mean().item()
    by_sequence = torch.zeros(len(given), dtype=excess.dtype).index_add_(0, sequence, excess - bits)
    reach = 1.96 * by_sequence.square().sum().sqrt().item() / len(excess)
    means = dealt.mean(1)
    information = Information(bits, bits - reach, bits + reach, told.mean().item())
    return Added(information, (means.max() - means.mean()).item())


def _first_in_row(values: Int[Tensor, "batch pos"]) -> Tensor:
    """Whether a value has not come before in its row, `[batch pos]`."""
    earlier = (values[:, :, None] == values[:, None, :]).tril(-1).any(-1)
    return ~earlier


def _dealt(
    label: Int[Tensor, " token"], stratum: Int[Tensor, " token"], generator: torch.Generator
) -> Int[Tensor, " token"]:
    """The labels in another order within each stratum."""
    place = stratum.argsort(stable=True)
    shuffled = torch.randperm(len(stratum), generator=generator)
    return torch.empty_like(label).index_copy_(0, place, label[shuffled[stratum[shuffled].argsort(stable=True)]])


def _pointwise(
    label: Int[Tensor, " token"], expert: Int[Tensor, " token"], stratum: Int[Tensor, " token"]
) -> Float[Tensor, " token"]:
    """log2 p(label, expert | stratum) / p(label | stratum) p(expert | stratum) of every token; their mean is I."""
    labels, experts = int(label.max()) + 1, int(expert.max()) + 1
    with_label, with_expert = stratum * labels + label, stratum * experts + expert
    both = with_label * experts + expert
    n, n_label, n_expert, n_both = (torch.bincount(v)[v].double() for v in (stratum, with_label, with_expert, both))
    return (n_both * n / (n_label * n_expert)).log2()
