"""What a run is resumed from: its journal, and the tensors that are still in use, by key."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from learning.files import read_object
from learning.values.lazy import Values
from learning.values.replies import check_replies
from learning.values.store import FolderStore
from sim.engine.journal import Journal
from sim.errors import InputError, helped
from sim.execution.versions import changes, listed, versions
from sim.files import write_text
from sim.trace.digest import json_digest
from statements import Code, Other, sentence, statement_of

CHECKPOINT = "checkpoint"
JOURNAL = "journal.json"
VALUES = "values"
REPLIES = "replies"
KEY = re.compile("[0-9a-f]+")
"""Names of values: anything else could lead out of their folder."""


class Checkpoint:
    """The resumable state of a run in ``folder``, saved every so many seconds.

    A method that learns by itself keeps its results in the folder ``replies`` as they are made.

    Of runs that go on by turns in one process each one saves the more seldom: all together they
    save as often as one run does, and lose as much of the process's time if it is killed.

    The journal on the disk refers only to values that exist: they are written before it, and
    removed after the next journal. A folder with a checkpoint belongs to a run that continues, or
    was interrupted. One that ``is_resumed`` was there before.
    """

    def __init__(self, folder: Path, identity: str, every_s: float = 10.0) -> None:
        self.folder = folder / CHECKPOINT
        self._file = self.folder / JOURNAL
        self._store = FolderStore(self.folder / VALUES)
        self.replies = self.folder / REPLIES
        self._identity = identity
        self._every_s = every_s
        self._saved_at = time.monotonic()
        self.is_resumed = False

    def load(self, values: Values, known: Journal, others: Path | None = None) -> Journal:
        """Return the saved journal and serve tensors by key.

        If there is none, the journal is what is ``known``, with copies of the tensors in the
        checkpoint ``others``. Raises InputError for a journal that is broken, or of another run,
        and for any other file that has changed since it was saved.
        """
        if not self._file.exists():
            values.store = self._store
            if others is not None and (others / JOURNAL).exists():
                _, _, checksums = read_journal(others / JOURNAL)
                with _usable(others):
                    self._store.take(FolderStore(others / VALUES, checksums))
            return known
        journal, state, checksums = read_journal(self._file)
        values.store = self._store = FolderStore(self.folder / VALUES, checksums)
        with _usable(self.folder):
            self._store.check()
            check_replies(self.replies)
        if state.get("identity") != self._identity:
            noted = {name: one for name, one in versions().items() if name in journal.saved_with}
            changed = changes({name: journal.saved_with[name] for name in noted}, noted)
            raise InputError.of_file(
                self.folder.parent,
                Code.WRONG_FILE,
                "holds a run of another scenario, of other data or code of "
                f"your own, or of other versions{listed(changed)}",
                Other(said="name another folder"),
            )
        self.is_resumed = True
        return journal

    def begin(self, journal: Journal) -> None:
        """Mark the folder as that of this run, unless it is marked already."""
        if not self._file.exists():
            self._store.sync()
            self._write(journal, self._store.checksums)

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
        about = {"identity": self._identity, "values": checksums}
        state = {**about, "checksum_of_these": json_digest(about), **journal.said()}
        write_text(self._file, json.dumps(state))


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

    Raises InputError if it is broken. The journal of a complete run has no values.
    """
    try:
        state = read_object(path)
        journal = Journal.of(state)
        if path.parent.name != CHECKPOINT:
            return journal, state, {}
        about = {key: state[key] for key in ("identity", "values")}
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
            Other(said=how_to_restart(path.parent)),
            why=str(error),
        ) from None
    except ValueError as error:
        why = sentence(statement_of(error))
        raise InputError.of_file(
            path,
            Code.BROKEN_FILE,
            "is broken ({why})",
            Other(said=how_to_restart(path.parent)),
            why=why,
        ) from None


def _is_checksum(item: tuple[str, Any]) -> bool:
    """Whether a key is the name of a file in its folder, and has a text beside it."""
    return KEY.fullmatch(item[0]) is not None and isinstance(item[1], str)


def how_to_restart(folder: Path) -> str:
    """Return what to do where the journal in ``folder`` cannot be used."""
    if folder.name != CHECKPOINT:  # of a complete run
        return "the run's tables do not depend on it; to fork the run, run it anew elsewhere"
    return f"remove {folder} and --resume begins anew"
