"""The model zoo: every model of the book through one call, `load(name)`."""

from utils.models.zoo import checkpoints, load, names, untrained

__all__ = ["checkpoints", "load", "names", "untrained"]
