"""The sweep folder: claimed, locked, read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from learning.files import read_object
from sim.errors import InputError
from sim.execution.folder import POINTS, SWEEP
from sim.files import check_out, check_within, try_lock, written
from sim.sweep.engine import Point
from sim.sweep.rows import sweep_sha256
from sim.trace.tables import described, read_groups

LOG = "workers.log"
"""What runs have printed, in the sweep's folder."""


ROWS = "sweep.parquet"
SCHEMA = "1"


@dataclass(frozen=True)
class Sweep:
    """A sweep as its folder says it: ``about`` is what was asked for, ``rows`` what came out."""

    folder: Path
    about: dict[str, Any]
    rows: pa.Table

    @property
    def keys(self) -> tuple[str, ...]:
        """The swept keys, in the order in which they were given."""
        return tuple(self.about["keys"])

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The points, in the order of the rows."""
        return tuple(Point(**point) for point in self.about["points"])

    @property
    def folders(self) -> list[Path]:
        """The run folder of each row; it is there where the row's status says complete."""
        return [self.folder / name for name in self.rows.column("folder").to_pylist()]

    @property
    def sha256(self) -> str:
        """Digest of all columns that do not depend on the machine."""
        return sweep_sha256(self.rows)


def read_sweep(folder: str | Path) -> Sweep:
    """Return the sweep in a folder; raise InputError if there is none, or it has no rows yet."""
    place = Path(folder)
    about = read_about(place)
    if about is None:
        raise InputError(f"{place}: no folder of a sweep (it has no {SWEEP})")
    path = place / ROWS
    if not path.exists():
        raise InputError(f"{place}: has no {ROWS} yet; go on with it by leomix sweep --resume")
    if described(path)[0] > len(about["points"]):
        raise InputError(f"{path}: has more rows than points; sweep --resume")
    return Sweep(place, about, pa.concat_tables(read_groups(path)))


def read_about(place: Path) -> dict[str, Any] | None:
    """Return what the folder's sweep is about, None if there is no sweep; InputError if broken."""
    path = place / SWEEP
    if not path.is_file():
        return None
    try:
        about = read_object(path)
    except ValueError:
        raise InputError(f"{path}: is broken; sweep in another folder") from None
    keys, points = about.get("keys"), about.get("points")
    if (
        not isinstance(keys, list)
        or not isinstance(points, list)
        or not all(isinstance(key, str) for key in keys)
        or not all(isinstance(point, dict) for point in points)
    ):
        raise InputError(f"{path}: says nothing of a sweep; sweep in another folder")
    return about


def check_claim(place: Path, about: Mapping[str, Any], resume: bool) -> bool:
    """Return whether ``place`` holds this sweep; raise InputError if it holds anything else."""
    check_out(place)
    runs = (place / POINTS / str(point["digest"]) for point in about["points"])
    for path in (place / POINTS, place / LOG, *place.glob(".*"), *runs):
        check_within(place, path)
    there = read_about(place) if place.is_dir() else None
    if there is None:
        if place.is_dir() and any(not path.name.startswith(".") for path in place.iterdir()):
            raise InputError(f"-o {place}: is not empty, and holds no sweep; name another folder")
        return False
    if _asked(there) != _asked(about):
        raise InputError(
            f"-o {place}: holds another sweep (or its scenario has changed); name another folder"
        )
    if not resume:
        raise InputError(f"-o {place}: holds this sweep already; go on with it by --resume")
    return True


def claim(place: Path, about: Mapping[str, Any], resume: bool, part: str) -> bool:
    """Make ``place`` the folder of this sweep, and tell whether it was not before.

    Shards of a sweep write the same, each by its own temporary name, ``part``. Raises InputError if
    it is anything else's.
    """
    is_new = not check_claim(place, about, resume)
    if is_new:
        place.mkdir(parents=True, exist_ok=True)
        text = json.dumps(about, indent=1)
        with written(place / SWEEP, part) as path:
            path.write_text(text, encoding="utf-8")
    (place / POINTS).mkdir(exist_ok=True)
    return is_new


def give_up_if_unused(place: Path) -> None:
    """Take a claim back if no point has left anything in the folder."""
    with suppress(OSError):  # a point that has left something, too
        (place / POINTS).rmdir()
        for name in (ROWS, SWEEP):
            (place / name).unlink(missing_ok=True)


def _asked(about: Mapping[str, Any]) -> list[Any]:
    """Return what makes two sweeps the same: their points, wherever the scenario lies."""
    return [[p.get("digest"), p.get("values"), p.get("replication")] for p in about["points"]]


def write_rows(place: Path, rows: pa.Table, part: str) -> None:
    """Write ``sweep.parquet``."""
    named = rows.replace_schema_metadata({"leomix_schema": SCHEMA})
    with written(place / ROWS, part) as path:
        pq.write_table(named, path, compression="zstd")


def about_sweep(points: Sequence[Point], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `sweep.json` says: what was asked for, and the points that this makes."""
    keys = list(points[0].values)
    return {"schema": SCHEMA, **asked, "keys": keys, "points": [asdict(p) for p in points]}


# A sweep's folder is one supervisor's, or one's for each shard, while it and its workers live.


PATIENCE_S = 5.0
"""How long to wait for the workers of a supervisor that was killed to be gone."""


@contextmanager
def among(place: Path, parts: int) -> Iterator[None]:
    """Hold the folder together with other shards of as many ``parts``.

    Raises InputError while it is swept in another number of shards: points would be run twice.
    """
    own = place / f".of-{parts}.lock"
    descriptor = os.open(own, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try_lock(descriptor, shared=True)
        for other in sorted(place.glob(".of-*.lock")):
            if other == own:
                continue
            held = os.open(other, os.O_RDWR)
            try:
                is_free = try_lock(held)
            finally:
                os.close(held)
            if not is_free:
                number = other.name.removeprefix(".of-").removesuffix(".lock")
                raise InputError(
                    f"-o {place}: is being swept in {number} shards at this moment, not {parts}; "
                    "use as many, or wait for them"
                )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked(place: Path, part: str, patience_s: float = PATIENCE_S) -> Iterator[int]:
    """Hold the folder's lock and yield its descriptor; raise InputError if somebody else does.

    The system lets go of it when the last process that has inherited it is gone.
    """
    descriptor = os.open(place / f".{part}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        until = time.monotonic() + patience_s
        while not try_lock(descriptor):
            if time.monotonic() > until:
                raise InputError(f"-o {place}: is being swept by another process")
            time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)
