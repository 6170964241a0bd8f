"""Exports of a run or sweep: the list of formats; CSV, Parquet and PEFT."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import scenarios
from learning.registry import Register
from sim.engine.setup import learner_of
from sim.errors import InputError, as_input, custom_line, missing
from sim.execution.folder import POINTS, is_sweep
from sim.execution.result import Result, load
from sim.execution.status import COMPLETE
from sim.files import check_within, naming, packaged
from sim.plan.budget import one_pass
from sim.sweep.folder import ROWS, Sweep, read_sweep
from sim.trace import arrow as plain
from sim.trace.arrow import write_batches

Writer = Callable[[Any, Path], list[str]]
"""Writes a run (or a sweep) into an empty folder; returns lines that the user should read."""

FORMATS: Register[Writer] = Register(
    "export format",
    "leomix.exports",
    {
        "csv": "sim.export.formats:write_csv",
        "parquet": "sim.export.formats:write_parquet",
        "perfetto": "sim.export.perfetto:write_perfetto",
        "czml": "sim.export.czml:write_czml",
        "tensorboard": "sim.export.curves:write_tensorboard",
        "mlflow": "sim.export.curves:write_mlflow",
        "peft": "sim.export.formats:write_adapters",
        "profile": "sim.export.formats:write_profiles",
    },
)
"""The writer of each format."""

OF_SWEEPS = ("csv", "parquet")
EXTRAS = ("perfetto", "tensorboard", "mlflow")
"""Formats whose packages are not always installed."""
PART = ".part"


@dataclass(frozen=True)
class Exported:
    """What was written, by name of file or folder, and what there is to say about it."""

    paths: list[Path]
    notes: list[str]


def export(folder: Path, to: str, out: Path | None = None) -> Exported:
    """Write the run (or, as tables, the sweep) in ``folder`` as ``to``, a name of ``FORMATS``.

    ``to`` may also be ``MODULE:FUNCTION``, a :data:`Writer` of the user. ``out`` is a new or empty
    folder; if None, ``FOLDER/export/TO``, where an earlier export is replaced. Everything appears
    there at the end, or nothing does. Raises InputError for an unknown format, for a folder that
    is not a run or lacks what is asked for, and where ``out`` is not empty.
    """
    with as_input(f"--to {to}: "):
        writer = FORMATS.find(to)
    source = read_sweep(folder) if is_sweep(folder) else load(folder)
    if isinstance(source, Sweep) and to not in OF_SWEEPS:
        raise InputError(
            f"{folder}: is a sweep, which --to {' or '.join(OF_SWEEPS)} writes; for --to {to} name "
            f"the folder of one of its points, {folder / POINTS}/..."
        )
    place = out or folder / "export" / to.replace(":", ".")
    # A killed export may have left a part.
    empty = place.is_dir() and all(path.name == PART for path in place.iterdir())
    if out is None:
        check_within(folder, place)
        if place.exists() and not place.is_dir():
            raise InputError(f"{place}: is no folder; remove it, or name another one by -o")
    elif place.exists() and not empty:
        raise InputError(f"-o {place}: is not an empty folder; name another one")
    with _at_once(place) as part:
        try:
            notes = [*_incomplete(source), *(writer(source, part) or ())]
        except Exception as error:
            if to in EXTRAS and isinstance(error, ImportError):
                raise missing(f"--to {to}", to, error) from None
            if to in FORMATS.shipped or isinstance(error, InputError):
                raise
            what = f"{type(error).__name__}: {error}{custom_line(error)}"
            raise InputError(f"--to {to}: the writer fails: {what}") from error
        written = sorted(path.name for path in part.iterdir())
    return Exported([place / name for name in written], notes)


def _incomplete(source: Result | Sweep) -> Iterator[str]:
    """Yield how much is missing of what is not complete."""
    if isinstance(source, Sweep):
        statuses = source.rows.column("status").to_pylist()
        if left := sum(status != COMPLETE for status in statuses):
            yield f"{source.folder}: {left} of {len(statuses)} points are not complete"
    elif (status := source.manifest["status"]) != COMPLETE:
        hours = source.manifest["simulated_s"] / 3600
        yield (f"{source.folder}: the run is {status}: this is what it had done by {hours:.2f} h")


@contextmanager
def _at_once(place: Path) -> Iterator[Path]:
    """A folder inside ``place`` to write into; what is there at the end moves up together."""
    new = [folder for folder in (place, place.parent) if not folder.exists()]
    part = place / PART
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with naming(place):
            yield part
        for path in part.iterdir():
            earlier = place / path.name
            if earlier.is_dir() and not earlier.is_symlink():
                shutil.rmtree(earlier)
            path.replace(earlier)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in new:
            if not any(folder.iterdir()):
                folder.rmdir()


# Tables as they are, in Parquet, or in CSV that a spreadsheet can open without running it.


def write_csv(source: Result | Sweep, place: Path) -> list[str]:
    """Write every table as CSV, with a `'` before text that would be a formula."""
    return _write(source, place, "csv", plain.without_formulas)


def write_parquet(source: Result | Sweep, place: Path) -> list[str]:
    """Write every table as Parquet."""
    return _write(source, place, "parquet", lambda table: table)


def _write(
    source: Result | Sweep, place: Path, suffix: str, made: Callable[[pa.Table], pa.Table]
) -> list[str]:
    tables = {Path(ROWS).stem: source.rows} if isinstance(source, Sweep) else source.tables
    for name in tables:
        table = made(tables[name])
        # An empty table may have no batch, and a file without one has no columns.
        nothing = [pa.nulls(0, kind) for kind in table.schema.types]
        none = pa.RecordBatch.from_arrays(nothing, schema=table.schema)
        write_batches(table.to_batches() or [none], place / f"{name}.{suffix}")
    return []


# The trained experts of a run, as PEFT adapters beside the model that they adapt.


def write_adapters(run: Result, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    assert run.folder is not None
    weights, status = run.folder / "model", run.manifest["status"]
    if status != COMPLETE:
        raise InputError(
            f"{run.folder}: the run is {status}; finish it first: "
            f"leomix run SCENARIO --resume -o {run.folder}"
        )
    if not (weights / "model.safetensors").is_file():
        raise InputError(
            f"{run.folder}: has no weights (learning.train was false); train a run to export"
        )
    from learning.models.moe import Residency
    from learning.models.peft import export_adapters
    from learning.values.store import FolderStore

    # It may name Python code, and the folder may be somebody else's.
    learner = learner_of(scenarios.from_stored(run.manifest["scenario"], {}))
    start = learner.force(learner.final(learner.start()))
    cure = "the run's tables do not depend on it; to export the weights, run it anew elsewhere"
    task, final = learner.task, FolderStore(weights, cure).load("model")
    model = task.skeleton(Residency(held=task.all_experts))
    export_adapters(place, model, task.config.model, task.names, start, final)
    return []


# What a radio sees over each contact.


def write_profiles(run: Result, place: Path) -> list[str]:
    """Write delay, Doppler, path loss and rate over each contact at its cluster's centre."""
    scenario = scenarios.from_stored(run.manifest["scenario"], {})
    for number in range(len(run.tables["contacts"])):
        for side, columns in one_pass(scenario, number).items():
            plain.write(columns, place / f"contact-{number:05}-{side}.csv")
    return ["One file a contact and direction; contact numbers are those of contacts.parquet."]


# What a paper that shows a run should cite.


def citations(manifest: Mapping[str, Any]) -> str:
    """Return BibTeX of leomix and of what a run took its method, orbits, links and data from.

    ``citations.bib`` says before each entry what it is for.
    """
    scenario = manifest["scenario"]
    orbit, link, learning = scenario["orbit"], scenario["link"], scenario["learning"]
    used = {"every run", f"method {manifest['method']}", f"data {learning['data']['kind']}"}
    if orbit["source"] not in ("slots", "contacts"):
        used |= {f"propagation {orbit.get('propagation') or 'sgp4'}", f"preset {link['preset']}"}
    sides = [link[side] for side in ("uplink", "downlink") if isinstance(link[side], dict)]
    used |= {f"{key} {side[key]}" for side in sides for key in ("rate", "atmosphere")}
    used |= {"environment"} if link["environment"] else set()
    found = []
    for entry in packaged("sim.export", "citations.bib").split("% for: ")[1:]:
        heads, _, bibtex = entry.partition("\n")
        kind, _, names = heads.partition(" ")
        if used & {heads, *(f"{kind} {name}" for name in names.split(", "))}:
            found.append(bibtex)
    known = {"VERSION": manifest["versions"]["leomix"], "TRACE": manifest["trace_sha256"]}
    return re.sub("|".join(known), lambda word: str(known[word[0]]), "\n".join(found))
