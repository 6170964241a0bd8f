"""The sign of life of what goes on: how far it has come, in a file that is written anew.

``RUN/.live`` is there as long as the run goes on, or after its process was killed. Claims on the
points of a sweep are renewed in the same way.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from learning.files import check_size

LIVE = ".live"
"""In a run folder: its sign of life."""
BEAT = "beat.json"
BEAT_S = 2.0
"""Seconds between two signs of life."""

Says = Callable[[], Mapping[str, Any]]
"""Returns, as JSON, how far something has come."""


class Heartbeat:
    """A file that is written anew every BEAT_S as long as this is entered, with what it ``says``.

    A disk that cannot take it does not trouble the run.
    """

    def __init__(self, path: Path, says: Says = dict) -> None:
        self.says = says
        self._path = path
        self._began_utc = datetime.now(UTC).isoformat(timespec="seconds")
        self._number = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(BEAT_S):
            self._write()

    def _write(self) -> None:
        self._number += 1
        said = {"began_utc": self._began_utc, "beat": self._number, **self.says()}
        # Not synced to the disk: after a crash of the system it is of no use.
        part = self._path.with_name(f".{self._path.name}.part")
        with suppress(OSError):
            part.write_text(json.dumps(said), encoding="utf-8")
            part.replace(self._path)


class Live(Heartbeat):
    """The sign of life of the run in a folder while this is entered; nothing of it stays."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / LIVE
        super().__init__(self._place / BEAT)

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._place.mkdir(exist_ok=True)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        shutil.rmtree(self._place, ignore_errors=True)


MOST_BYTES = 100_000
"""Of a sign of life; one has some hundred."""
NUMBERS = ("time_s", "span_s", "cycle", "cycles", "rounds", "most_rounds")
MOST = 1e18


def run_beat(folder: Path) -> dict[str, Any] | None:
    """Return the sign of life of the run in a folder; None where there is none that can be read."""
    path = folder / LIVE / BEAT
    try:
        check_size(path, MOST_BYTES)
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        numbers = [value for name in NUMBERS if (value := said.get(name)) is not None]
        fine = all(0 <= number <= MOST or number == math.inf for number in numbers)
    except (OSError, ValueError, RecursionError, AttributeError, TypeError):
        return None
    return said if fine else None


def share_done(beat: Mapping[str, Any]) -> float | None:
    """Return which share a run has done of its time, cycles or rounds; None if nothing says it."""
    spans = (("time_s", "span_s"), ("cycle", "cycles"), ("rounds", "most_rounds"))
    pairs = [(beat.get(done) or 0, all_) for done, of in spans if (all_ := beat.get(of))]
    return max((min(done / all_, 1.0) for done, all_ in pairs), default=None)
