"""What left the tensors, in order: replayed when a run is resumed, so that nothing is redone.

Resuming means to run generators and network again from the start. Measurements and evaluations are
answered from the journal, tensors are fetched by key when they are first needed, and the rolling
digest of the trace must agree where the interrupted run was saved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.trace.digest import json_digest

FORMAT = 3
"""Number of the form below, so that a journal of another one is known."""
PARTS = ("event", "time_s", "digest", "entries", "saved_with")
"""What a journal says, in this order, beside its format and its checksum."""


@dataclass
class Journal:
    """JSON values with their simulated time by actor and count, and where the run was saved.

    ``saved_with`` are the versions, and what else may change a bit, where that was done.
    """

    entries: dict[str, tuple[float, Any]] = field(default_factory=dict)
    event: int = 0
    time_s: float = 0.0
    digest: str = ""
    saved_with: Mapping[str, str] = field(default_factory=dict)
    _asked: Counter[str] = field(default_factory=Counter)

    def answer(self, actor: str, name: str, time_s: float, compute: Callable[[], Any]) -> Any:
        """Return the next value of ``actor``: from the journal, else computed and written down."""
        self._asked[actor] += 1
        key = f"{actor}#{self._asked[actor]} {name}"
        if key not in self.entries:
            # Through JSON at once, so that a first run and a replay see the same value.
            self.entries[key] = float(time_s), json.loads(json.dumps(compute()))
        return self.entries[key][1]

    def differs(self, event: int, digest: Callable[[], str]) -> bool:
        """Whether the replay by an event is not the run that was saved at this event.

        ``digest`` returns that of the trace by now.
        """
        return event == self.event and bool(self.digest) and digest() != self.digest

    def said(self) -> dict[str, Any]:
        """Return the journal as JSON, with a checksum of what it says."""
        said = {name: getattr(self, name) for name in PARTS}
        return {"format": FORMAT, **said, "checksum": checksum(said)}

    @classmethod
    def of(cls, said: Any) -> Journal:
        """Return the journal that ``said`` is; raise ValueError for what is none."""
        try:
            if said["format"] != FORMAT:
                raise ValueError(f"has format {said['format']}, not {FORMAT}")
            if said["checksum"] != checksum(said):
                raise ValueError("has changed since it was written")
            entries = {key: (float(when), value) for key, (when, value) in said["entries"].items()}
            return cls(
                entries,
                int(said["event"]),
                float(said["time_s"]),
                str(said["digest"]),
                {name: str(one) for name, one in said["saved_with"].items()},
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"is no journal ({type(error).__name__}: {error})") from None


def checksum(said: Mapping[str, Any]) -> str:
    """Return a digest of what a journal says, to find out whether it has changed."""
    return json_digest({name: said[name] for name in PARTS if name in said})
