"""`leomix show`, `compare`, `report` and `export`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli.options import Json, RunFolder, RunFolders, SetKeys, overrides_of, spread_out
from sim.cli.output import print_json, warn
from sim.errors import InputError
from sim.files import check_file, write_text
from statements import Code, by_rank, in_turn

if TYPE_CHECKING:
    from sim.execution.result import Result

MOST_PATTERN_CLIENTS = 20
"""Clients up to which `show` prints the gating pattern."""
CITATION = (
    "The leomix developers (2026). leomix: a co-simulator of networks and learning for federated "
    "mixtures of experts through low-Earth-orbit satellites"
)
"""How to cite leomix, as CITATION.cff says it; the version is that of the run."""


def show_command(
    run: RunFolder,
    *,
    in_full: Annotated[bool, typer.Option("--all", help="every figure of the run")] = False,
    json_: Json = False,
) -> None:
    """Show a run's result, its bottleneck, and a setting that improves it."""
    from sim.analysis.run_text import pattern_text, run_screen, summary_text
    from sim.execution.folder import as_written
    from sim.execution.result import load

    with as_written([run]):
        found = load(run)
        if found.of_network:
            _show_study(found, json_=json_)
            return
        if json_:
            alone = found.compared
            rows = {key: alone[key] for key in ("headline", "limits", "rows")}
            rows["said"] = found.manifest.get("said", [])
            held_back = found.held_back
            rows["held_back"] = None if held_back is None else held_back._asdict()
            print_json(found.summary | {"gating_pattern": found.gating_pattern} | rows)
        else:
            doubts, notes = in_turn(found.warnings)
            warn(doubts)
            if not in_full:
                print(run_screen(found, run))
                return
            print(summary_text(found.summary, found.held_back))
            print(f"{'cite':<14} {CITATION}. Version {found.manifest['versions']['leomix']}.")
            pattern = found.gating_pattern
            if pattern is not None and len(pattern["clients"]) <= MOST_PATTERN_CLIENTS:
                print(f"\n{pattern_text(pattern['clients'], pattern['shares'])}")
            warn(notes)


def _show_study(study: Result, *, json_: bool) -> None:
    from sim.execution.study_text import study_text

    if json_:
        print_json(study.summary | {"said": study.manifest.get("said", [])})
        return
    warn(study.warnings)
    print(study_text(study))
    print(f"{'cite':<14} {CITATION}. Version {study.manifest['versions']['leomix']}.")


InFull = Annotated[
    bool,
    typer.Option("--all", help="all groups and figures, with intervals and p values"),
]


@dataclass(frozen=True)
class BestBy:
    """By what the best settings of a sweep are chosen, when, and where they are written."""

    best_by: Annotated[
        str | None,
        typer.Option(
            metavar="FIGURE",
            help="choose settings for each variant or method of a sweep: by validation samples, or "
            "by a column of sweep.parquet",
        ),
    ] = None
    at: Annotated[
        float | None,
        typer.Option(metavar="DAYS", help="validate after so many days; default: the first end"),
    ] = None
    chosen: Annotated[
        Path | None,
        typer.Option("-o", metavar="FILE.yaml", help="write what is chosen, as variants"),
    ] = None


@spread_out
def compare_command(
    runs: RunFolders,
    *,
    in_full: InFull = False,
    best: BestBy,
    json_: Json = False,
) -> None:
    """Compare runs, or the points of a sweep; those of one setting are a group of seeds."""
    if best.best_by is not None or best.at is not None or best.chosen is not None:
        _choose(runs, best, json_=json_)
        return
    from sim.analysis.comparison_text import comparison_text
    from sim.execution.folder import as_written, is_sweep, read_manifest
    from sim.execution.result import compare_runs, warnings_in

    with as_written(runs):
        if len(runs) == 1 and is_sweep(runs[0]):
            from sim.sweep import read_sweep
            from sim.sweep.comparison import compare_sweep, next_steps

            sweep = read_sweep(runs[0])
            found = compare_sweep(sweep)
            if json_:
                print_json(found.printed)
            else:
                print(comparison_text(found, in_full=in_full))
                steps = next_steps(sweep, found, in_full=in_full)
                print("\n".join(["", *steps]))
            return
        found = compare_runs(runs)
        if json_:
            print_json(found.printed)
        else:
            print(comparison_text(found, in_full=in_full))
            for run in runs:
                warn(f"{run}: {said}" for said in by_rank(warnings_in(read_manifest(run))))


def _choose(runs: list[Path], asked: BestBy, *, json_: bool) -> None:
    """Choose settings of a sweep, and show what was tried."""
    from sim.execution.folder import as_written
    from sim.sweep import compare

    if asked.best_by is None:
        raise InputError.of_option(
            "-o" if asked.at is None else "--at", Code.CONFLICT, "goes with --best-by"
        )
    with as_written(runs):
        found = compare(runs, best_by=asked.best_by, at_days=asked.at)
    for line in found.notices():
        print(f"note: {line}", file=sys.stderr)
    if asked.chosen is not None:
        found.write(asked.chosen)
    if json_:
        print_json(found.as_json())
        return
    print(found.text)
    if asked.chosen is not None:
        print(f"chosen keys    {asked.chosen}")
        print(f"use them       leomix sweep {found.scenario} --variants {asked.chosen}")


RunsOrSweeps = Annotated[
    list[Path], typer.Argument(metavar="RUN_DIR...", help="folders of runs, or of sweeps")
]


def report_command(
    runs: RunsOrSweeps,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", metavar="FILE.html", help="default RUN_DIR/report.html; of several: report.html"
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="write each figure there too, as PDF and SVG, and its data and tables as CSV",
        ),
    ] = None,
) -> None:
    """Write one HTML page that opens offline: of a run, of a sweep, or of several runs compared."""
    from sim.execution.folder import as_written
    from sim.formatting import Bar
    from sim.page.write import report

    with as_written(runs), Bar(quiet=False) as bar:
        bar.start("writing the report")
        path = report(runs, out, figures)
    print(path)
    if figures is not None:
        from sim.sweep.folder import points_missing

        warn(points_missing(runs))


ExportSource = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_DIR",
        help="folder of a run; of a sweep with csv, parquet; with ion and hdtn also a SCENARIO",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help="csv, parquet (the tables), perfetto, czml, tensorboard, "
        "peft (trained experts), dense (each as a Llama), "
        "profile (delay, Doppler, loss of passes), ion, hdtn (the contact plan for a DTN stack) "
        "or MODULE:FUNCTION",
    ),
]
ExportPath = Annotated[
    Path | None,
    typer.Option(
        "-o",
        metavar="PATH",
        help="new or empty folder; default RUN_DIR/export/FORMAT; "
        "with ion and hdtn a file; default: print",
    ),
]
Pieces = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS", help="cut contacts of ion and hdtn into pieces, each with its rate"
    ),
]


def export_command(
    run: ExportSource,
    to: Format,
    out: ExportPath = None,
    pieces: Pieces = None,
    set_: SetKeys = None,
) -> None:
    """Write a run for other tools: its tables, traces, orbits, curves, contact plan or experts.

    In CSV, text that begins like a formula (with =, +, - or @) gets a ' before it.
    """
    from sim.capacity.dtn_formats import FORMATS
    from sim.execution.folder import as_written

    if to in FORMATS:
        _export_plan(run, to, out, pieces, set_)
        return
    if pieces is not None or set_:
        option = "--pieces" if pieces is not None else "--set"
        raise InputError.of_option("export", Code.CONFLICT, f"{option} goes with --to ion or hdtn")
    from sim.export.formats import export

    with as_written([run]):
        exported = export(run, to, out)
    for note in exported.notes:
        print(note, file=sys.stderr)
    print("\n".join(str(path) for path in exported.paths))


def _export_plan(
    source: Path, to: str, out: Path | None, piece_s: int | None, set_: list[str] | None
) -> None:
    """Print the contact plan of a scenario, or of the scenario of a run, or write it to ``out``."""
    from sim.capacity.dtn_formats import FORMATS
    from sim.execution.result import load
    from sim.execution.schedule import plan

    if piece_s is not None and piece_s < 1:
        raise InputError.of_option(
            f"--pieces {piece_s}", Code.WRONG_VALUE, "should be seconds, 1 or more"
        )
    if out is not None:
        check_file(out, *FORMATS[to].endings)
    if not source.is_dir():
        schedule = plan(str(source), overrides_of(set_))
    elif set_:
        raise InputError.of_option("export", Code.CONFLICT, "--set goes with a SCENARIO")
    else:
        schedule = plan(load(source).scenario)
    warn(schedule.doubts)
    text = schedule.text(to, piece_s)
    for direction in schedule.neglected:
        print(f"warning: the {direction} is neglected: it has no contacts here", file=sys.stderr)
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"wrote the contact plan of {len(schedule.nodes)} nodes to {out}", file=sys.stderr)
