"""`leomix export`: a run's tables, or its trained experts, in formats that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import scenarios
from sim.errors import InputError
from sim.folder import read_manifest, read_tables
from sim.task import learner_of

TABLES = ("csv", "parquet")
FORMATS = (*TABLES, "peft")
PLANNED = ("perfetto", "czml", "tensorboard")


def export(run: Path, to: str, out: Path | None = None) -> list[Path]:
    """Write the run in the folder ``run`` as ``to`` (one of ``FORMATS``); return what was written.

    ``out`` is a new or empty folder, ``RUN/export/TO`` if None. Raises InputError for a folder
    that is no run, is not empty, or has nothing of what is asked for.
    """
    if to not in FORMATS:
        raise InputError(_no_format(to))
    manifest = read_manifest(run)
    place = out if out is not None else run / "export" / to
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"-o {place}: is not an empty folder; name another one")
    if to == "peft":
        return _adapters(run, manifest, place)
    return _tables(run, to, place)


def _no_format(to: str) -> str:
    if to in PLANNED:
        return f"--to {to}: is not there yet; there are {', '.join(FORMATS)}"
    return f"--to {to}: no such format; there are {', '.join(FORMATS)}"


def _tables(run: Path, to: str, place: Path) -> list[Path]:
    from sim.columns import write_batches

    tables = read_tables(run)
    place.mkdir(parents=True, exist_ok=True)
    written = [place / f"{name}.{to}" for name in tables]
    for table, path in zip(tables.values(), written, strict=True):
        # An empty table has no batch, and a file without one has no columns.
        write_batches(table.to_batches() or table.schema.empty_table().to_batches(), path)
    return written


def _adapters(run: Path, manifest: dict[str, Any], place: Path) -> list[Path]:
    """Make the start model of the run once more, and write what has changed since."""
    weights = run / "model"
    if manifest["status"] != "complete":
        raise InputError(
            f"{run}: the run is {manifest['status']}; finish it first: leomix run --resume -o {run}"
        )
    if not (weights / "model.safetensors").is_file():
        raise InputError(f"{run}: has no weights (learning.train was false); train a run to export")
    from learning.peft_export import export_adapters
    from learning.store import FolderStore

    learner = learner_of(scenarios.from_dict(manifest["scenario"]))
    start = learner.final_tensors(learner.start())
    final = FolderStore(weights).load("model")
    return [place / name for name in export_adapters(place, learner.task, start, final)]
