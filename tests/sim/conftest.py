"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from sim.cli import _status


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def leomix(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process and return exit status, stdout and stderr."""

    def call(*arguments: object) -> Outcome:
        status = _status([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return call
