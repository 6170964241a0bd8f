"""Arguments and options that several commands share, alone and in groups."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from sim.errors import InputError
from sim.formatting import parse_seconds
from statements import Code

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="a YAML file, or a shipped name")
]
SetKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="override a key of the scenario; repeat it",
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="override the scenario's seed")]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="ignore cached results and train everything again")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress on stderr")]
MaxWall = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="save and stop after so much wall time: 90min, 2h, 5400"),
]
Board = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        help="write accuracy and loss for TensorBoard while it goes on, to DIR/NAME",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Jobs = Annotated[
    int, typer.Option("-j", "--jobs", metavar="N", help="number of processes; 0 = one per core")
]
VariantsFile = Annotated[
    Path | None,
    typer.Option("--variants", metavar="FILE", help="YAML: names, each with the keys that it sets"),
]


def output(help_: str) -> Any:
    """Return the option ``-o DIR``."""
    return typer.Option("-o", "--output", metavar="DIR", help=help_)


def go_on(what: str) -> Any:
    """Return the option ``--resume`` of a command that makes a run or a sweep."""
    return typer.Option("--resume", help=f"go on with the {what} in -o")


RunFolder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="folder of a run")]
RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="folders of runs")]


def overrides_of(pairs: list[str] | None) -> dict[str, Any]:
    """Return the overrides that ``--set`` asks for, by dotted key."""
    overrides: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError.of_option(
                f"--set {pair}",
                Code.WRONG_VALUE,
                "should be KEY=VALUE, for example --set orbit.min_elevation_deg=20",
            )
        overrides[key] = value
    return overrides


@dataclass(frozen=True)
class Overrides:
    """Keys that replace those of the scenario's file."""

    set_: SetKeys = None
    seed: Seed = None

    def by_key(self) -> dict[str, Any]:
        """Return the overrides by dotted key; InputError for a text that is no KEY=VALUE."""
        overrides = overrides_of(self.set_)
        if self.seed is not None:
            if "seed" in overrides:
                raise InputError.of_option(
                    "--seed",
                    Code.CONFLICT,
                    "--set seed is given too",
                    "give one of them",
                )
            overrides["seed"] = self.seed
        return overrides


@dataclass(frozen=True)
class Limits:
    """What a run may take from other runs, and how long it may go on."""

    no_cache: NoCache = False
    max_wall: MaxWall = None

    @property
    def max_wall_s(self) -> float:
        """Wall time, s; inf without a limit."""
        return math.inf if self.max_wall is None else parse_seconds("--max-wall", self.max_wall)


@dataclass(frozen=True)
class OutputOptions:
    """What is shown of a run or sweep, and in which form."""

    quiet: Quiet = False
    json_: Json = False


def spread_out(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with the options of its groups in place of the groups, as typer reads it.

    A group is a parameter whose type is a dataclass. Its fields become options in their order.
    Names of options must differ between groups.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    options = list[Parameter]()
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            options += signature(groups[name], eval_str=True).parameters.values()
        else:
            options.append(parameter.replace(annotation=hints[name]))

    @functools.wraps(command)
    def spread(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    keyword_only = [option.replace(kind=Parameter.KEYWORD_ONLY) for option in options]
    spread.__signature__ = Signature(keyword_only)  # type: ignore[attr-defined]
    spread.__annotations__ = {option.name: option.annotation for option in options}
    return spread


def check_station(option: str, name: str, stations: Sequence[str]) -> None:
    """Raise InputError for a name that none of the stations (one at least) has."""
    if name not in stations:
        near = get_close_matches(name, stations, n=1, cutoff=0.0)
        text = "no station is called so; did you mean {near!r}?"
        raise InputError.of_option(f"{option} {name}", Code.WRONG_VALUE, text, near=near[0])
