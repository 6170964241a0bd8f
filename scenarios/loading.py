"""From a file, a mapping or a shipped name to a validated Scenario."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from scenarios.common_keys import COMMON
from scenarios.errors import SET, Origin, ScenarioError, wrong
from scenarios.files import is_shipped, locate, needs_consent, origin_name, read_text
from scenarios.ground import in_canonical_order
from scenarios.messages import first_problem
from scenarios.parsing import Document, apply_overrides, parse_yaml, python_values, too_deep
from scenarios.scenario import READ_BY_LEARNING, Scenario
from statements import Code, Place, Refused, Statement, said


def load(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Read, override and validate a scenario: a YAML file, or a shipped one by its name.

    `overrides` are values by dotted key, `{"orbit.altitude_km": 550}`; text is read as YAML. A
    number in a key addresses a list item in the order of the file. Raises ScenarioError, in one
    line, for everything that is wrong with the file or an override.
    """
    return reader(name_or_path)(overrides or {})


class Read(Protocol):
    """Makes the scenario of a file that was read once, with one set of overrides each time."""

    def __call__(self, overrides: Mapping[str, Any], of_a_file: Collection[str] = ()) -> Scenario:
        """Do what :func:`load` does; overrides ``of_a_file`` may not ask for what it may not."""


def reader(name_or_path: str | Path) -> Read:
    """Read a file once; what is returned does what `load` does, for one set of overrides each.

    Raises ScenarioError for a file that cannot be read.
    """
    path, document = _read(name_or_path)

    def read(overrides: Mapping[str, Any], of_a_file: Collection[str] = ()) -> Scenario:
        keys = deepcopy(document.value)
        origin = Origin(origin_name(path), document.lines, tuple(overrides))
        _override(keys, overrides)
        return _validated(keys, origin, path, untrusted=True, of_a_file=of_a_file)

    return read


def as_written(name_or_path: str | Path, section: str) -> dict[str, Any]:
    """Return the keys of a section of a file as they are written there: nothing of it is checked.

    Raises ScenarioError for a file that cannot be read.
    """
    found = _read(name_or_path)[1].value.get(section)
    return deepcopy(found) if isinstance(found, dict) else {}


def _read(name_or_path: str | Path) -> tuple[Path, Document]:
    path = locate(name_or_path)
    return path, _parsed(read_text(path), str(path))


def from_dict(mapping: Mapping[str, Any]) -> Scenario:
    """Validate nested dicts and lists, such as `scenario.model_dump(mode="json")` gives.

    Raises ScenarioError, `key: what is wrong; what is allowed`.
    """
    if not isinstance(mapping, Mapping):
        raise ScenarioError(f"a scenario is a mapping of keys, not a {type(mapping).__name__}")
    return _validated(dict(mapping), Origin(), None)


def from_stored(mapping: Mapping[str, Any], overrides: Mapping[str, Any]) -> Scenario:
    """Validate a scenario out of a run's manifest, with overrides as :func:`load` takes them.

    The run may be somebody else's: what a scenario file may not ask for, it may not either.
    Raises ScenarioError.
    """
    origin = Origin(overridden=tuple(overrides))
    if problem := too_deep(dict(mapping)):
        raise origin.error(problem)
    keys = deepcopy(dict(mapping))
    _override(keys, overrides)
    return _validated(keys, origin, None, untrusted=True)


def _check_kind(keys: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Refuse keys of learning over a network study: by one of them it would be another scenario."""
    if keys.get("learning") is not None or "learning" in overrides:
        return
    for key in overrides:
        if isinstance(key, str) and key.startswith("learning."):
            text = "is not used in a network study, which has no key learning; to train, give "
            text += "learning: {} in its file, or learning={} before it"
            text += ", and traffic=[]" if keys.get("traffic") else ""
            raise ScenarioError(Statement.of(Code.UNUSED, key, text), SET)


def _override(keys: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Apply overrides in place; one that removes learning also removes what only that reads."""
    _check_kind(keys, overrides)
    learns = keys.get("learning") is not None
    apply_overrides(keys, overrides)
    for key in READ_BY_LEARNING if learns and keys.get("learning") is None else ():
        *above, last = key.split(".")
        section: Any = keys
        for name in above:
            section = section.get(name) if isinstance(section, dict) else None
        is_overridden = any(f"{each}.".startswith(f"{key}.") for each in overrides)
        if isinstance(section, dict) and not is_overridden:
            section.pop(last, None)


def schema(
    options: Mapping[str, type] | None = None, names: Mapping[str, Iterable[str]] | None = None
) -> dict[str, Any]:
    """Return the JSON Schema of scenario files, for editors that complete and check them.

    ``options`` are what methods take under `learning.options`, by method: dataclasses. ``names``
    are those that editors offer, by section and key (`Model.kind`): methods, kinds of models.

    It knows keys, units, ranges, defaults, and of each key whether it is common or advanced (its
    ``rank``). What contradicts something else, and other names of
    methods, models and data sets, only :func:`load` and a run know.
    """
    from scenarios.messages import EditorSchema

    found = Scenario.model_json_schema(schema_generator=EditorSchema)
    for name, known in (names or {}).items():
        section, key = name.split(".")
        keys = found["$defs"][section]["properties"]
        keys[key] = dict(sorted({**keys[key], "examples": sorted(known)}.items()))
    learning = found["$defs"]["Learning"]
    plain = learning["properties"]["method"]["default"]
    for method, declared in (options or {}).items():
        own = TypeAdapter(declared).json_schema(schema_generator=EditorSchema)
        found["$defs"][own["title"]] = own
        chosen = {"properties": {"method": {"const": method}}}
        when = chosen if method == plain else {**chosen, "required": ["method"]}
        then = {"properties": {"options": {"$ref": f"#/$defs/{own['title']}"}}}
        learning.setdefault("allOf", []).append({"if": when, "then": then})
    _rank_common("", found, found["$defs"])
    for section in (found, *found["$defs"].values()):
        for key in section.get("properties", {}).values():
            key.setdefault("rank", "advanced")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _rank_common(section: str, form: dict[str, Any], known: Mapping[str, dict[str, Any]]) -> None:
    """Write, in place, which keys in ``form`` and below it are common."""
    for name, key in form.get("properties", {}).items():
        path = f"{section}.{name}".removeprefix(".")
        if path in COMMON:
            key["rank"] = "common"
        for reference in _references(key):
            _rank_common(path, known[reference], known)


def _references(form: Any) -> Iterator[str]:
    """Yield the names of the sections that a value may be, or a list may hold."""
    for key, inner in form.items() if isinstance(form, dict) else enumerate(form):
        if key == "$ref":
            yield inner.rpartition("/")[2]
        elif isinstance(inner, dict | list):
            yield from _references(inner)


def _parsed(text: str, name: str) -> Document:
    try:
        document = parse_yaml(text)
    except Refused as found:
        raise Origin(name).error(found.statement) from None
    if document.value is None:
        text = "is empty; a scenario needs at least stop, orbit and ground"
        raise ScenarioError(wrong("", text, Code.MISSING), Place(file=name))
    if not isinstance(document.value, dict):
        text = "is not a mapping; write keys such as orbit: and ground: with their values"
        raise Origin(name, document.lines).error(wrong("", text, Code.WRONG_VALUE))
    return document


def _written_section(keys: Mapping[str, Any], origin: Origin, key: str) -> Iterator[str]:
    """Yield a dotted key if it is a section that was written, even with its default values."""
    path = tuple(key.split("."))
    section: Any = keys
    for name in path:
        section = section.get(name) if isinstance(section, dict) else None
    if isinstance(section, dict) and (path in origin.lines or origin.is_overridden(path)):
        yield key


def _validated(
    mapping: dict[str, Any],
    origin: Origin,
    path: Path | None,
    *,
    untrusted: bool = False,
    of_a_file: Collection[str] = (),
) -> Scenario:
    if problem := too_deep(mapping):
        raise origin.error(problem)
    try:
        scenario = Scenario.model_validate(python_values(mapping))
    except ValidationError as error:
        raise origin.error(*first_problem(error)) from None
    for problem in said(Scenario.rules, scenario, partial(_written_section, mapping, origin)):
        raise origin.error(problem)
    if untrusted:  # what needs consent is refused, unless an override asks for it
        folder, shipped = (Path.cwd(), False) if path is None else (path.parent, is_shipped(path))
        consent = replace(
            origin, overridden=tuple(key for key in origin.overridden if key not in of_a_file)
        )
        for problem in needs_consent(scenario, folder, shipped=shipped):
            if not consent.is_overridden(problem.path):
                raise origin.error(problem)
    # Only now: findings point at the order of the file.
    ordered = scenario.model_copy(update={"ground": in_canonical_order(scenario.ground)})
    ordered.remember_source(path, origin)
    return ordered
