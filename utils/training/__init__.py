"""How every shipped model was made: `python -m utils.training NAME` makes it again."""
