"""What the command does before anything else is imported: where it looks for modules, and Ctrl-C.

It imports nothing of leomix, and is imported first. In a program of somebody's own it does nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

FAILED_STATUS = 1
INTERRUPTED_STATUS = 130
SAID = b"leomix: interrupted: nothing was saved\n"
ROOT_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The folder that holds all packages of leomix."""


def leave_current_folder() -> None:
    """Do not look for modules in the current folder, where files of somebody else may lie.

    Python itself puts it first for ``python -m`` and ``python -c``.
    """
    if not sys.flags.safe_path and sys.path[:1] != [ROOT_FOLDER]:
        del sys.path[:1]


def end_when_interrupted() -> None:
    """Let Ctrl-C end the process in one line, where it would raise KeyboardInterrupt.

    An exception amid an import may be taken for a failed import, or be shown with its trace.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _handle_by(_end)


def raise_when_interrupted() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again: somebody catches it from now on."""
    if signal.getsignal(signal.SIGINT) is _end:
        _handle_by(signal.default_int_handler)


def _handle_by(handler: Callable[[int, FrameType | None], object]) -> None:
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:  # this is not the main thread
        return


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, SAID)
    os._exit(INTERRUPTED_STATUS)


def tell_exits() -> Callable[[int], NoReturn]:
    """Have ``os._exit`` say who calls it, and end with status 1; return the one that does not.

    Code of the user's, or a library, could else end a run in silence, with the status of one that
    is complete. A status of 130 stays, and so do processes that this one forks.
    """
    process, end = os.getpid(), os._exit

    def told(status: int) -> NoReturn:
        if os.getpid() == process and status != INTERRUPTED_STATUS:
            caller = sys._getframe(1)  # noqa: SLF001
            file = os.path.basename(caller.f_code.co_filename)
            where = f"{file}:{caller.f_lineno} has called os._exit({status})"
            line = f"leomix: the process was ended by custom code ({where}); raise an error there\n"
            with suppress(OSError):
                os.write(2, line.encode())
            end(FAILED_STATUS)
        end(status)

    os._exit = told
    return end


_begun_as = (getattr(sys, "argv", None) or [""])[0]
if _begun_as == "-m":  # as long as Python looks for what follows, which is a module of sim
    leave_current_folder()
if _begun_as == "-m" or os.path.basename(_begun_as).partition(".")[0] == "leomix":
    end_when_interrupted()
