"""Claims on the points of a sweep: files by which any number of processes share them out.

``claims/DIGEST.N`` is the N-th claim on a point, and the highest N holds. It is made by a hard
link, which is atomic on local disks and on NFS: of those who want it one gets it. Nobody removes or
overwrites the claim of another. Its owner writes it anew as a heartbeat. Who waits regards an
owner as dead when that has not changed for LEASE_S by the own clock; clocks are never compared. An
owner of this very system is dead as soon as its process is gone. A claim has a checksum: one that
was changed by anybody else is ignored, and the run folder of its point says how that has ended.

An owner that was stopped for longer than a lease finds the next claim, and drops what it has done.
It works in a folder of its own, ``points/.DIGEST.N``; a point is complete by one rename to
``points/DIGEST``, which only the first can do. No lock is used: on NFS it holds nobody off.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from learning.files import read_object
from sim.execution.checkpoint import saved_event
from sim.execution.folder import POINTS
from sim.files import naming
from sim.sweep.point import PointOutcome
from sim.sweep.rows import check_outcome
from sim.trace.digest import json_digest

CLAIMS = "claims"
"""Folder of the claims in that of a sweep."""
LEASE_S = 60.0
"""Seconds without a sign of life after which an owner counts as dead; NFS may show it 60 s late."""
BEAT_S = 2.0
"""Seconds between two signs of life."""
RUNNING, RELEASED, ENDED = "running", "released", "ended"
TYPES = {
    "state": str,
    "owner": dict,
    "deaths": int,
    "saved_event": int,
    "beat": int,
    "share": float,
}
"""What the file of a claim says, with its types, beside its outcome and its checksum."""


@dataclass(frozen=True)
class Claim:
    """A claim: whose it is, what has become of it, and how many owners have died of its point.

    ``deaths`` counts those that died since the checkpoint at ``saved_event``, which its owner began
    from (0: none). ``share`` is what its owner has done of a point that runs, as far as that is
    known. One that ``is_damaged`` says nothing else.
    """

    digest: str
    number: int
    state: str
    owner: Mapping[str, Any]
    deaths: int = 0
    saved_event: int = 0
    beat: int = 0
    share: float = 0.0
    outcome: PointOutcome | None = None
    is_damaged: bool = False

    @classmethod
    def from_json(cls, digest: str, number: int, said: Mapping[str, Any]) -> Claim:
        """Return the claim that a file says; raise ValueError if it is not as its owner wrote it.

        One with a matching checksum may still be anybody's: types are checked as well.
        """
        values = dict(said)
        is_whole = values.pop("checksum", None) == json_digest({**values, "checksum": None})
        outcome = values.pop("outcome", None)
        types = {key: type(value) for key, value in values.items()}
        if not is_whole or types != TYPES or values["state"] not in (RUNNING, RELEASED, ENDED):
            raise ValueError("is not as its owner wrote it")
        if (outcome is not None) != (values["state"] == ENDED):
            raise ValueError("has an outcome before its end, or none after it")
        ended = None if outcome is None else check_outcome(outcome, digest)
        return cls(digest, number, outcome=ended, **values)

    @property
    def is_of_the_dead(self) -> bool:
        """Whether its owner was a process of this very system, and is gone."""
        here = _system()
        is_here = bool(here["boot"]) and all(self.owner.get(key) == here[key] for key in here)
        return is_here and _began(self.owner.get("pid")) != self.owner.get("began")

    def said(self) -> dict[str, Any]:
        """Return what its file says."""
        said = asdict(self)
        for key in ("digest", "number", "is_damaged"):
            del said[key]
        return {**said, "checksum": json_digest({**said, "checksum": None})}


@cache
def _system() -> dict[str, str]:
    """Return what names this system: processes of another one cannot be looked for here."""
    found = {"host": socket.gethostname(), "boot": "", "space": ""}
    with suppress(OSError):
        found["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        found["space"] = os.readlink("/proc/self/ns/pid")  # containers number processes anew
    return found


def _began(pid: object) -> str | None:
    """Return when a process of this system began, as its clock ticks; None if it is gone."""
    if type(pid) is not int:
        return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]


@dataclass
class Claims:
    """The claims of all processes on the points of the sweep in a folder, as this one sees them."""

    place: Path
    _seen: dict[str, tuple[int, int, float, float]] = field(default_factory=dict)
    _ended: dict[str, Claim] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.place / CLAIMS

    def look(self) -> dict[str, Claim]:
        """Return the claim that holds on each point that has one; each that ended is read once."""
        latest: dict[str, int] = {}
        with suppress(FileNotFoundError):
            for name in os.listdir(self.folder):
                digest, _, end = name.rpartition(".")
                if digest and not digest.startswith(".") and end.isdecimal():
                    latest[digest] = max(int(end), latest.get(digest, 0))
        found = {}
        for digest, number in latest.items():
            known = self._ended.get(digest)
            if known is None or known.number != number:
                known = self._read(digest, number)
                if known.state == ENDED:
                    self._ended[digest] = known
            found[digest] = known
        return found

    def _read(self, digest: str, number: int) -> Claim:
        try:
            said = read_object(self.path(digest, number))
        except (OSError, ValueError):
            return Claim(digest, number, RUNNING, {})  # half of one: its lease will tell
        try:
            return Claim.from_json(digest, number, said)
        except ValueError:
            return Claim(digest, number, RELEASED, {}, is_damaged=True)

    def path(self, digest: str, number: int) -> Path:
        """Return the file of a claim."""
        return self.folder / f"{digest}.{number}"

    def is_dead(self, claim: Claim) -> bool:
        """Whether the owner of a claim is gone, or has given no sign of life for a lease."""
        if claim.is_of_the_dead:
            return True
        now = time.monotonic()
        number, beat, since, looked = self._seen.get(claim.digest, (0, 0, now, now))
        # Who looks may have been stopped, and all others with it: that time was nobody's silence.
        if (number, beat) != (claim.number, claim.beat) or now - looked > LEASE_S / 2:
            since = now
        self._seen[claim.digest] = claim.number, claim.beat, since, now
        return now - since > LEASE_S

    def take(
        self,
        digest: str,
        number: int,
        *,
        state: str = RUNNING,
        deaths: int = 0,
        saved_event: int = 0,
        outcome: PointOutcome | None = None,
    ) -> Claim | None:
        """Make the next claim on a point; None if another process was faster."""
        owner = {**_system(), "pid": os.getpid(), "began": _began(os.getpid())}
        claim = Claim(digest, number, state, owner, deaths, saved_event, outcome=outcome)
        return claim if link_new(self.path(digest, number), json.dumps(claim.said())) else None

    def is_lost(self, claim: Claim) -> bool:
        """Whether another process has the next claim on a point of one's own."""
        return self.path(claim.digest, claim.number + 1).exists()

    @contextmanager
    def renewed(
        self, claim: Claim, share: Callable[[], float] = float
    ) -> Iterator[threading.Event]:
        """Write heartbeats while this is entered; yield what is set once the claim is lost.

        ``share`` returns what is done of the point. A heartbeat that cannot be written leaves the
        run alone, and is tried again after BEAT_S.
        """
        lost, over = threading.Event(), threading.Event()

        def beat() -> None:
            for number in count(1):
                with suppress(OSError):
                    self._put(replace(claim, beat=number, share=float(share())))
                if over.wait(BEAT_S):
                    return
                with suppress(OSError):
                    if self.is_lost(claim):
                        lost.set()
                    for other in self.look().values():  # for how long others have been still
                        if other.state == RUNNING and other.digest != claim.digest:
                            self.is_dead(other)

        beating = threading.Thread(target=beat, daemon=True)
        beating.start()
        try:
            yield lost
        finally:
            over.set()
            beating.join()

    def release(self, claim: Claim) -> None:
        """Let others go on with a point of one's own at once."""
        self._put(replace(claim, state=RELEASED))

    def end(self, claim: Claim, outcome: PointOutcome) -> None:
        """Say how a point of one's own has ended."""
        self._put(replace(claim, state=ENDED, outcome=outcome))

    def _put(self, claim: Claim) -> None:
        path = self.path(claim.digest, claim.number)
        part = path.with_name(f".{path.name}.part")
        with naming(path):
            part.write_text(json.dumps(claim.said()), encoding="utf-8")
        part.replace(path)

    def scratch(self, claim: Claim) -> Path:
        """Return the folder in which the owner of a claim works."""
        return self.place / POINTS / f".{claim.digest}.{claim.number}"

    def _scratches(self, digest: str) -> list[tuple[int, Path]]:
        """Return the folders in which owners of a point have worked, by claim, the last one first.

        A claim may have any number: folders are listed, and not looked for one by one.
        """
        folder = self.place / POINTS
        head = f".{digest}."
        numbers = (name.removeprefix(head) for name in os.listdir(folder) if name.startswith(head))
        known = sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)
        return [(number, folder / f"{head}{number}") for number in known]

    def deaths(self, before: Claim) -> tuple[int, int]:
        """Return how many owners of a point have died since its last checkpoint, and its event.

        ``before`` is the last claim on the point, whose owner is gone.
        """
        event = max((saved_event(left) for _, left in self._scratches(before.digest)), default=0)
        died_before = 0 if event > before.saved_event else before.deaths
        return died_before + (before.state == RUNNING), event

    def inherit(self, claim: Claim) -> None:
        """Take over what is there of a point: a run that failed, or what an owner has saved.

        The folder of an owner that may go on is left to it, and its checkpoint is copied.
        """
        mine = self.scratch(claim)
        ready = self.place / POINTS / claim.digest
        if ready.is_dir():
            ready.rename(mine)
            return
        for number, left in self._scratches(claim.digest):
            if number >= claim.number or not left.is_dir():
                continue
            before = self._read(claim.digest, number)
            with suppress(OSError):
                if before.state != RUNNING or before.is_of_the_dead:
                    left.rename(mine)
                else:
                    shutil.copytree(left / "checkpoint", mine / "checkpoint")
            return

    def publish(self, claim: Claim) -> bool:
        """Make what was done that of the point; False if another process was first."""
        scratch, ready = self.scratch(claim), self.place / POINTS / claim.digest
        try:
            if scratch.is_dir():
                scratch.rename(ready)
        except OSError:
            if not ready.is_dir():
                raise  # of the disk: what was done is still there
            self.drop(claim)
            return False
        # What earlier owners have left; one that was stopped, and goes on, finds nothing there.
        for number, left in self._scratches(claim.digest):
            if number < claim.number:
                shutil.rmtree(left, ignore_errors=True)
        return True

    def drop(self, claim: Claim) -> None:
        """Remove what was done under a claim."""
        shutil.rmtree(self.scratch(claim), ignore_errors=True)


NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What the system says of a hard link where the file system has none, as on some shared folders."""


def link_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet, whole or not at all; False if it is there.

    Where there are no hard links it may be seen before it is whole.
    """
    # A name by host and process would not do: containers may agree in both.
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with naming(path):
            part.write_text(text, encoding="utf-8")
        os.link(part, path)
    except FileExistsError:
        # Of NFS the answer to a link that was made may be lost, and the second try then fails.
        return part.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
    finally:
        with suppress(OSError):  # it could not be written
            part.unlink()
    return True
