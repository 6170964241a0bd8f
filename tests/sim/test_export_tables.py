"""Tables for spreadsheets: no text becomes a formula, and numbers stay what they are."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sim
from tests.kit.small import slots

NAMES = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", 'plain "quoted", =not', "<script>"]
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose clusters are called by all those names; a scenario would not let them."""
    folder = tmp_path_factory.mktemp("run") / "r"
    sim.run(slots(learning={"train": False}), out=folder)
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        names = [NAMES[row % len(NAMES)] for row in range(table.num_rows)]
        place = table.column_names.index("cluster")
        pq.write_table(table.set_column(place, "cluster", pa.array(names, pa.string())), path)
    return folder


def cells(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    return head, rows


def test_text_that_a_spreadsheet_would_run_is_quoted(leomix, run: Path, tmp_path: Path) -> None:
    assert leomix("export", run, "--to", "csv", "-o", tmp_path / "c").status == 0
    seen = set()
    for name in ("contacts", "transfers", "events", "assignments"):
        head, rows = cells(tmp_path / "c" / f"{name}.csv")
        own = pq.read_table(run / f"{name}.parquet")
        assert head == own.column_names
        assert len(rows) == own.num_rows
        for place, column in enumerate(own.column_names):
            if not pa.types.is_string(own.schema.field(column).type):
                continue
            for text, row in zip(own[column].to_pylist(), rows, strict=True):
                seen.add(row[place])
                if text is not None and text.startswith(DANGEROUS):
                    assert row[place] == f"'{text}"
                else:
                    assert row[place] == (text or "")
    assert not any(text.startswith(DANGEROUS) for text in seen)
    assert {f"'{NAMES[0]}", f"'{NAMES[2]}", NAMES[4], NAMES[5]} <= seen


def test_parquet_keeps_names_as_they_are(leomix, run: Path, tmp_path: Path) -> None:
    assert leomix("export", run, "--to", "parquet", "-o", tmp_path / "p").status == 0
    exported = pq.read_table(tmp_path / "p" / "contacts.parquet")
    assert exported.equals(pq.read_table(run / "contacts.parquet"))
    assert set(NAMES) <= set(exported["cluster"].to_pylist())


def write_sweep(folder: Path, columns: dict[str, Any]) -> Path:
    folder.mkdir()
    about = {"keys": ["orbit.raan_deg"], "points": []}
    (folder / "sweep.json").write_text(json.dumps(about))
    pq.write_table(pa.table(columns), folder / "sweep.parquet")
    return folder


def test_rows_of_a_sweep_are_a_table_too(leomix, tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path / "s",
        {
            "orbit.raan_deg": [-30, 0, None],
            "hours": [-1.5, 1e-9, 3.0],
            "error": ["=1+1", None, "-p: wrong"],
            "status": ["complete", "complete", "failed"],
        },
    )
    outcome = leomix("export", sweep, "--to", "csv")
    assert outcome.status == 0
    assert outcome.err == f"{sweep}: 1 of 3 points are not complete\n"
    assert cells(sweep / "export" / "csv" / "sweep.csv") == (
        ["orbit.raan_deg", "hours", "error", "status"],
        [
            ["-30", "-1.5", "'=1+1", "complete"],
            ["0", "1e-9", "", "complete"],
            ["", "3", "'-p: wrong", "failed"],
        ],
    )


def test_a_sweep_has_no_one_trace(leomix, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "s", {"status": ["complete"]})
    outcome = leomix("export", sweep, "--to", "perfetto")
    assert outcome.status == 2
    assert "is a sweep, which --to csv or parquet writes; for --to perfetto name" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_a_table_without_rows_has_its_columns(leomix, run: Path, tmp_path: Path, to: str) -> None:
    own = shutil.copytree(run, tmp_path / "r")
    empty = pq.read_table(own / "transfers.parquet").slice(0, 0)
    pq.write_table(empty, own / "transfers.parquet")
    assert leomix("export", own, "--to", to, "-o", tmp_path / "e").status == 0
    if to == "csv":
        assert cells(tmp_path / "e" / "transfers.csv") == (empty.column_names, [])
    else:
        assert pq.read_table(tmp_path / "e" / "transfers.parquet").equals(empty)
