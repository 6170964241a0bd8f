"""What a method says of itself, for those who show its results."""

from contextlib import suppress

from learning.methods.base import METHODS, Method


def known_method(name: str) -> type[Method] | None:
    """Return the class of a method that is shipped, installed, or registered in this process.

    None for any other name: to show a result does not run code that a file names.
    """
    if name in METHODS.names():
        with suppress(ValueError):  # it is installed, and cannot be imported
            return METHODS.find(name)
    return None
