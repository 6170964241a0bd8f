"""``leomix`` of which a training lasts as long as there is a file ``slow``: ``python -m`` this.

A signal that it has heard leaves a file ``heard``. With a file ``hasty`` a training is broken off
soon after the first one.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import torch

from learning.training import sgd
from sim.cli.app import main
from sim.execution import interrupt

descend = sgd._descend
handled_by = signal.signal


def heard_by(number: Any, handler: Any) -> Any:
    """Let a handler leave the file first; what is no function stays as it is."""

    def hear(*given: Any) -> None:
        Path("heard").touch()
        handler(*given)

    return handled_by(number, hear if callable(handler) else handler)


def slowly(*given: Any) -> Any:
    """Begin when the file is gone."""
    Path("in-training").touch()
    while Path("slow").exists():
        torch.ones(100).sum()
    return descend(*given)


if __name__ == "__main__":
    setattr(sgd, "_descend", slowly)  # noqa: B010 (mypy does not let a function be replaced)
    setattr(signal, "signal", heard_by)  # noqa: B010
    interrupt.SECOND_SIGNAL_S = 60.0  # on a machine that is busy
    interrupt.SAID_AFTER_S = interrupt.PATIENCE_S = 0.2 if Path("hasty").exists() else 60.0
    main()
