"""The log file of a run: what it did when, in UTC of the wall clock, a line each."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

RUN_LOG = "run.log"
LOG = logging.getLogger("leomix.run")
"""Where a run says what it does; without a run folder nobody listens."""
LOG.addHandler(logging.NullHandler())


class _Lines(logging.Formatter):
    """``2026-11-20T12:00:00.123Z INFO message``, on one line whatever the message holds."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        message = " ".join(record.getMessage().split())
        return f"{self.formatTime(record)} {record.levelname} {message}"


class _LogFile(logging.FileHandler):
    """A log that gives up in silence: what a run is for are its tables."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Write nothing more."""
        LOG.removeHandler(self)


@contextmanager
def run_log(folder: Path | None) -> Iterator[None]:
    """Append what ``LOG`` is told to ``folder/run.log`` meanwhile, if that can be written."""
    handler = None
    with suppress(OSError):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            handler = _LogFile(folder / RUN_LOG, encoding="utf-8", errors="replace")
            handler.setFormatter(_Lines())
            LOG.addHandler(handler)
    level = LOG.level
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.setLevel(level)
        if handler is not None:
            LOG.removeHandler(handler)
            with suppress(OSError):
                handler.close()
