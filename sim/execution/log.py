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

RUN_LOGGER = logging.getLogger("leomix.run")
"""Where a run logs what it does; without a run folder nothing is written."""
RUN_LOGGER.addHandler(logging.NullHandler())


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
        RUN_LOGGER.removeHandler(self)


@contextmanager
def run_log(folder: Path | None) -> Iterator[None]:
    """Append the messages of ``LOG`` to ``folder/run.log``, if it can be, and how the run ended."""
    handler = None
    with suppress(OSError):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            handler = _LogFile(folder / RUN_LOG, encoding="utf-8", errors="replace")
            handler.setFormatter(_Lines())
            RUN_LOGGER.addHandler(handler)
    level = RUN_LOGGER.level
    RUN_LOGGER.setLevel(logging.INFO)
    try:
        yield
    except Interrupted as error:
        RUN_LOGGER.warning("interrupted: %s", error)
        raise
    except ANYTHING as error:
        RUN_LOGGER.error("failed: %s", error)
        raise
    finally:
        RUN_LOGGER.setLevel(level)
        if handler is not None:
            RUN_LOGGER.removeHandler(handler)
            with suppress(OSError):
                handler.close()


def log_start(world: World, event: int) -> None:
    """Log what is run, and the ``event`` (0: none) up to which it was saved before."""
    method = world.learning.method
    path = world.scenario.source_path
    RUN_LOGGER.info("run %s: method %s, seed %s", path or "a scenario", method, world.seed)
    RUN_LOGGER.info("versions: %s", ", ".join(f"{name} {v}" for name, v in versions().items()))
    if event:
        RUN_LOGGER.info("resumed: replays what was saved up to event %s", event)


def log_end(manifest: dict[str, Any]) -> None:
    """Log warnings and checks, what was trained and reused, and that the run is complete."""
    for said in (*manifest["warnings"], *(check.line for check in checks_in(manifest))):
        RUN_LOGGER.warning("%s", said)
    done = manifest["trainings"]
    reused = manifest["trainings_reused"]
    RUN_LOGGER.info("trainings: %s done, %s known from other runs", done, reused)
    if manifest["cache"] is not None:
        RUN_LOGGER.info(
            "cache: %s", ", ".join(f"{k} {v}" for k, v in manifest["cache"].items() if v)
        )
    RUN_LOGGER.info("complete: trace %s, %s s", manifest["trace_sha256"], manifest["wall_s"])
