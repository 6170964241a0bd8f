"""The command ``leomix``. Heavy imports happen inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from scenarios import Scenario

app = typer.Typer(
    name="leomix",
    help="Simulate federated learning of mixtures of experts through low-Earth-orbit satellites.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="a YAML file, or a shipped name")
]
SetKeys = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the scenario; repeat it"),
]
Seed = Annotated[int | None, typer.Option("--seed", help="override the scenario's seed")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="folder of a run")]
RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="folders of runs")]

# Typer carries its own copy of click from some version on; this is the right class in each.
UsageError: Any = typer.BadParameter.__base__
MOST_CLIENTS = 20
"""Clients up to which `show` prints the gating pattern."""
DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"leomix {version('leomix')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="show the version"),
    ] = False,
) -> None: ...


@app.command("run")
def run_command(
    scenario: ScenarioName,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="run folder; default runs/NAME-METHOD-SEED"
        ),
    ] = None,
    set_: SetKeys = None,
    seed: Seed = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in -o")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress on stderr")] = False,
    json_: Json = False,
) -> None:
    """Simulate a scenario and write its run folder."""
    from sim.interrupt import stop_on_interrupt
    from sim.progress import Progress
    from sim.running import run
    from sim.text import summary_text

    loaded = _load(scenario, set_, seed)
    place = out or _default_folder(loaded, resume)
    with Progress(loaded, quiet) as progress, stop_on_interrupt() as each_event:
        result = run(loaded, place, resume, listen=progress, each_event=each_event)
    for warning in result.manifest["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if json_:
        _print_json({**result.summary, "folder": str(place)})
    else:
        print(summary_text(result.summary))
        print(f"{'run folder':<14} {place}")


@app.command("contacts")
def contacts_command(
    scenario: Annotated[str | None, typer.Argument(metavar="[SCENARIO]")] = None,
    tle: Annotated[
        Path | None,
        typer.Option(help="element file (TLE, or OMM in JSON, CSV or XML), in place of a scenario"),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]LAT,LON[,ALT_M]", help="a place on the ground, degrees; repeat it"
        ),
    ] = None,
    sites: Annotated[
        Path | None,
        typer.Option(
            help="CSV of places: name, latitude_deg, longitude_deg, altitude_m, min_elevation_deg"
        ),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="UTC", help="2026-08-22T00:00:00Z")] = None,
    days: Annotated[float | None, typer.Option(help="length of the span, days")] = None,
    min_elevation: Annotated[
        float | None, typer.Option(metavar="DEG", help="mask, degrees")
    ] = None,
    summary: Annotated[bool, typer.Option("--summary", help="one line a site")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad elements out")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", help="write all columns to .csv or .parquet, and show the summary"),
    ] = None,
    set_: SetKeys = None,
) -> None:
    """List contacts: of a scenario's clusters, or of --tle over --site."""
    from sim import columns, contact_listing
    from sim import contacts_command as command

    if (scenario is None) == (tle is None):
        _wrong("contacts: give a SCENARIO, or --tle with --site, --start, --days, --min-elevation")
    of_elements = (site, sites, start, days, min_elevation, skip_bad or None)
    if scenario is not None and any(value is not None for value in of_elements):
        _wrong(
            "contacts: --site, --sites, --start, --days, --min-elevation and --skip-bad "
            "go with --tle"
        )
    if tle is not None and set_:
        _wrong("contacts: --set goes with a SCENARIO")
    if out is not None:
        columns.check_path(out)
    if tle is not None:
        found = command.of_elements(tle, site or [], sites, start, days, min_elevation, skip_bad)
    else:
        found = command.of_scenario(_load(str(scenario), set_, None))
    for line in found.complaints:
        print(line, file=sys.stderr)
    if out is not None:
        contact_listing.write(found, out)
        print(f"wrote {len(found.windows)} contacts to {out}", file=sys.stderr)
    short = summary or out is not None
    print(contact_listing.summary_text(found) if short else contact_listing.list_text(found))


@app.command("link")
def link_command(
    scenario: ScenarioName,
    contact: Annotated[
        int | None, typer.Option(metavar="N", help="one pass over time, by its contact_id")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", help="write .csv or .parquet")] = None,
    set_: SetKeys = None,
) -> None:
    """Show the link budget by elevation, or one pass over time."""
    from sim import link_command as command

    loaded = _load(scenario, set_, None)
    tables = command.budget(loaded) if contact is None else command.one_pass(loaded, contact)
    if out is not None:
        command.write(tables, out)
    print(command.heading(loaded))
    print(command.text(loaded, tables))


@app.command("validate")
def validate_command(scenario: ScenarioName, set_: SetKeys = None) -> None:
    """Check a scenario without running it, and show what it would do."""
    from sim.build import build
    from sim.validation import plan_text

    built = build(_load(scenario, set_, None))
    for warning in built.plan.doubts:
        print(f"warning: {warning}", file=sys.stderr)
    print(plan_text(built))


@app.command("list")
def list_command() -> None:
    """List the shipped scenarios, and the known methods, gate trainers and policies."""
    from learning import method_names
    from learning.gates import GATE_TRAINERS
    from learning.policies import POLICIES
    from scenarios import shipped

    rows = [[name, text] for name, text in shipped().items()]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name.ljust(width)}  {text}" for name, text in rows))
    print(f"\nmethods: {', '.join(method_names())}")
    print(f"gates of method nmoe: {', '.join(GATE_TRAINERS.names())}")
    print(f"policies of method aligned: {', '.join(POLICIES.names())}")


@app.command("show")
def show_command(run: RunFolder, json_: Json = False) -> None:
    """Show the summary of a run."""
    from sim.comparison import read_run
    from sim.text import summary_text

    found = read_run(run)
    if json_:
        _print_json(found["summary"] | {"gating_pattern": found["gating_pattern"]})
    else:
        print(summary_text(found["summary"]))
        _print_pattern(found["gating_pattern"])


@app.command("compare")
def compare_command(runs: RunFolders, json_: Json = False) -> None:
    """Compare runs; those that differ only in their seed are one group."""
    from sim.comparison import compare
    from sim.text import comparison_text

    comparison = compare(runs)
    if json_:
        _print_json(comparison)
    else:
        print(comparison_text(comparison))


@app.command("export")
def export_command(
    run: RunFolder,
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="csv, parquet (the tables) or peft")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", metavar="PATH", help="empty folder; default RUN_DIR/export/FORMAT"),
    ] = None,
) -> None:
    """Write a run's tables, or its trained experts as PEFT adapters, for other tools."""
    from sim.export_command import export

    print("\n".join(str(path) for path in export(run, to, out)))


@app.command("schema")
def schema_command() -> None:
    """Print the JSON schema of scenario files, for editors."""
    from scenarios import schema

    _print_json(schema())


@app.command("doctor")
def doctor_command() -> None:
    """Check this installation: import names, versions, CUDA."""
    from sim.doctor import report

    lines, well = report()
    print("\n".join(lines))
    if not well:
        raise typer.Exit(FAILED)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    sys.exit(_status(arguments))


def _status(arguments: list[str] | None) -> int:
    from sim.errors import Interrupted, SimulationError

    try:
        status = app(args=arguments, standalone_mode=False, prog_name="leomix")
    except UsageError as error:
        print(f"leomix: {error.format_message()}", file=sys.stderr)
        return WRONG_INPUT
    except SimulationError as error:
        print(f"leomix: the run failed: {error}", file=sys.stderr)
        return FAILED
    except (ValueError, OSError) as error:
        print(f"leomix: {_one_line(error)}", file=sys.stderr)
        return WRONG_INPUT
    except (Interrupted, KeyboardInterrupt, typer.Abort) as error:
        print(f"leomix: interrupted: {error or 'nothing was saved'}", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else DONE


def _one_line(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _load(name: str, set_: list[str] | None, seed: int | None) -> Scenario:
    import scenarios

    overrides: dict[str, Any] = {}
    for pair in set_ or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            _wrong(
                f"--set {pair}: should be KEY=VALUE, for example --set orbit.min_elevation_deg=20"
            )
        overrides[key] = value
    if seed is not None:
        overrides["seed"] = seed
    return scenarios.load(name, overrides)


def _default_folder(scenario: Scenario, resume: bool) -> Path:
    """First free folder ``runs/NAME-METHOD-SEED``, with a number behind it if need be."""
    if resume:
        _wrong("--resume: name the run's folder with -o DIR")
    name = scenario.source_path.stem if scenario.source_path else "scenario"
    base = Path("runs") / f"{name}-{scenario.learning.method}-{scenario.seed}"
    place, number = base, 1
    while place.exists():
        number += 1
        place = base.with_name(f"{base.name}.{number}")
    return place


def _wrong(message: str) -> NoReturn:
    from sim.errors import InputError

    raise InputError(message)


def _print_pattern(found: dict[str, Any] | None) -> None:
    """Show who asks whom, where there are few enough to be read."""
    from sim.system_text import pattern_text

    if found is not None and len(found["clients"]) <= MOST_CLIENTS:
        print(f"\n{pattern_text(found['clients'], found['shares'])}")


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))
