"""What a run or a sweep shows while it goes on: a sign of life, and a run's tables when asked for.

``RUN/.live`` is there as long as the run goes on, or after its process was killed. Whoever watches
asks for the tables by a file; they come at the next event of the clock, as a run folder of its own.
A run that nobody watches writes its sign of life alone.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from learning.files import check_size
from sim.errors import InputError
from sim.execution.folder import write_manifest, write_tables
from sim.files import check_within
from statements import Code, Other

LIVE = ".live"
"""In a run folder: what is shown while the run goes on."""
BEAT = "beat.json"
ASKED = "asked"
BEAT_S = 2.0
"""Seconds between two signs of life."""
LOOK_S = 0.25
"""Seconds between two looks at whether somebody asks."""
SHARE = 0.02
"""Share of its time that a run spends on tables for who watches, at most."""
KEPT = 2
"""Folders of tables that are kept: somebody may still read the one before the newest."""

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
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def look(self) -> None:
        """Do what else is to be done every LOOK_S, in the thread of this."""

    def _go_on(self) -> None:
        written_at = time.monotonic()
        while not self._over.wait(LOOK_S):
            self.look()
            if time.monotonic() - written_at >= BEAT_S:
                self._write()
                written_at = time.monotonic()

    def _write(self) -> None:
        self._number += 1
        said = {"began_utc": self._began_utc, "beat": self._number, **self.says()}
        # Not synced to the disk: after a crash of the system it is of no use.
        part = self._path.with_name(f".{self._path.name}.part")
        with suppress(OSError):
            part.write_text(json.dumps(said), encoding="utf-8")
            part.replace(self._path)


class Live(Heartbeat):
    """What the run in a folder shows while this is entered; nothing of it stays.

    ``is_asked`` says that somebody asks for its tables, and that they may be written again by now.
    """

    def __init__(self, folder: Path) -> None:
        self._place = folder / LIVE
        super().__init__(self._place / BEAT)
        self.is_asked = False
        self._number_shown = 0
        self._rests_until = 0.0

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._place.mkdir(exist_ok=True)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        shutil.rmtree(self._place, ignore_errors=True)

    def look(self) -> None:
        """See whether somebody asks."""
        if not self.is_asked and time.monotonic() >= self._rests_until:
            self.is_asked = (self._place / ASKED).exists()

    def show(self, make: Callable[[], tuple[Mapping[str, pa.Table], dict[str, Any]]]) -> None:
        """Write the tables and the manifest that ``make`` returns, if disk and memory allow it.

        The time that this takes is SHARE of what passes until the next time, at most.
        """
        began = time.monotonic()
        try:
            with suppress(OSError, MemoryError):
                (self._place / ASKED).unlink(missing_ok=True)
                self._show(*make())
        finally:
            now = time.monotonic()
            self._rests_until = now + (now - began) * (1.0 / SHARE - 1.0)
            self.is_asked = False

    def _show(self, tables: Mapping[str, pa.Table], manifest: dict[str, Any]) -> None:
        self._number_shown += 1
        part = self._place / f".{self._number_shown}.part"
        try:
            write_tables(part, tables)
            write_manifest(part, manifest)
            part.rename(self._place / str(self._number_shown))
        finally:
            shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(self._place / str(self._number_shown - KEPT), ignore_errors=True)


# For who watches.


def ask(folder: Path) -> bool:
    """Ask the run in a folder for its tables; return whether it can be asked.

    Raises InputError where a link would have that written elsewhere.
    """
    path = folder / LIVE / ASKED
    check_within(folder, path)
    try:
        path.touch()
    except OSError:
        return False
    return True


def shown(folder: Path) -> Path | None:
    """Return the run folder that holds the newest tables of a run that goes on, if any."""
    place = folder / LIVE
    numbers = [int(path.name) for path in place.glob("[0-9]*") if path.name.isdecimal()]
    return place / str(max(numbers)) if numbers else None


MOST_BYTES = 100_000
"""Of a sign of life; one has some hundred."""
NUMBERS = ("time_s", "span_s", "cycle", "cycles", "rounds", "most_rounds", "accuracy")
MOST = 1e18


def beat_of(path: Path) -> dict[str, Any] | None:
    """Return the sign of life in a file; None where there is none, or half of one.

    Raises InputError, by its name, for a file that is something else.
    """
    try:
        check_size(path, MOST_BYTES)
        text = path.read_text(encoding="utf-8")
    except OSError:
        return None
    except UnicodeError:
        raise _no_beat(path, "it is no text") from None
    except ValueError:
        raise _no_beat(path, f"it is no file of at most {MOST_BYTES} bytes") from None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not said:
        raise _no_beat(path, "it is no JSON object")
    try:
        # As it is said of several parts since when they go on, each says it with its time zone.
        began = datetime.fromisoformat(said["began_utc"])
        if began.tzinfo is None:
            raise ValueError("no time zone")
    except (KeyError, TypeError, ValueError):
        raise _no_beat(path, "its began_utc is no time in UTC") from None
    for name in NUMBERS:
        number = said.get(name)
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if number is not None and not (is_number and (0 <= number <= MOST or number == math.inf)):
            raise _no_beat(path, f"its {name} is no number from 0 on")
    return said


def _no_beat(path: Path, why: str) -> InputError:
    return InputError.of_file(
        path,
        Code.BROKEN_FILE,
        "is no sign of life of a run ({why})",
        Other(said="remove it"),
        why=why,
    )


def run_beat(folder: Path) -> dict[str, Any] | None:
    """Return the sign of life of the run in a folder; None where none goes on."""
    return beat_of(folder / LIVE / BEAT)


def share_done(beat: Mapping[str, Any]) -> float | None:
    """Return which share a run has done of its time, cycles or rounds; None if nothing says it."""
    spans = (("time_s", "span_s"), ("cycle", "cycles"), ("rounds", "most_rounds"))
    pairs = [(beat.get(done) or 0, all_) for done, of in spans if (all_ := beat.get(of))]
    return max((min(done / all_, 1.0) for done, all_ in pairs), default=None)
