"""Where the command begins, before anything else is imported: Ctrl-C ends it in one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

if os.environ.get("LEOMIX_OWN_MODULES"):
    # A process that the user's code has started looks for the user's classes when it is told its
    # task, and imports this module before.
    import learning.own_imports  # noqa: F401

HOME = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
INTERRUPTED = 130
SAID = b"leomix: interrupted: nothing was saved\n"


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process, as :func:`sim.cli.app.main` does."""
    if sys.path[:1] == [""] and os.getcwd() != HOME:
        # By `python -c`: the current folder, where files of somebody else may lie.
        del sys.path[0]
    is_main = threading.current_thread() is threading.main_thread()
    guarded = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if guarded:
        # An exception amid an import may be taken for a failed import, or be shown with its trace.
        signal.signal(signal.SIGINT, _end)
    from sim.cli import app

    if guarded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app.main(arguments)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, SAID)
    os._exit(INTERRUPTED)
