"""The run folder: Parquet tables, the manifest and the final model, each written at once."""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from sim.errors import InputError
from sim.file_trouble import naming
from sim.schema import APPENDED, COLUMNS, OPTIONAL
from sim.table_files import described, write_table
from sim.tables import LARGE, Tables
from sim.writing import write_text, written

MANIFEST = "manifest.json"
NEEDED = ("status", "method", "seed", "scenario", "identity", "trace_sha256")
LIBRARIES = ("leomix", "torch", "numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow", "pandas")


def write_tables(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write ``NAME.parquet`` for every table; one that is a file already goes there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = tables.files if isinstance(tables, Tables) else {}
    for name in tables:
        path = folder / f"{name}.parquet"
        if name in files:
            with naming(path):
                files[name] = files[name].replace(path)
        else:
            with written(path) as part:
                write_table(part, COLUMNS[name], [tables[name]])


def write_model(folder: Path, weights: bytes | None, about: dict[str, Any]) -> None:
    """Write the final weights (a safetensors file; none in a timing-only run) and what they are."""
    from learning.files import write_bytes

    place = folder / "model"
    place.mkdir(parents=True, exist_ok=True)
    if weights is not None:
        write_bytes(place / "model.safetensors", weights)
        about = {**about, "tensors": _shapes(place / "model.safetensors")}
    write_text(place / "model.json", json.dumps(about, indent=2))


def _shapes(path: Path) -> dict[str, list[int]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in sorted(file.keys())}


def write_payloads(folder: Path, payloads: list[dict[str, Any]]) -> None:
    """Write ``model/payloads.json``: what the payloads of the run are made of."""
    place = folder / "model"
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / "payloads.json", json.dumps(payloads, indent=2))


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``manifest.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run folder; raise InputError if it is none."""
    path = folder / MANIFEST
    if not path.is_file():
        _refuse_sweep(folder)
        raise InputError(f"{folder}: no run folder (it has no {MANIFEST})")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); the run has to be done again") from None
    missing = [key for key in NEEDED if not isinstance(manifest, dict) or key not in manifest]
    if missing:
        raise InputError(f"{path}: no manifest of a run (it has no {missing[0]!r})")
    return manifest


def _refuse_sweep(folder: Path) -> None:
    from sim.sweeps.folder import SWEEP
    from sim.sweeps.rows import POINTS

    if (folder / SWEEP).is_file():
        raise InputError(
            f"{folder}: is a sweep; use leomix report or leomix export, or name one of its points, "
            f"{folder / POINTS}/..."
        )


def read_tables(folder: Path) -> Tables:
    """Return all tables of a run folder; raise InputError for one that is missing or broken.

    Large ones stay in their files until they are asked for.
    """
    tables = Tables()
    for name in COLUMNS:
        path = folder / f"{name}.parquet"
        if name in OPTIONAL and not path.exists():
            continue
        rows, columns = described(path)
        needed = (column for column in COLUMNS[name] if column not in APPENDED.get(name, ()))
        lacking = [column for column in needed if column not in columns]
        if lacking:
            raise InputError(f"{path}: is not the table of a run (it has no {lacking[0]!r})")
        tables.files[name] = path
        if rows <= LARGE:
            tables[name] = tables[name]
    return tables


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a result, without importing them."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
