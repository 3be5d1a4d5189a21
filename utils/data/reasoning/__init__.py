"""Reasoning in a small language: problems of chosen depth, scratchpads, and the rules of five models for them."""

from utils.data.reasoning.problems import NUMBER_TABLE, Problem, random_problems
from utils.data.reasoning.rows import NO_TARGET, ORGANISMS, training_rows
from utils.data.reasoning.words import ANSWER, CLOSINGS, CONNECTIVES, FILLER, LETTERS, NAMES, WORDS, text, tokens, words
from utils.data.reasoning.writing import filler, mistaken, prompt, rephrase, swap_synonyms, written

__all__ = [
    "ANSWER",
    "CLOSINGS",
    "CONNECTIVES",
    "FILLER",
    "LETTERS",
    "NAMES",
    "NO_TARGET",
    "NUMBER_TABLE",
    "ORGANISMS",
    "WORDS",
    "Problem",
    "filler",
    "mistaken",
    "prompt",
    "random_problems",
    "rephrase",
    "swap_synonyms",
    "text",
    "tokens",
    "training_rows",
    "words",
    "written",
]
