"""A paper that has claims, and no scenario to run."""

from pathlib import Path


def toy_paper():
    return Path(__file__).with_name("toy.yaml")
