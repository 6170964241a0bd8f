"""The run folder of one run: what it may begin in, what is kept meanwhile, and at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from learning.files import sync_folder
from sim import folder as run_folder
from sim.checkpoint import CHECKPOINT, JOURNAL, Checkpoint
from sim.errors import InputError, SimulationError
from sim.journal import Journal
from sim.result import Result
from sim.run_log import RUN_LOG
from sim.strays import is_free, sweep_strays
from sim.writing import write_text


def check_place(place: Path, resume: bool) -> None:
    """Refuse to write over anything that is not a run to be resumed."""
    if place.exists() and not place.is_dir():
        raise InputError(f"-o {place}: is a file; name a folder")
    if is_free(place):
        return
    if not resume:
        raise InputError(
            f"-o {place}: is not empty; name another folder, or go on with its run by --resume"
        )
    if not (place / run_folder.MANIFEST).exists() and not (place / CHECKPOINT).exists():
        raise InputError(f"-o {place}: holds no run that could be resumed; name another folder")


@contextmanager
def holding(place: Path | None) -> Iterator[None]:
    """Make ``place``, and hold it against other processes; what a killed one left is removed.

    Raises InputError while another process runs there, SimulationError for trouble with the disk.
    """
    if place is None:
        yield
        return
    with of_the_run(place):
        is_new = not place.exists()
        place.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_RDONLY)
    try:
        _lock(descriptor, place)
        sweep_strays(place)
        yield
    finally:
        os.close(descriptor)
        if is_new:
            with suppress(OSError):  # something was kept
                place.rmdir()


def _lock(descriptor: int, place: Path) -> None:
    try:
        import fcntl
    except ImportError:  # a system without locks: then it is up to the user
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"-o {place}: another process is running in it; wait for it") from None
    except OSError:  # a file system without locks
        return


@contextmanager
def of_the_run(place: Path | None) -> Iterator[None]:
    """Turn trouble with the run folder into the failure of the run."""
    try:
        yield
    except OSError as error:
        where = error.filename or place
        raise SimulationError(f"{where}: {error.strerror or error}") from error


def _manifest_before(place: Path) -> dict[str, Any] | None:
    """The manifest of what was in a folder; a broken one does not stand in a checkpoint's way."""
    try:
        return run_folder.read_manifest(place)
    except InputError:
        if not (place / CHECKPOINT / JOURNAL).exists():
            raise
        return None


class Keeping:
    """What is kept of a run in ``place``; ``before`` is the manifest of what was there, if any."""

    def __init__(self, place: Path, identity: str, checkpoint_every_s: float) -> None:
        self.place = place
        self.checkpoint = Checkpoint(place, identity, checkpoint_every_s)
        self._is_new = is_free(place)
        self.before: dict[str, Any] | None = None
        if (place / run_folder.MANIFEST).exists():
            self.before = _manifest_before(place)
            if self.before is not None and self.before.get("identity") != identity:
                raise InputError(f"{place}: holds a run of another scenario; name another folder")

    def finished(self) -> Result | None:
        """Return the complete run that the folder holds already, if it does."""
        if self.before is None or self.before["status"] != "complete":
            return None
        self.checkpoint.remove()  # its process may have been killed just before it did
        return Result(run_folder.read_tables(self.place), self.before, self.place)

    def give_up(self) -> None:
        """Leave a folder that was begun in as it was found: the input is wrong."""
        if self._is_new:
            self.checkpoint.remove()
            with suppress(OSError):
                (self.place / RUN_LOG).unlink(missing_ok=True)

    def write_tables(self, result: Result) -> None:
        """Write the tables."""
        run_folder.write_tables(self.place, result.tables)

    def write_model(
        self, weights: bytes | None, about: dict[str, Any], payloads: list[dict[str, Any]]
    ) -> None:
        """Write the final model, and what was carried."""
        run_folder.write_model(self.place, weights, about)
        run_folder.write_payloads(self.place, payloads)

    def write_journal(self, journal: Journal) -> None:
        """Write what was measured, for forks of the run."""
        whole = Journal(journal.entries)  # wherever the run was saved on its way
        write_text(self.place / JOURNAL, json.dumps(whole.said()))

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, behind all that it speaks of; a complete run is resumed no more."""
        sync_folder(self.place)
        run_folder.write_manifest(self.place, manifest)
        if manifest["status"] == "complete":
            self.checkpoint.remove()
