"""The library behind the book: data, models, recipes, measurements, figures and grading."""

__version__ = "0.1.0"
