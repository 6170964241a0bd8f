"""pydantic's findings in the words of a scenario file, and the JSON Schema of these files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, Discriminator, JsonValue, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from learning.declarations import Settings, keys_of
from scenarios.common_keys import COMMON
from scenarios.scenario import Scenario
from statements import Code, KeyPath, Refused, Statement, shown

Sections = tuple[type[BaseModel | Settings], ...]

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "datetime_type": "a UTC time like 2026-08-22T00:00:00Z",
    "tuple_type": "a list",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "dataclass_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "string_pattern_mismatch": "text of the allowed characters",
    "string_too_short": "text that is not empty",
    "string_too_long": "shorter text",
    "too_short": "a list that is not empty",
    "too_long": "a shorter list",
}
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument", "invalid_key")
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def first_problem(error: ValidationError) -> tuple[Statement, int]:
    """Return the problem to report first and how many there are.

    Unknown keys come before all others, as they explain the keys that are missing.
    """
    # A list whose items were refused is called too short as well.
    details = [
        detail
        for detail in error.errors(include_url=False)
        if not (detail["type"] == "too_short" and detail["input"])
    ]
    first = min(details, key=lambda detail: detail["type"] not in _UNKNOWN_KEY)
    return _problem(first), sum(len(_of_our_rules(detail)) or 1 for detail in details)


def _of_our_rules(detail: Any) -> tuple[Statement, ...]:
    """Return what a rule of ours found, if that is what the detail wraps."""
    cause = detail.get("ctx", {}).get("error")
    return cause.statements if isinstance(cause, Refused) else ()


def _problem(detail: Any) -> Statement:
    loc = detail["loc"]
    # pydantic's mark for a wrong key instead of a wrong value; a user's key may have this name too.
    unknown = ("extra_forbidden", "unexpected_keyword_argument")
    marked = loc[-1:] == ("[key]",) and detail["type"] not in unknown
    place = _place_of(loc[:-1] if marked else loc)
    if marked:
        place = replace(place, field=_place_of(loc[:-2]).field)  # the mapping's, not its value's
    if found := _of_our_rules(detail):
        return found[0].below(*place.path)
    if detail["type"].startswith("union_tag"):
        path = (*place.path, "source")
        return Statement.of(Code.WRONG_VALUE, path, _which_source(detail["input"], place))
    if detail["type"] in _UNKNOWN_KEY:
        return _unknown_key(place)
    if detail["type"] == "missing":
        text = f"is missing; give the {_meaning(place.field)}"
        return Statement.of(Code.MISSING, place.path, text)
    if detail["type"] == "value_error":
        return Statement.of(Code.WRONG_VALUE, place.path, str(detail["ctx"]["error"]))
    return Statement.of(Code.WRONG_VALUE, place.path, _wrong_value(detail, place.field))


# Where a finding of pydantic lies in a scenario, and which keys are known there.


@dataclass(frozen=True)
class _Place:
    """A spot in a scenario: its path, its field if known, and the sections that may stand there.

    `chosen` are the sections left once a tag (`source: tle`) is known; `siblings` all of them.
    """

    path: KeyPath
    field: FieldInfo | None
    chosen: Sections
    siblings: Sections


def _place_of(loc: KeyPath) -> _Place:
    """Follow a pydantic location, in which the tags of unions stand between the keys."""
    path: KeyPath = ()
    field: FieldInfo | None = None
    chosen: Sections = (Scenario,)
    siblings: Sections = ()
    tag_follows = False
    for number, part in enumerate(loc):
        if tag_follows:
            siblings, tag_follows = chosen, False
            chosen = tuple(model for model in chosen if part in _sources(model)) or chosen
            continue
        path = (*path, part)
        if isinstance(part, int):
            continue
        known = [keys_of(model)[part] for model in chosen if part in keys_of(model)]
        field = known[0] if known else None
        if field is not None:
            if JsonValue in get_args(field.annotation):  # each key is followed by its value's type
                return _Place((*path, *loc[number + 1 :: 2]), field, chosen, siblings)
            chosen = _models_in(field.annotation)
            siblings = ()
            inner = (getattr(part, "__metadata__", ()) for part in get_args(field.annotation))
            marks = [*field.metadata, *(mark for part in inner for mark in part)]
            is_tag = any(isinstance(mark, Discriminator) for mark in marks)
            tag_follows = is_tag or field.discriminator is not None
    return _Place(path, field, chosen, siblings)


def _sources(model: type) -> tuple[str, ...]:
    source = keys_of(model).get("source")
    return () if source is None else get_args(source.annotation)


def _models_in(annotation: Any) -> Sections:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | Settings):
        return (annotation,)
    return tuple(model for part in get_args(annotation) for model in _models_in(part))


def _unknown_key(place: _Place) -> Statement:
    """Name the sources that have the key, and where this one has it, else the nearest key.

    Else all keys here.
    """
    key = str(place.path[-1])
    others = [s for model in place.siblings if key in keys_of(model) for s in _sources(model)]
    if others:
        owners = " and ".join(", ".join(others).rsplit(", ", 1))
        text = f"is not used by source {_sources(place.chosen[0])[0]!r} (it belongs to {owners})"
        inner = (path for model in place.chosen for path in _all_keys(model))
        lists = [path.rpartition(".")[0] for path in inner if path.endswith(f".{key}")]
        section = ".".join(map(str, place.path[:-1]))
        text += f"; give it in {section}.{lists[0].rstrip('[]')}" if lists else ""
        return Statement.of(Code.UNUSED, place.path, text)
    here = sorted({name for model in place.chosen for name in keys_of(model)})
    said = key.lower().replace("-", "_")
    above = (*map(str, place.path[:-1]), "")
    below = (path for model in place.chosen for path in _all_keys(model) if "." in path)
    near = [".".join(above) + path for path in below if path.replace(".", "_") == said][:1]
    near = near or get_close_matches(said, here, n=1, cutoff=0.7) or _abbreviated(said, here)
    if not near:
        # From the end, so that of keys with one name the shallowest, or the first, is suggested;
        # within a section from that one: a key of the same name means something else elsewhere.
        section = "".join(above[:1]) + "." if place.path[1:] else ""
        known = (path for path in _all_keys(Scenario) if path.startswith(section))
        paths = sorted(known, key=lambda path: path.count("."))
        elsewhere = {path.rsplit(".", 1)[-1]: path for path in reversed(paths)}
        near = [elsewhere[name] for name in get_close_matches(key, elsewhere, n=1, cutoff=0.85)]
    if near:
        text = "is not a known key; did you mean {near!r}?"
        return Statement.of(Code.UNKNOWN_KEY, place.path, text, near=near[0])
    names = _by_rank(place.path[:-1], here)
    allowed = f"allowed here: {names}" if here else "nothing is allowed here"
    return Statement.of(Code.UNKNOWN_KEY, place.path, f"is not a known key; {allowed}")


def _by_rank(section: KeyPath, names: Iterable[str]) -> str:
    """List the keys of a section, the common ones first."""
    above = [part for part in section if isinstance(part, str)]
    ranks: tuple[list[str], list[str]] = ([], [])
    for name in names:
        ranks[".".join([*above, name]) not in COMMON].append(name)
    return "; advanced: ".join(", ".join(rank) for rank in ranks if rank)


def _abbreviated(said: str, here: list[str]) -> list[str]:
    """Return the one key here that begins as what was said does, or has a word that does.

    ``lat`` and ``elevation`` stand for ``latitude_deg`` and ``min_elevation_deg``, ``alt_km`` for
    ``altitude_m``: with another unit it is still the same key. Where several do, none is returned.
    """
    first = said.split("_")[0]
    alike = (
        [key for key in here if key.startswith(said)],
        [key for key in here if key.startswith(first)],
        [key for key in here if any(word.startswith(first) for word in key.split("_"))],
    )
    found = next(filter(None, alike), [])
    return found if len(first) > 1 and len(found) == 1 else []


def _all_keys(model: type, prefix: str = "") -> Iterator[str]:
    for name, field in keys_of(model).items():
        yield prefix + name
        brackets = "[]" if "tuple" in str(field.annotation) else ""
        for inner in _models_in(field.annotation):
            yield from _all_keys(inner, f"{prefix}{name}{brackets}.")


# What is wrong with a value, and what it must be.


def _which_source(given: Any, place: _Place) -> str:
    sources = [_sources(model)[0] for model in place.chosen]
    got = given.get("source")
    start = "is missing; it" if got is None else f"got {shown(got)}; source"
    return f"{start} must be one of {_listed(sources, got)}"


def _wrong_value(detail: Any, field: FieldInfo | None) -> str:
    kind = detail["type"]
    got = detail["input"]
    message = detail["msg"]
    described = f" ({field.description})" if field is not None and field.description else ""
    if kind == "literal_error":
        names = [] if field is None else _texts_in(field.annotation)
        required = f"must be one of {_listed(names, got, described)}"
    elif allowed := " ".join(filter(None, (_KINDS.get(kind), _limits(field, detail)))):
        required = f"must be {allowed}{described}"
    else:
        required = f"{message[:1].lower()}{message[1:]}{described}"
    quote = kind == "string_type" and isinstance(got, int | float)
    return f"got {shown(got)}; {required}" + (f"; quote it: {str(shown(got))!r}" if quote else "")


def _listed(names: list[str], got: Any, described: str = "") -> str:
    """List the names, with the nearest one to what was given."""
    near = get_close_matches(got, names, n=1) if isinstance(got, str) else []
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return f"{', '.join(map(repr, names))}{described}{suggestion}"


def _texts_in(annotation: Any) -> list[str]:
    if isinstance(annotation, str):
        return [annotation]
    return [text for part in get_args(annotation) for text in _texts_in(part)]


def _limits(field: FieldInfo | None, detail: Any) -> str:
    """Return the limits of a number, `>= 1 and < 5`: its field's, else those it is beyond."""
    metadata = [] if field is None else field.metadata
    limits = {
        name: getattr(item, name) for item in metadata for name in _SIGNS if hasattr(item, name)
    }
    limits = limits or detail.get("ctx", {})
    return " and ".join(
        f"{sign} {limit if isinstance(limit, int) else format(limit, 'g')}"
        for name, sign in _SIGNS.items()
        if (limit := limits.get(name)) is not None
    )


def _meaning(field: FieldInfo | None) -> str:
    described = "" if field is None else field.description or ""
    description = described.partition(";")[0] or "value"
    limits = _limits(field, {})
    return f"{description} ({limits})" if limits else description


# The JSON Schema of scenario files, as editors complete from it.


class EditorSchema(GenerateJsonSchema):
    """pydantic's schema, less what an editor would show or insert in vain.

    A key is called as it is written, not `Min Elevation Deg`. The default of a section is all its
    keys, dozens of them, with their defaults, and an empty mapping says the same.
    """

    def get_title_from_name(self, name: str) -> str:
        """Return what a key is called."""
        return name

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON; a section's is empty."""
        return {} if isinstance(dft, BaseModel | Settings | dict) else super().encode_default(dft)
