"""What a run is resumed from: its journal, and the tensors that are still in use, by key."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from learning.files import link_or_copy, read_object
from learning.own.replies import check_replies
from learning.values.lazy import Values
from learning.values.store import FolderStore
from sim.engine.journal import Journal
from sim.errors import InputError, helped
from sim.execution.versions import changes, listed, versions
from sim.files import write_text
from sim.trace.digest import json_digest
from statements import Code, sentence, statement_of

CHECKPOINT = "checkpoint"
EXTENSION = "extension"
"""What a complete run keeps, to be extended from: a checkpoint from before it felt its end."""
EXTENDING = "extending"
"""In the folder of a complete run: the folder of a run that extends it, until that is complete."""
JOURNAL = "journal.json"
VALUES = "values"
REPLIES = "replies"
ABOUT = ("identity", "besides_stop", "stop", "values")
"""What is said of a checkpoint beside its journal."""
KEY = re.compile("[0-9a-f]+")
"""Names of values: anything else could lead out of their folder."""


class Checkpoint:
    """The resumable state of a run in ``folder``, saved every so many seconds.

    It is ``of`` a run, by its ``identity``, by what that is ``besides_stop``, and by its ``stop``.
    A method that learns by itself keeps its results in the folder ``replies`` as they are made.

    The journal on the disk refers only to values that exist: they are written before it, and
    removed after the next journal. A folder with a checkpoint belongs to a run that continues, or
    was interrupted. One that ``is_resumed`` was there before; that of a run with an earlier stop
    ``is_handed_over``, until it is saved again.
    """

    def __init__(
        self,
        folder: Path,
        of: Mapping[str, Any],
        every_s: float = 10.0,
        name: str = CHECKPOINT,
    ) -> None:
        self.folder = folder / name
        self._file = self.folder / JOURNAL
        self._store = FolderStore(self.folder / VALUES)
        self.replies = self.folder / REPLIES
        self._of = of
        self._every_s = every_s
        self._saved_at = time.monotonic()
        self.is_resumed = False
        self.is_handed_over = False

    def load(self, values: Values) -> Journal:
        """Return the saved journal, an empty one if there is none, and serve tensors by key.

        Raises InputError for a journal that is broken, or of another run, and for any other file
        that has changed since it was saved.
        """
        if not self._file.exists():
            values.store = self._store
            return Journal()
        journal, state, checksums = read_journal(self._file)
        values.store = self._store = FolderStore(self.folder / VALUES, checksums)
        with _usable(self.folder):
            self._store.check()
            check_replies(self.replies)
            self._store.remove_unknown()
        if state.get("identity") != self._of["identity"]:
            noted = {name: one for name, one in versions().items() if name in journal.saved_with}
            changed = changes({name: journal.saved_with[name] for name in noted}, noted)
            raise InputError.of_file(
                self.folder.parent,
                Code.WRONG_FILE,
                "holds a run of another scenario, of other data or code of "
                f"your own, or of other versions{listed(changed)}",
                "name another folder",
            )
        self.is_resumed = True
        self.is_handed_over = bool(state.get("is_handed_over"))
        return journal

    def begin(self, journal: Journal) -> None:
        """Mark the folder as that of this run, unless it is marked already."""
        if not self._file.exists():
            self._store.sync()
            self._write(journal, self._store.checksums)

    @property
    def is_there(self) -> bool:
        """Whether it has been saved."""
        return self._file.exists()

    @property
    def size_bytes(self) -> int:
        """Size of its files on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def take_replies(self, other: Checkpoint) -> None:
        """Keep the replies that another checkpoint has by now."""
        if other.replies.is_dir():
            self.replies.mkdir(parents=True, exist_ok=True)
            for path in other.replies.glob("[!.]*"):
                if not (self.replies / path.name).exists():
                    link_or_copy(path, self.replies / path.name)

    @property
    def is_due(self) -> bool:
        """Whether the interval has passed since the last save."""
        return time.monotonic() - self._saved_at >= self._every_s

    def save(
        self,
        event: int,
        time_s: float,
        journal: Journal,
        digest: Callable[[], str],
        values: Values,
        saved_with: Mapping[str, str],
    ) -> bool:
        """Save at an event boundary; return whether it did: a replay saves nothing.

        ``digest`` returns that of the trace by now, which is what it is ``saved_with`` these.
        """
        if event < journal.event:
            return False
        live = values.live()
        for key, handle in live.items():
            if (tensors := values.kept(handle)) is not None:
                self._store.save(key, tensors)
            elif values.store is not None and key in values.store:
                self._store.take(key, values.store)  # nobody has needed it since the run resumed
        self._store.sync()
        state = Journal(journal.entries, event, time_s, digest(), saved_with)
        known = self._store.checksums
        self._write(state, {key: known[key] for key in sorted(known.keys() & live.keys())})
        self._store.keep_only(live)
        self._saved_at = time.monotonic()
        return True

    def remove(self) -> None:
        """Delete the checkpoint: the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, journal: Journal, checksums: dict[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self._file, {**self._of, "values": checksums}, journal)


def _write(file: Path, about: Mapping[str, Any], journal: Journal, **more: Any) -> None:
    state = {**about, "checksum_of_these": json_digest(about), **journal.said(), **more}
    write_text(file, json.dumps(state))


def hand_over(folder: Path, to: Mapping[str, Any]) -> None:
    """Give what the run in a folder has kept, else what it saved last, to one with a later stop.

    Where it has neither, the folder is marked as that of the other one. Raises InputError, and
    leaves all as it is, where what it has kept is broken.
    """
    kept, saved = folder / EXTENSION, folder / CHECKPOINT
    source = kept if (kept / JOURNAL).exists() else saved
    if not (source / JOURNAL).exists():
        Checkpoint(folder, to).begin(Journal())
        return
    journal, checksums = _checked(source)
    _write(source / JOURNAL, {**to, "values": checksums}, journal, is_handed_over=True)
    if source is kept:
        shutil.rmtree(saved, ignore_errors=True)
        kept.rename(saved)


def lend(folder: Path, target: Path, to: Mapping[str, Any]) -> None:
    """Begin a run with a later stop in ``target`` from what the run in ``folder`` has kept.

    That stays as it is. The journal is written last: without it, nothing was begun. Raises
    InputError where what the run has kept is broken.
    """
    kept, saved = folder / EXTENSION, target / CHECKPOINT
    if not (kept / JOURNAL).exists():
        Checkpoint(target, to).begin(Journal())
        return
    journal, checksums = _checked(kept)
    shutil.rmtree(target, ignore_errors=True)
    for name in (VALUES, REPLIES):
        if (kept / name).is_dir():
            shutil.copytree(kept / name, saved / name, copy_function=link_or_copy)
    saved.mkdir(parents=True, exist_ok=True)
    _write(saved / JOURNAL, {**to, "values": checksums}, journal, is_handed_over=True)


def _checked(folder: Path) -> tuple[Journal, dict[str, str]]:
    """Return the journal of a checkpoint, and the checksums of its values, which agree."""
    journal, _, checksums = read_journal(folder / JOURNAL)
    with _usable(folder):
        FolderStore(folder / VALUES, checksums).check()
        check_replies(folder / REPLIES)
    return journal, checksums


def run_of(folder: Path) -> dict[str, Any]:
    """Return which run the checkpoint in a folder is of; empty if there is none.

    A process that was killed while it handed over may have left what was kept alone.
    """
    files = (folder / name / JOURNAL for name in (CHECKPOINT, EXTENSION))
    file = next(filter(Path.exists, files), None)
    return {} if file is None else read_journal(file)[1]


def saved_event(folder: Path) -> int:
    """Return the event of a run folder's checkpoint; 0 if there is none, or it cannot be read."""
    path = folder / CHECKPOINT / JOURNAL
    try:
        return read_journal(path)[0].event if path.exists() else 0
    except (InputError, OSError):
        return 0


def has_saved(folder: Path) -> bool:
    """Whether a run folder has a checkpoint after the first event, or a broken one."""
    path = folder / CHECKPOINT / JOURNAL
    try:
        return path.exists() and read_journal(path)[0].event > 0
    except InputError:
        return True


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Raise InputError for a file of a checkpoint that is broken or missing."""
    try:
        yield
    except ValueError as error:
        raise helped(error, how_to_restart(folder)) from None


def read_journal(path: Path) -> tuple[Journal, dict[str, Any], dict[str, str]]:
    """Return the journal in a file, all keys of it, and the checksums of the values by key.

    Raises InputError if it is broken.
    """
    try:
        state = read_object(path)
        journal = Journal.of(state)
        about = {key: state[key] for key in ABOUT}
        if state["checksum_of_these"] != json_digest(about):
            raise ValueError("has changed since it was written")
        values = state["values"]
        if not isinstance(values, dict) or not all(map(_is_checksum, values.items())):
            raise ValueError("its values have no checksums")
        return journal, state, values
    except KeyError as error:
        raise InputError.of_file(
            path,
            Code.BROKEN_FILE,
            "is broken (no {why})",
            how_to_restart(path.parent),
            why=str(error),
        ) from None
    except ValueError as error:
        why = sentence(statement_of(error))
        raise InputError.of_file(
            path,
            Code.BROKEN_FILE,
            "is broken ({why})",
            how_to_restart(path.parent),
            why=why,
        ) from None


def _is_checksum(item: tuple[str, Any]) -> bool:
    """Whether a key is the name of a file in its folder, and has a text beside it."""
    return KEY.fullmatch(item[0]) is not None and isinstance(item[1], str)


def how_to_restart(folder: Path) -> str:
    """Return what to do where the journal in ``folder`` cannot be used."""
    return f"remove {folder} and --resume begins anew"
