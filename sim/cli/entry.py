"""Where the command begins, before anything else is imported: Ctrl-C ends it in one line."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from sim.process.beginning import ROOT_FOLDER, end_when_interrupted, leave_current_folder

if os.environ.get("LEOMIX_OWN_MODULES"):
    # A process that the user's code has started looks for the user's classes when it is told its
    # task, and imports this module before.
    import learning.own.imports  # noqa: F401


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process, as :func:`sim.cli.app.main` does."""
    if sys.path[:1] == [""] and os.getcwd() != ROOT_FOLDER:  # by `python -c`
        leave_current_folder()
    end_when_interrupted()
    from sim.cli import app

    app.main(arguments)
