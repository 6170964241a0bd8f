"""Packages that are not always installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.errors import InputError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Say how to install what the format ``extra`` needs if it cannot be imported."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"--to {extra}: needs packages that are not installed ({error}); install them with "
            f'pip install "leomix[{extra}]"'
        ) from None
