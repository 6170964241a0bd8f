"""The sweep folder: claimed for one sweep, and read; `sweep.parquet` has one row per point."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

import scenarios
from learning.files import read_object
from learning.own.code import changed_modules
from sim.analysis.notebook import framed
from sim.analysis.numeric import ROWS
from sim.engine.learning_task import learner_of
from sim.errors import InputError
from sim.execution.folder import POINTS, SWEEP, check_version, is_sweep, read_manifest
from sim.execution.identity import changed_code, made_by_code
from sim.execution.versions import changes, versions
from sim.facts.status import COMPLETE, MISSING, how_complete
from sim.files import check_out, check_within, from_here, written
from sim.formatting import as_yaml, counted
from sim.sweep.claims import CLAIMS, Claims, link_new
from sim.sweep.point import Point, PointOutcome
from sim.sweep.rows import (
    outcome_in,
    outcomes_of,
    rows_table,
    sweep_sha256,
)
from sim.trace.parquet import described, read_groups
from sim.world.world import World
from statements import Code, Other

if TYPE_CHECKING:
    import pandas as pd

RESUME = "go on with it by leomix sweep --resume"
"""What helps where rows are missing or broken: they are written anew, and no point is run again."""
LOG = "workers.log"
"""What runs have printed, in the sweep's folder."""
SCHEMA = "1"


@dataclass(frozen=True)
class Sweep:
    """A sweep as its folder says it: ``about`` is what was asked for, ``rows`` what came out.

    In a notebook it shows itself as the page of the report.
    """

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
    def finished(self) -> list[Path]:
        """The run folders of the complete points, each once, in the order of the points."""
        status = self.rows["status"].to_pylist()
        pairs = zip(self.folders, status, strict=True)
        return list(dict.fromkeys(folder for folder, ended in pairs if ended == COMPLETE))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metrics of all complete points in one pandas table, in the order of the points.

        A row is one of a run's ``metrics``; before its columns it has the swept keys, ``seed`` and
        ``replication`` of its point. Of network studies it has no rows.
        """
        import pandas as pd

        from sim.execution.result import load

        keys = [*dict.fromkeys((*self.keys, "seed", "replication"))]
        tables = []
        for row, folder in zip(self.rows.to_pylist(), self.folders, strict=True):
            if row["status"] == COMPLETE:
                metrics = load(folder).metrics
                told = pd.DataFrame({key: [row[key]] * len(metrics) for key in keys})
                tables.append(pd.concat([told, metrics.reset_index(drop=True)], axis=1))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=keys)

    @property
    def sha256(self) -> str:
        """Digest of all columns that do not depend on the machine."""
        return sweep_sha256(self.rows)

    def _repr_html_(self) -> str | None:
        """Return the page of the report in a frame."""
        return framed(f"Sweep {self.folder.name}", self)


def read_sweep(folder: str | Path) -> Sweep:
    """Return the sweep in a folder, with the rows of all points that have ended by now.

    Raises InputError if there is none, or none of its points has ended.
    """
    place = Path(folder)
    about = read_about(place)
    if about is None:
        raise InputError.of_file(place, Code.NO_FILE, f"no folder of a sweep (it has no {SWEEP})")
    points = about["points"]
    rows = _read_rows(place, len(points))
    known = set() if rows is None else _ended(rows)
    newer = _ended_since(place, {str(point.get("digest")) for point in points} - known)
    is_short = rows is not None and len(rows) < len(points)
    if newer or is_short:  # rows are written seldom, and before the points of an extended sweep
        before = {} if rows is None else outcomes_of(rows)
        rows = rows_table([Point(**point) for point in points], before | newer)
    if rows is None:
        raise InputError.of_file(
            place,
            Code.NO_FILE,
            "none of the sweep's points has ended yet",
            Other(said=f"wait for the first; if its process was killed, {RESUME}"),
        )
    return Sweep(place, about, rows)


def _read_rows(place: Path, most: int) -> pa.Table | None:
    """Return the rows that were written last; None where none were yet."""
    path = place / ROWS
    if not path.exists():
        return None
    count = described(path, RESUME)[0]
    if not 0 < count <= most:
        many = "more rows than points" if count else "no rows"
        raise InputError.of_file(
            path, Code.BROKEN_FILE, "has {many}", Other(said=RESUME), many=many
        )
    return pa.concat_tables(read_groups(path, RESUME))


def _ended(rows: pa.Table) -> set[str]:
    """Return the digests of the points that have ended by their rows."""
    pairs = zip(rows["digest"].to_pylist(), rows["status"].to_pylist(), strict=True)
    return {digest for digest, status in pairs if status != MISSING}


def _ended_since(place: Path, digests: Iterable[str]) -> dict[str, PointOutcome]:
    """Return how those of some points have ended that have a folder.

    A claim says it in a hundredth of the time that it takes to open the run in the folder, which is
    done only where no claim says that it is complete.
    """
    folders = place / POINTS
    begun = set(os.listdir(folders)) if folders.is_dir() else set()
    ended: dict[str, PointOutcome] = {}
    newer = sorted(begun.intersection(digests))
    claims = Claims(place).look() if newer else {}
    for digest in newer:
        outcome = claims[digest].outcome if digest in claims else None
        if outcome is None or outcome.status != COMPLETE:
            outcome = outcome_in(folders / digest, digest)
        if outcome is not None:
            ended[digest] = outcome
    return ended


def points_missing(folders: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each sweep that lacks points."""
    for place in filter(is_sweep, folders):
        if lacking := how_complete(read_sweep(place).rows.column("status").to_pylist()):
            yield f"{place}: {lacking}"


def run_folders(places: Iterable[Path]) -> list[Path]:
    """Return folders of runs, where those of sweeps stand for their complete points.

    Raises InputError for a sweep without rows, or without a complete point.
    """
    found: list[Path] = []
    for place in places:
        if not is_sweep(place):
            found.append(place)
            continue
        finished = read_sweep(place).finished
        if not finished:
            raise InputError.of_file(
                place,
                Code.NOT_RECORDED,
                "none of the sweep's points is complete",
                Other(said=RESUME),
            )
        found += finished
    return list(dict.fromkeys(found))


def read_about(place: Path) -> dict[str, Any] | None:
    """Return what the folder's sweep is about, None if there is no sweep; InputError if broken."""
    path = place / SWEEP
    if not path.is_file():
        return None
    try:
        about = read_object(path)
    except ValueError:
        raise InputError.of_file(
            path, Code.BROKEN_FILE, "is broken", Other(said="sweep in another folder")
        ) from None
    check_version(path, about.get("made_with"))
    for name, kind in (("keys", str), ("points", dict)):
        rows = about.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, kind) for row in rows):
            raise InputError.of_file(
                path,
                Code.BROKEN_FILE,
                "says nothing of a sweep",
                Other(said="sweep in another folder"),
            )
    if not about["points"]:
        raise InputError.of_file(
            path, Code.BROKEN_FILE, "has no points", Other(said="sweep in another folder")
        )
    return about


class There(Enum):
    """What a folder holds of a sweep."""

    NOTHING = "nothing"
    ALL = "all"
    PART = "part"
    """A sweep of fewer points, which this one extends."""


def check_claim(place: Path, about: Mapping[str, Any], *, resume: bool) -> There:
    """Return what ``place`` holds of this sweep; raise InputError if it holds anything else."""
    check_out(place)
    runs = (place / POINTS / str(point["digest"]) for point in about["points"])
    for path in (place / POINTS, place / CLAIMS, place / LOG, *place.glob(".*"), *runs):
        check_within(place, path)
    there = read_about(place) if place.is_dir() else None
    if there is None:
        if place.is_dir() and any(not path.name.startswith(".") for path in place.iterdir()):
            raise InputError.of_option(
                f"-o {from_here(place)}",
                Code.WRONG_FILE,
                "is not empty, and holds no sweep",
                Other(said="name another folder"),
            )
        return There.NOTHING
    known = _by_name(there)
    asked = _by_name(about)
    if other := next((point for name, point in known.items() if name not in asked), None):
        values = {**(other.get("values") or {}), "seed": other.get("seed")}
        said = ", ".join(f"{key}={as_yaml(value)}" for key, value in values.items())
        raise InputError.of_option(
            f"-o {from_here(place)}",
            Code.WRONG_FILE,
            "holds another sweep, or its scenario has changed: {said} is not among these points",
            Other(said="name another folder"),
            said=said,
        )
    holds = There.ALL if _digests(there) == _digests(about) else There.PART
    if not resume:
        is_this = known.keys() == asked.keys()  # whatever its code says by now
        is_all = is_this or holds is There.ALL
        raise InputError.of_option(
            f"-o {from_here(place)}",
            Code.WRONG_FILE,
            "holds this sweep already" if is_all else "holds {known} of these {asked} points",
            Other(said=f"{'go on with it' if is_all else 'extend that sweep'} by --resume"),
            known=len(known),
            asked=len(asked),
        )
    return holds


def _by_name(about: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the points of a sweep, wherever its scenario lies, and whatever its code says."""

    def name(point: Mapping[str, Any]) -> str:
        digest = point.get("besides_code") or point.get("digest")
        return json.dumps([digest, point.get("values"), point.get("replication")])

    return {name(point): point for point in about["points"]}


def _digests(about: Mapping[str, Any]) -> list[Any]:
    return [[p.get("digest"), p.get("values"), p.get("replication")] for p in about["points"]]


SHARED_S = 60.0
"""Seconds until a file that is there is seen on all machines."""


def await_sweep(place: Path) -> None:
    """Wait for the sweep that another process has begun in a folder, as far as that is seen."""
    until = time.monotonic() + SHARED_S
    while not (place / SWEEP).exists() and time.monotonic() < until:
        if not any((place / name).exists() for name in (POINTS, CLAIMS)):
            return
        time.sleep(0.5)


def claim(place: Path, about: Mapping[str, Any], *, there: There) -> bool:
    """Make ``place`` the folder of this sweep; False if another process was faster with a new one.

    If there are more points now, or code of one's own has changed, the rest of the sweep is what
    it was: processes that work on it read what it is anew.
    """
    place.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about, indent=1)
    if there is There.NOTHING and not link_new(place / SWEEP, text):
        return False
    if there is There.PART:
        with written(place / SWEEP, uuid4().hex) as path:
            path.write_text(text, encoding="utf-8")
    for name in (POINTS, CLAIMS):
        (place / name).mkdir(exist_ok=True)
    return True


def take_points(place: Path, about: Mapping[str, Any], source: Path) -> int:
    """Copy the complete points of another folder that this sweep lacks; return how many there were.

    Raises InputError where that is no folder of a sweep, has no point of this one, or was run with
    other versions.
    """
    option = f"--merge {from_here(source)}"
    there = read_about(source) if source.is_dir() else None
    if there is None:
        raise InputError.of_option(
            option, Code.NO_FILE, f"no folder of a sweep (it has no {SWEEP})"
        )
    common = {str(one["digest"]) for one in there["points"]} & {
        str(one["digest"]) for one in about["points"]
    }
    if not common:
        raise InputError.of_option(
            option,
            Code.WRONG_FILE,
            "holds no point of this sweep: its scenario, or its values, are others",
            Other(said=f"compare it alone: leomix compare {from_here(source)}"),
        )
    check_same_versions(source, option)
    taken = 0
    for digest in sorted(common):
        ready, target = source / POINTS / digest, place / POINTS / digest
        found = outcome_in(ready, digest) if ready.is_dir() else None
        if found is None or found.status != COMPLETE or target.exists():
            continue
        copy = target.with_name(f".{digest}.merged-{uuid4().hex}")
        shutil.copytree(ready, copy, ignore=_links)
        copy.rename(target)
        taken += 1
    return taken


def _links(folder: str, names: Sequence[str]) -> set[str]:
    """Return the links in a folder: what they lead to is not the point's."""
    return {name for name in names if os.path.islink(os.path.join(folder, name))}


def check_same_versions(place: Path, option: str = "") -> None:
    """Raise InputError where the points of a sweep were run with other versions than are here."""
    before = (read_about(place) or {}).get("made_with", {})
    now = versions()
    if changed := changes(before, now if before else {}):
        raise InputError.of_option(
            option or f"-o {from_here(place)}",
            Code.OTHER_VERSIONS,
            "was begun with other versions, and its points would not be comparable: {changed}",
            Other(said="put those back, or sweep into another folder"),
            changed=", ".join(changed),
        )


def give_up_if_unused(place: Path) -> None:
    """Take a claim back if no point has left anything in the folder."""
    with suppress(OSError):  # a point that has left something, too
        (place / POINTS).rmdir()
        shutil.rmtree(place / CLAIMS, ignore_errors=True)
        for name in (ROWS, SWEEP):
            (place / name).unlink(missing_ok=True)


def remove_empty_log(place: Path) -> None:
    """Remove the log of runs if nothing is in it."""
    with suppress(OSError):
        if not (place / LOG).stat().st_size:
            (place / LOG).unlink()


def is_of_other_code(point: Point, run: Path) -> bool:
    """Whether custom code that no scenario names, or what code makes, has changed since a run."""
    manifest = read_manifest(run) if point.code else {}
    own, made = manifest.get("own_modules", {}), manifest.get("made_by_code", {})
    if own and changed_modules(point.code, own):
        return True
    if not made:
        return False
    try:
        learner = learner_of(World(scenarios.load(point.scenario, point.overrides)))
        return learner.trains and made_by_code(learner) != made
    except ValueError:  # it is refused when it runs
        return True


def changed_since(place: Path, about: Mapping[str, Any]) -> str:
    """Say what has changed in the code of the sweep in a folder; nothing where nothing has."""
    there = read_about(place) if place.is_dir() else None
    if there is None:
        return ""
    now = _by_name(about)
    pairs = [
        (before.get("code", {}), now[name]["code"])
        for name, before in _by_name(there).items()
        if before.get("digest") != now[name]["digest"]
    ]
    if not pairs:
        return ""
    names = sorted({name for before, after in pairs for name in changed_code(before, after)})
    points = counted(len(pairs), "point")
    return f"{', '.join(names)} changed since this sweep was last run: {points} to run again"


def write_rows(place: Path, rows: pa.Table) -> None:
    """Write ``sweep.parquet``."""
    named = rows.replace_schema_metadata({"leomix_schema": SCHEMA})
    with written(place / ROWS, uuid4().hex) as path:
        pq.write_table(named, path, compression="zstd")
