"""What left the tensors, in order: replayed when a run is resumed, so that nothing is redone.

Resuming means to run generators and network again from the start. Measurements and evaluations are
answered from the journal, tensors are fetched by key when they are first needed, and the rolling
digest of the trace must agree where the interrupted run was saved.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learning.store import FolderStore
from learning.values import Values
from sim.errors import InputError, SimulationError
from sim.file_trouble import naming
from sim.trace import Trace

CHECKPOINT = "checkpoint"


@dataclass
class Journal:
    """JSON values by actor and count, and where the run that wrote them was saved."""

    entries: dict[str, Any] = field(default_factory=dict)
    event: int = 0
    digest: str = ""
    _asked: Counter[str] = field(default_factory=Counter)

    def answer(self, actor: str, name: str, compute: Callable[[], Any]) -> Any:
        """Return the next value of ``actor``: from the journal, else computed and written down."""
        self._asked[actor] += 1
        key = f"{actor}#{self._asked[actor]} {name}"
        if key not in self.entries:
            # Through JSON at once, so that a first run and a replay see the same value.
            self.entries[key] = json.loads(json.dumps(compute()))
        return self.entries[key]

    def check_replay(self, event: int, trace: Trace) -> None:
        """Raise SimulationError if the replay is not the run that was saved at this event."""
        if event == self.event and self.digest and trace.digest() != self.digest:
            raise SimulationError(
                f"the replay differs from the saved run at event {event}: it was saved with other "
                "versions or another scenario; start anew without --resume"
            )


class Checkpoint:
    """The resumable state of a run in ``folder``: its journal, and live tensors by key."""

    def __init__(self, folder: Path, identity: str, every_s: float = 10.0) -> None:
        self._file = folder / CHECKPOINT / "journal.json"
        self._store = FolderStore(folder / CHECKPOINT / "values")
        self._identity = identity
        self._every_s = every_s
        self._saved_at = time.monotonic()

    def load(self, values: Values) -> Journal:
        """Return the saved journal (an empty one if there is none) and serve tensors by key."""
        values.store = self._store
        if not self._file.exists():
            return Journal()
        try:
            saved = json.loads(self._file.read_text(encoding="utf-8"))
            journal = Journal(saved["entries"], saved["event"], saved["digest"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self._file}: is broken; start anew in another folder") from None
        if saved.get("identity") != self._identity:
            raise InputError(
                f"{self._file.parent.parent}: holds a run of another scenario; name another folder"
            )
        return journal

    def save_if_due(self, event: int, journal: Journal, trace: Trace, values: Values) -> bool:
        """Save when the last time is longer ago than the interval; return whether it was."""
        due = time.monotonic() - self._saved_at >= self._every_s
        return due and self.save(event, journal, trace, values)

    def save(self, event: int, journal: Journal, trace: Trace, values: Values) -> bool:
        """Save at an event boundary: tensors first, then the journal that refers to them.

        Returns whether it has: while a run is still replayed, what is saved is further on.
        """
        if event < journal.event:
            return False
        self._file.parent.mkdir(parents=True, exist_ok=True)
        live = values.live()
        for handle in live.values():
            self._store.save(handle)
        state = {
            "identity": self._identity,
            "event": event,
            "digest": trace.digest(),
            "entries": journal.entries,
        }
        write_text(self._file, json.dumps(state))
        self._store.keep_only(live)
        self._saved_at = time.monotonic()
        return True

    def remove(self) -> None:
        """Delete the checkpoint: the run is complete."""
        shutil.rmtree(self._file.parent, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``path`` at once: temporary file, fsync, rename."""
    part = path.with_name(f".{path.name}.part")
    with naming(path):
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
