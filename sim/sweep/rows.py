"""The rows of a sweep: what is known of each point, as a table, as text and as a digest."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scenarios.parsing import shipped_table
from sim.analysis.cases import refusal_of
from sim.analysis.evaluations import TARGETS, given_targets, target_name
from sim.analysis.figures import figure_of_network
from sim.errors import InputError
from sim.execution.folder import POINTS, read_manifest
from sim.execution.result import Result, load
from sim.facts.coded import Vocabulary
from sim.facts.status import COMPLETE, FAILED, INTERRUPTED, MISSING, NOT_COMPLETE
from sim.files import packaged
from sim.sweep.point import Point, PointOutcome, labelled
from sim.trace.arrow import array, coded_text
from sim.trace.schema import FLAG, FLOAT, INT, TEXT, TYPES
from statements import Code, Statement

_FIGURES: dict[str, dict[str, str]] = shipped_table(packaged("sim.sweep", "columns.yaml"))


def _declared(part: str) -> dict[str, pa.DataType]:
    return {name: TYPES[kind] for name, kind in _FIGURES[part].items()}


DECIDED = _declared("decided")
"""Columns of what the scenario decides, with their types: see ``columns.yaml``."""
FOLLOWING = _declared("following")
"""Columns of what follows from the traces."""
MACHINE_COLUMNS = _declared("machine")
"""Columns of what depends on the machine."""

DIGESTS = {"trace_sha256": TEXT, "timing_sha256": TEXT}
LIMITS_OF_STUDIES = _declared("of_studies")
"""Columns of what limits a network study; names of several stations are joined by commas."""
OF_STUDIES = {"hours": FLOAT, **LIMITS_OF_STUDIES, **DIGESTS, "drawn": FLAG, "wall_s": FLOAT}
"""Columns of network studies beside their figures, which are those that points have found."""

TARGET_COLUMNS = {"cycles_to_": INT, "hours_to_": FLOAT}
"""How the columns begin that hold what it took to reach a target, and their types."""


def columns_to(targets: Sequence[float]) -> dict[str, pa.DataType]:
    """Return the columns of some targets, with their types."""
    return {
        f"{head}{target_name(target)}": kind
        for target in targets
        for head, kind in TARGET_COLUMNS.items()
    }


def row_figures(run: Result) -> dict[str, Any]:
    """Return the figures of one run by column; None where there is none."""
    if run.of_network:
        digests = {name: run.manifest[name] for name in DIGESTS}
        figures = {"hours": run.summary["hours"], **run.manifest["network"], **digests}
        figures["limiting_stations"] = ", ".join(figures["limiting_stations"])
        return figures | {name: run.manifest.get(name) for name in ("drawn", "wall_s")}
    known: dict[str, Any] = {**run.manifest, **run.summary}
    for target, reached in run.summary["targets"].items():
        for what in TARGET_COLUMNS:
            key = what.removesuffix("_to_")
            known[f"{what}{target}"] = None if reached is None else reached[key]
    if rounds := run.summary["rounds"]:
        known |= {f"round_{what}": value for what, value in rounds.items()}
        known |= {"rounds": rounds["count"], "planes_per_round": rounds["planes"]}
    to_targets = columns_to(given_targets(run.manifest) or TARGETS)
    names = (*to_targets, *DECIDED, *FOLLOWING, *MACHINE_COLUMNS)
    return {name: known.get(name) for name in names}


_VALUES: Mapping[pa.DataType, tuple[type, ...]] = {
    INT: (int,),
    FLOAT: (int, float),
    TEXT: (str,),
    FLAG: (bool,),
}


def check_outcome(said: Any, digest: str) -> PointOutcome:
    """Return the outcome of a point out of JSON; raise ValueError for what is none.

    Its figures fit into the columns of a row.
    """
    try:
        outcome = PointOutcome(**said)
        texts = (outcome.status, outcome.error, outcome.note, outcome.code)
        is_sound = all(isinstance(text, str) for text in texts) and _is_number(outcome.attempts)
        if not is_sound or outcome.digest != digest or outcome.status not in ENDED_AS:
            raise ValueError("is no outcome of the point")
        if outcome.said is not None:
            Statement.told(outcome.said)
        for name, value in outcome.figures.items():
            _check_figure(name, value)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"is no outcome of a point ({error})") from None
    return outcome


def _check_figure(name: str, value: Any) -> None:
    heads = (kind for head, kind in TARGET_COLUMNS.items() if name.startswith(head))
    of_study = FLOAT if figure_of_network(name) else None
    columns = {**DECIDED, **FOLLOWING, **MACHINE_COLUMNS, **LIMITS_OF_STUDIES}
    kind = columns.get(name) or of_study or next(heads, None)
    fits = kind is not None and (value is None or isinstance(value, _VALUES[kind]))
    if not fits or (isinstance(value, int) and not _is_number(value)):
        raise ValueError(f"{name} is no figure of a point, or no number")


def _is_number(value: Any) -> bool:
    """Whether a value is a whole number that a column can hold."""
    return isinstance(value, int) and abs(value) < 2**63


def outcome_in(place: Path, digest: str) -> PointOutcome | None:
    """Return how the run in a folder ended; None if it has not, or cannot be read."""
    try:
        manifest = read_manifest(place)
        if manifest["status"] == FAILED:
            error, code = (str(manifest.get(key, "")) for key in ("error", "error_code"))
            return PointOutcome(digest, FAILED, error, code=code)
        if manifest["status"] != COMPLETE:
            return None
        return PointOutcome(digest, COMPLETE, figures=row_figures(load(place)))
    except (InputError, OSError, KeyError, TypeError):
        return None


ENDED_AS = {COMPLETE, *NOT_COMPLETE} - {MISSING}
"""How a point can have ended."""


def rows_table(points: Sequence[Point], outcomes: Mapping[str, PointOutcome]) -> pa.Table:
    """Return the rows of ``points`` (one at least); ``outcomes`` by digest are what is known."""
    kinds = {key: _kind([point.values[key] for point in points]) for key in points[0].values}
    known = {name for outcome in outcomes.values() for name in outcome.figures}
    to_targets = {
        name: kind
        for head, kind in TARGET_COLUMNS.items()
        for name in known
        if name.startswith(head)
    } or columns_to(TARGETS)
    by_target = sorted(to_targets, key=lambda name: name.partition("_to_")[::-1])
    figures = {**{name: to_targets[name] for name in by_target}, **DECIDED, **FOLLOWING}
    if points[0].of_network:
        figures = _columns_of_studies(outcomes.values())
    columns = {
        "point": INT,
        "digest": TEXT,
        **{key: kind for key, kind in kinds.items() if key != "seed"},
        "replication": INT,
        "seed": INT,
        "status": TEXT,
        "error": TEXT,
        "code": TEXT,
        "said": TEXT,
        **figures,
        "folder": TEXT,
        **{name: MACHINE_COLUMNS[name] for name in _machine(points)},
    }
    rows = [_row(point, outcomes.get(point.digest), kinds) for point in points]
    return pa.table(
        {name: _column([row.get(name) for row in rows], kind) for name, kind in columns.items()}
    )


def _columns_of_studies(outcomes: Iterable[PointOutcome]) -> dict[str, pa.DataType]:
    """Return the columns of all figures that some study has, in the order in which they came."""
    found = {name: FLOAT for one in outcomes for name in one.figures if name not in OF_STUDIES}
    return {"hours": FLOAT, **found, **LIMITS_OF_STUDIES, **DIGESTS, "drawn": FLAG}


def _machine(points: Sequence[Point]) -> Iterable[str]:
    return ("wall_s", "attempts") if points[0].of_network else MACHINE_COLUMNS


def outcomes_of(rows: pa.Table) -> dict[str, PointOutcome]:
    """Return how the points in rows ended, by digest; those that are missing are left out."""
    ended = ("digest", "status", "error", "code", "said", "attempts")
    return {
        row["digest"]: PointOutcome(
            **{name: row[name] for name in ended if name in row},
            figures={name: value for name, value in row.items() if name not in ended},
        )
        for row in printed_rows(rows)
        if row["status"] != MISSING
    }


def printed_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """Return rows as ``sweep --json`` has them: what is said of a refused point is no text."""
    return [row | {"said": refusal_of(row)} for row in rows.to_pylist()]


def sweep_sha256(rows: pa.Table) -> str:
    """Return the digest of all that does not depend on the machine, nor follows from the traces."""
    left_out = {*MACHINE_COLUMNS, *FOLLOWING, "code", "said"}
    kept = rows.select([name for name in rows.column_names if name not in left_out])
    text = json.dumps([kept.column_names, *(list(row.values()) for row in kept.to_pylist())])
    return hashlib.sha256(text.encode()).hexdigest()


def _kind(values: Sequence[Any]) -> pa.DataType:
    """Whole numbers, numbers, or text for everything else; a value may be missing."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return INT
    return FLOAT if kinds and kinds <= {int, float} else TEXT


def _row(
    point: Point, outcome: PointOutcome | None, kinds: Mapping[str, pa.DataType]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "point": point.number,
        "digest": point.digest,
        "replication": point.replication,
        "seed": point.seed,
        "status": MISSING,
        "error": "",
        "code": "",
        "said": None,
        "folder": f"{POINTS}/{point.digest}",
    }
    for key, value in point.values.items():
        plain = kinds[key] != TEXT or value is None or isinstance(value, str)
        row[key] = value if plain else json.dumps(value, ensure_ascii=False)
    if outcome is not None and outcome.status != INTERRUPTED:
        row |= outcome.figures
        row |= {"status": outcome.status, "error": outcome.error, "code": outcome.code}
        row["said"] = json.dumps(outcome.said) if outcome.said else None
        row["attempts"] = outcome.attempts
    return row


def _column(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Return values, of which some may be None, as a column of Arrow."""
    if kind == TEXT:
        words = Vocabulary()
        return coded_text(words.codes(values), words.words)
    missing = np.array([value is None for value in values])
    known = [0 if value is None else value for value in values]
    return array(np.array(known, _NUMBERS.get(kind, np.float64)), missing)


_NUMBERS: Mapping[pa.DataType, type[np.generic]] = {INT: np.int64, FLAG: np.bool_}
"""Types of numpy of columns that are not of floating-point numbers."""


MOST_LINES = 20
"""Points up to which each that failed has a line of its own."""


def failures_text(rows: pa.Table, keys: Sequence[str]) -> list[str]:
    """Return a line for each point that has failed."""
    bad = [row for row in rows.to_pylist() if row["status"] not in (COMPLETE, "missing")]
    lines = [
        f"point {row['point']} ({labelled(row, keys)}, seed {row['seed']}): "
        f"{row['status']}: {row['error']}"
        for row in (bad if len(bad) == MOST_LINES + 1 else bad[:MOST_LINES])
    ]
    more = len(bad) - len(lines)
    return [*lines, f"and {more} more, see status and error of the rows"] if more else lines


def no_room(rows: pa.Table) -> bool:
    """Return whether a point has failed because a file of it had no room."""
    return Code.NO_ROOM in rows["code"].to_pylist()


def reuse_text(rows: pa.Table) -> str:
    """Say how much training was taken from the store; nothing where there was none."""
    seen = {row["digest"]: row for row in rows.to_pylist()}
    done = sum(row.get("trainings") or 0 for row in seen.values())
    reused = sum(row.get("trainings_reused") or 0 for row in seen.values())
    return f"{done} computed, {reused} reused" if done or reused else ""


def sha256_text(rows: pa.Table, digits: int = 16) -> str:
    """Return the first digits of the sweep's digest, which is still to change if it says so."""
    incomplete = any(status != COMPLETE for status in rows["status"].to_pylist())
    return sweep_sha256(rows)[:digits] + (" (incomplete)" if incomplete else "")
