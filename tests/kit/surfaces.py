"""What others build on, listed from the code: keys, columns, requests, options, JSON, names.

``docs/surfaces`` has these lists as they were in a version, a file for each, and in VERSION which
version that is. ``python -m tests.kit.surfaces`` writes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import json
import re
import tempfile
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from enum import Enum
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from typing import Any, NamedTuple

import leomix
import scenarios
import sim.facts
from channel import Link
from channel import settings as links
from learning import requests
from learning.declarations import Settings, UsedWith, keys_of
from learning.methods.base import METHODS
from learning.methods.surface import Needs, Traits
from learning.registry import Register
from learning.requests.facts import Cause
from learning.requests.request import Request
from scenarios.section import Section
from sim.analysis.checks import CHECKS
from sim.cli.app import command_line, status
from sim.cli.output import ExitCode
from sim.facts.events import EventKind
from sim.facts.row import Row
from sim.facts.tables import TABLES, columns_of_table
from statements import Code, Give, Place, Rule, Severity, Statement, as_json

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/surfaces"
FACES = ["leomix", "orbit", "channel", "scenarios", "statements", "sim", "sim.export", "sim.sweep"]
FACES += ["learning", *(f"learning.{face}" for face in ("clients", "data", "models", "policies"))]
FACES += ["learning.requests", "leomix.testing", "sim.gym"]
ABOUT = ("description", "title", "properties", "required", "additionalProperties", "items", "$ref")
TIMING = {"learning.train": False, "learning.targets": [0.5], "stop.days": 0.5}
"""Of `plain-fedavg`: half a day, in which nothing is trained that reaches a target."""
NOT_HERE = ("flower", "gym")
"""What is missing without an extra."""


class Entry(NamedTuple):
    """A name that others use, and what is promised of it."""

    name: str
    promised: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.promised}".rstrip(": ")


def keys() -> Iterator[Entry]:
    """List the keys of a scenario with types, limits and defaults; `[]` is an entry of a list."""
    schema = scenarios.schema()
    yield from sorted(set(_keys_below("", schema, schema["$defs"], ())))
    for name in sorted(METHODS.shipped):
        for key, default in _defaults(METHODS.find(name).Options).items():
            yield Entry(f"learning.options.{key} of {name}", default)


def _keys_below(
    above: str, node: Mapping[str, Any], sections: Mapping[str, Any], inside: Sequence[str]
) -> Iterator[Entry]:
    for part in (node, *(other for union in ("anyOf", "oneOf") for other in node.get(union, ()))):
        if isinstance(part.get("items"), dict):
            yield from _keys_below(f"{above}[]", part["items"], sections, inside)
        section = part.get("$ref", "").rpartition("/")[2]
        if section in inside:
            continue
        shape = sections[section] if section else part
        for key, below in shape.get("properties", {}).items():
            path = f"{above}.{key}".lstrip(".")
            must = ["required"] if key in shape.get("required", ()) else []
            yield Entry(path, " ".join([*must, _compact(_limits(below))]))
            yield from _keys_below(path, below, sections, (*inside, section))


def _limits(node: Mapping[str, Any]) -> dict[str, Any]:
    limits = {key: value for key, value in node.items() if key not in ABOUT}
    for union in {"anyOf", "oneOf"} & {*limits}:
        limits[union] = [_limits(part) for part in limits[union]]
    if "$ref" in node:
        limits["section"] = node["$ref"].rpartition("/")[2]
    if isinstance(node.get("items"), dict):
        limits["of"] = _limits(node["items"])
    return limits


def tables() -> Iterator[Entry]:
    """List the tables of a run folder, their columns, the kinds of events, and the facts."""
    for table in TABLES:
        for column in columns_of_table(table):
            learned = " learned" if column.learned else ""
            yield Entry(f"{table}.{column.name}", f"{column.kind.value}{learned}")
    for enum in (EventKind, Cause):
        yield Entry(enum.__name__, "|".join(sorted(enum)))
    for module in iter_modules(sim.facts.__path__, "sim.facts."):
        import_module(module.name)
    facts = {kind.__name__: kind for kind in _below(Row) if kind.__module__.startswith("sim.facts")}
    for name, kind in sorted(facts.items()):
        yield Entry(name, ", ".join(field.name for field in dataclasses.fields(kind)))


def methods() -> Iterator[Entry]:
    """List requests and their answers, `Needs`, `Traits`, and the shipped methods."""
    face: Any = requests
    for name in sorted(face.__all__):
        kind = getattr(face, name)
        asked = ["request"] if kind in typing.get_args(Request) else []
        yield Entry(name, " ".join([*asked, _fields(kind)]))
    for kind in (Needs, Traits):
        for key, default in _defaults(kind).items():
            yield Entry(f"{kind.__name__}.{key}", default)
    for name in sorted(METHODS.shipped):
        method = METHODS.find(name)
        changed = [
            f"{key}={value!r}"
            for declared in (method.needs, method.traits)
            for key, value in _changed(declared).items()
        ]
        yield Entry(f"method {name}", ", ".join(changed))


def rules() -> Iterator[Entry]:
    """List the codes of checks and statements, and the keys that rules say something of."""
    for code in CHECKS:
        yield Entry(f"check {code}")
    yield Entry("Severity", "|".join(sorted(Severity)))
    keys_of_code: dict[Code, set[str]] = {code: set() for code in Code}
    for rule in _all_rules():
        keys_of_code[rule.code] |= {*rule.keys}
    for code, keys in sorted(keys_of_code.items()):
        yield Entry(f"code {code.value}", ", ".join(sorted(keys)))
    sections: set[Any] = {*filter(dataclasses.is_dataclass, _below(Settings))}
    for section in sorted(sections, key=lambda kind: kind.__name__):
        for key, declared in keys_of(section).items():
            for rule in declared.metadata:
                if isinstance(rule, UsedWith):
                    used = f"with {rule.key} {'|'.join(rule.values)}"
                    yield Entry(f"{section.__name__}.{key}", used)


def _all_rules() -> Iterator[Rule[Any]]:
    for package in ("scenarios", "learning", "channel", "sim"):
        for module in _modules_of(package):
            for value in vars(module).values():
                for part in value if isinstance(value, tuple | list) else (value,):
                    if isinstance(part, Rule):
                        yield part
    for section in _below(Section):
        yield from section.rules


def link_models() -> Iterator[Entry]:
    """List the kinds of rates and fading, the keys of one rate only, and the fields of a link."""
    for name in ("Rate", "Fading", "Atmosphere", "EnvironmentName", "Band", "Modcods"):
        yield Entry(name, "|".join(sorted(typing.get_args(getattr(links, name)))))
    for key, rate in sorted(links.USED_BY_ONE_RATE.items()):
        yield Entry(key, f"with rate {rate}")
    for key, default in _defaults(Link).items():
        yield Entry(f"Link.{key}", default)


def commands() -> Iterator[Entry]:
    """List commands with their arguments and options, and the exit codes."""
    top: Any = command_line()
    for name, command in sorted(top.commands.items()):
        for parameter in command.params:
            many = " repeated" if getattr(parameter, "multiple", False) else ""
            if parameter.param_type_name == "argument":
                many = " several" if parameter.nargs == -1 else ""
                yield Entry(f"leomix {name} {parameter.name.upper()}", f"argument{many}")
                continue
            flag = "flag" if getattr(parameter, "is_flag", False) else "value"
            default = parameter.default
            told = "" if default in (None, (), []) or callable(default) else f" = {default}"
            for option in (*parameter.opts, *parameter.secondary_opts):
                yield Entry(f"leomix {name} {option}", f"{flag}{many}{told}")
    for code in ExitCode:
        yield Entry(f"exit code {code.value}", code.name)


def json_shapes() -> Iterator[Entry]:
    """List the keys of what commands print with `--json`, two deep, and of a statement."""
    told = Statement.of(Code.MISSING, "learning.lora.rank", "is missing", Give(like=4))
    place = Place(option="--set", file="mine.yaml", line=2)
    yield from _shape("statement", as_json(told, place))
    with tempfile.TemporaryDirectory() as scratch:
        keys = [f"--set={key}={json.dumps(value)}" for key, value in TIMING.items()]
        timing = ["plain-fedavg", *keys, "--json"]
        runs = [f"{scratch}/{seed}" for seed in (1, 2)]
        for seed, run in enumerate(runs, 1):
            ran = _printed("run", *timing, "--seed", str(seed), "-o", run, "--quiet")
        yield from _shape("run --json", ran)
        manifest = json.loads(Path(f"{runs[0]}/manifest.json").read_text())
        yield from _shape("manifest.json", manifest, deep=1)
        swept = _printed("sweep", *timing, "-p", "seed=1,2", "-o", f"{scratch}/sweep", "-j", "1")
        yield from _shape("sweep --json", swept)
        yield from _shape("show --json", _printed("show", runs[0], "--json"))
        yield from _shape("compare --json", _printed("compare", *runs, "--json"))
        yield from _shape("validate --json", _printed("validate", *timing))
        yield from _shape("refused --json", _printed("validate", *timing, "--set", "stop.dys=1"))
    short = ("--set", "stop.days=0.1", "--json")
    yield from _shape("capacity --json", _printed("capacity", "three-stations", *short))
    yield from _shape("link --json", _printed("link", "circular", "--send", "1MB", *short))


def _printed(*arguments: str) -> Any:
    """Return what a command prints, which is JSON."""
    out, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(messages):
        status([*arguments])
    return json.loads(out.getvalue())


def _shape(name: str, value: Any, deep: int = 2) -> Iterator[Entry]:
    """Yield the keys of mappings, and of those in lists; levels of accuracy are TARGET."""
    if isinstance(value, list):
        yield from (entry for part in value for entry in _shape(f"{name}[]", part, deep))
    elif isinstance(value, dict) and deep:
        for key, below in sorted(value.items()):
            told = re.sub(r"\d\.\d\d$", "TARGET", key)
            yield from _shape(f"{name} {told}", below, deep - 1)
    else:
        yield Entry(name)


def names() -> Iterator[Entry]:
    """List the documented names of packages, with the parameters of functions, and entry points."""
    for face in FACES:
        module = import_module(face)
        for name in sorted(module.__all__):
            yield Entry(f"{face}.{name}", _parameters(getattr(module, name)))
    registers = {
        value.group: value
        for package in ("learning", "sim")
        for module in _modules_of(package)
        for value in vars(module).values()
        if type(value) is Register
    }
    for group, register in sorted(registers.items()):
        yield Entry(group, ", ".join(sorted(register.shipped)))
    for extra in sorted(_setup()["options.extras_require"]):
        yield Entry(f"leomix[{extra}]")


def _parameters(value: Any) -> str:
    if inspect.isclass(value) and issubclass(value, Enum):
        return _fields(value)  # the parameters of its call are those of a version of Python
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return ""
    try:
        given = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(
        parameter.name + ("" if parameter.default is parameter.empty else "=")
        for parameter in given
    )


def _fields(kind: Any) -> str:
    if dataclasses.is_dataclass(kind):
        return ", ".join(
            key + ("" if default == "required" else "=") for key, default in _defaults(kind).items()
        )
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(sorted(str(member.value) for member in kind))
    return ""


def _defaults(kind: Any) -> dict[str, str]:
    defaults = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            defaults[field.name] = repr(getattr(field.default, "default", field.default))
        else:
            made = field.default_factory is not dataclasses.MISSING
            defaults[field.name] = "made" if made else "required"
    return defaults


def _changed(value: Any) -> dict[str, Any]:
    fields = dataclasses.fields(value)
    held = {field.name: getattr(value, field.name) for field in fields}
    return {f.name: held[f.name] for f in fields if held[f.name] != f.default}


def _below(kind: Any) -> Iterator[Any]:
    for derived in kind.__subclasses__():
        yield derived
        yield from _below(derived)


def _modules_of(package: str) -> Iterator[Any]:
    path = import_module(package).__path__
    for module in walk_packages(path, f"{package}."):
        if module.name.endswith("__main__") or any(part in module.name for part in NOT_HERE):
            continue
        yield import_module(module.name)


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


SURFACES: dict[str, Callable[[], Iterator[Entry]]] = {
    "scenario-keys": keys,
    "tables": tables,
    "methods": methods,
    "rules": rules,
    "link-models": link_models,
    "commands": commands,
    "json": json_shapes,
    "names": names,
}


def _setup() -> ConfigParser:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup


def listed(name: str) -> list[str]:
    """Return the lines of a surface as the code has it now, each once."""
    return [*dict.fromkeys(map(str, SURFACES[name]()))]


def written(name: str) -> list[str]:
    """Return the lines of a surface as `docs/surfaces` has it."""
    return (FOLDER / f"{name}.txt").read_text().splitlines()


def changed_names(before: Sequence[str], now: Sequence[str]) -> set[str]:
    """Return the names whose lines were added, removed or changed."""
    return {line.partition(": ")[0] for line in {*before} ^ {*now}}


def main() -> None:
    """Write all lists, as those of the version that setup.cfg names."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "VERSION").write_text(_setup()["metadata"]["version"] + "\n")
    for name in SURFACES:
        (FOLDER / f"{name}.txt").write_text("".join(f"{line}\n" for line in listed(name)))


if __name__ == "__main__":
    main()
