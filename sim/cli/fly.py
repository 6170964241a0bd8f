"""`leomix fly`: a user's own training code, run over a scenario's network."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import options
from sim.cli.options import spread_out
from sim.errors import InputError, missing
from statements import Code, statement_of

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.world.world import World

KEPT_BESIDES_DATA = ("targets", "evaluate_every_hours")
KEPT_KEYS = ("data", *KEPT_BESIDES_DATA)
"""Keys of a scenario's `learning` that mean the same to code of the user's."""


@dataclass(frozen=True)
class Network:
    """The scenario that is flown over, and where to write it with the functions in it."""

    scenario: Annotated[
        str,
        typer.Option("-s", "--scenario", metavar="SCENARIO", help="a YAML file, or a shipped name"),
    ]
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="write the scenario for run and sweep, and end"),
    ] = None


@spread_out
def fly_command(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="a file of functions, or a Flower app's folder")
    ],
    out: Annotated[Path | None, options.output("run folder; default runs/FILE-NAME-SEED")] = None,
    *,
    network: Network,
    overrides: options.Overrides,
    resume: Annotated[bool, options.go_on("run")] = False,
    limits: options.Limits,
    shown: options.OutputOptions,
) -> None:
    """Train with functions of your own, or by a Flower app, over a scenario's network."""
    from sim.cli.run import Execution, name_of

    execution = Execution(Path.cwd(), out, resume, limits)
    loaded = flown_scenario(path, network.scenario, overrides.by_key())
    if network.save is not None:
        from sim.world.world import World

        _save(World(loaded), execution.here / network.save)
        return
    execution.carry_out(loaded, f"{path.stem}-{name_of(loaded)}", shown)


def flown_scenario(path: Path, name: str, overrides: dict[str, Any]) -> Scenario:
    """Return a scenario whose method is the functions in a file; ``overrides`` come last.

    Of the scenario's own learning only the keys ``KEPT`` count, and its data where the file has
    no function ``data``; the others are not even looked at. Raises InputError for what is no such
    file.
    """
    import scenarios

    own = _app(path) if path.is_dir() else _functions(path)
    written = scenarios.as_written(name, "learning")
    kept = KEPT_KEYS if own.uses_data else KEPT_BESIDES_DATA
    of_a_file = {"learning": {key: written[key] for key in kept if key in written}}
    typed = {"learning.method": own.method, "learning.options": own.options}
    return scenarios.reader(name)({**of_a_file, **typed, **overrides}, tuple(of_a_file))


@dataclass(frozen=True)
class Flown:
    """What is flown: its method and the options, and whether it uses the scenario's data."""

    method: str
    options: dict[str, str]
    uses_data: bool


def _functions(path: Path) -> Flown:
    """Return what flies the functions of a file."""
    from sim.fly.user_code import UserCode

    place = f"{_module(path)}:train"
    try:
        code = UserCode(place, limit_s=1.0)
        code.check()
    except ValueError as error:
        raise InputError(statement_of(error)) from None
    return Flown("sim.fly.functions:Functions", {"code": place}, uses_data=not code.has("data"))


def _app(folder: Path) -> Flown:
    """Return what flies a Flower app."""
    try:
        from sim.fly.flower.app import components_of
    except ModuleNotFoundError as error:
        raise missing(f"{folder}: a Flower app", "flower", error) from None
    except ImportError as error:  # of a version that was not tested
        raise InputError.of_file(folder, Code.WRONG_FILE, "{why}", why=str(error)) from None
    try:
        parts = components_of(folder)
    except ValueError as error:
        raise InputError(statement_of(error)) from None
    sys.path.insert(0, str(folder.resolve()))
    named = {"server": parts["serverapp"], "client": parts["clientapp"]}
    options = {"app": str(folder.resolve()), **named}
    return Flown("sim.fly.flower.method:Flower", options, uses_data=False)


def _save(world: World, path: Path) -> None:
    """Write the scenario as a file that needs none beside it but the user's functions."""
    import yaml

    from sim.execution.identity import portable
    from sim.files import from_here, write_text

    write_text(path, yaml.safe_dump(portable(world), sort_keys=False))
    print(from_here(path))


def _module(path: Path) -> str:
    """Return the name by which a file is imported from now on."""
    from learning.own.imports import take_file

    if not path.is_file():
        raise InputError.of_file(
            path,
            Code.NO_FILE,
            "no such file",
            "write one with the functions of docs/fly.md",
        )
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier():
        raise InputError.of_file(
            path,
            Code.WRONG_FILE,
            "cannot be imported",
            "give it a name like my_training.py",
        )
    take_file(path)
    found = find_spec(name)
    if found is None or found.origin is None or Path(found.origin).resolve() != path.resolve():
        where = "" if found is None else f", {found.origin}"
        raise InputError.of_file(
            path,
            Code.WRONG_FILE,
            "another module is called {name!r}{where}",
            "rename the file",
            name=name,
            where=where,
        )
    return name
