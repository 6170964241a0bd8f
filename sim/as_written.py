"""What is read of a run folder is as leomix writes it, or the input is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sim.errors import InputError

SIGNS = (
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
)
"""What comes of a key that is not there, or a value of another type, wherever it is used."""


@contextmanager
def as_written(folders: Sequence[Path]) -> Iterator[None]:
    """Turn what a damaged, foreign or much older folder leads to into wrong input."""
    try:
        yield
    except SIGNS as error:
        names = ", ".join(map(str, folders))
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{names}: manifest or tables are not as this version of leomix writes them ({what}); "
            "run the scenario anew"
        ) from error
