"""`run.log`: the messages of a run."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from learning.own.raised import ANYTHING
from sim.analysis.checks import checks_in
from sim.errors import Interrupted
from sim.execution.folder import RUN_LOG
from sim.execution.versions import versions
from sim.world.world import World

LOG = logging.getLogger("leomix.run")
"""Where a run logs what it does; without a run folder nothing is written."""
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
    """A log that stops without an error: a run is done for its tables."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Write nothing more."""
        LOG.removeHandler(self)


@contextmanager
def run_log(folder: Path | None) -> Iterator[None]:
    """Append the messages of ``LOG`` to ``folder/run.log``, if it can be, and how the run ended."""
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
    except Interrupted as error:
        LOG.warning("interrupted: %s", error)
        raise
    except ANYTHING as error:
        LOG.error("failed: %s", error)
        raise
    finally:
        LOG.setLevel(level)
        if handler is not None:
            LOG.removeHandler(handler)
            with suppress(OSError):
                handler.close()


def log_start(world: World, event: int) -> None:
    """Log what is run, and the ``event`` (0: none) up to which it was saved before."""
    method = world.learning.method
    path = world.scenario.source_path
    LOG.info("run %s: method %s, seed %s", path or "a scenario", method, world.seed)
    LOG.info("versions: %s", ", ".join(f"{name} {v}" for name, v in versions().items()))
    if event:
        LOG.info("resumed: replays what was saved up to event %s", event)


def log_end(manifest: dict[str, Any]) -> None:
    """Log warnings and checks, what was trained and reused, and that the run is complete."""
    for said in (*manifest["warnings"], *(check.line for check in checks_in(manifest))):
        LOG.warning("%s", said)
    done = manifest["trainings"]
    reused = manifest["trainings_reused"]
    LOG.info("trainings: %s done, %s known from other runs", done, reused)
    if manifest["cache"] is not None:
        LOG.info("cache: %s", ", ".join(f"{k} {v}" for k, v in manifest["cache"].items() if v))
    LOG.info("complete: trace %s, %s s", manifest["trace_sha256"], manifest["wall_s"])
