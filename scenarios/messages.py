"""pydantic's findings in the words of a scenario file, the nearest known key, the JSON Schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, Discriminator, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from scenarios.errors import KeyPath, Problem, ProblemsFound, shown
from scenarios.scenario import Scenario

# Where a finding of pydantic lies in a scenario, and which keys are known there.


Models = tuple[type[BaseModel], ...]


@dataclass(frozen=True)
class Place:
    """A spot in a scenario: its path, its field if known, and the sections that may stand there.

    `chosen` are the sections left once a tag (`source: tle`) is known; `siblings` all of them.
    """

    path: KeyPath = ()
    field: FieldInfo | None = None
    chosen: Models = (Scenario,)
    siblings: Models = ()


def place_of(loc: KeyPath) -> Place:
    """Follow a pydantic location, in which the tags of unions stand between the keys."""
    place, after_union = Place(), False
    for part in loc:
        if after_union:
            place, after_union = _narrowed(place, str(part)), False
            continue
        place = _stepped(place, part)
        after_union = place.field is not None and isinstance(part, str) and _is_tagged(place.field)
    return place


def _narrowed(place: Place, tag: str) -> Place:
    chosen = tuple(model for model in place.chosen if tag in _sources(model))
    return Place(place.path, place.field, chosen or place.chosen, place.chosen)


def _stepped(place: Place, part: str | int) -> Place:
    path = (*place.path, part)
    if isinstance(part, int):
        return Place(path, place.field, place.chosen, place.siblings)
    known = [model.model_fields[part] for model in place.chosen if part in model.model_fields]
    if not known:
        return Place(path, None, place.chosen, place.siblings)
    return Place(path, known[0], _models_in(known[0].annotation))


def _is_tagged(field: FieldInfo) -> bool:
    return field.discriminator is not None or any(
        isinstance(item, Discriminator) for item in field.metadata
    )


def _sources(model: type[BaseModel]) -> tuple[str, ...]:
    source = model.model_fields.get("source")
    return () if source is None else get_args(source.annotation)


def _models_in(annotation: Any) -> Models:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for part in get_args(annotation) for model in _models_in(part))


def users_of(key: str, place: Place) -> list[str]:
    """Return the sources other than the chosen one that have the key."""
    others = [model for model in place.siblings if key in model.model_fields]
    return [source for model in others for source in _sources(model)]


def suggestion(key: str, place: Place) -> str:
    """Say which key may have been meant: one nearby, one elsewhere, else all known here."""
    here = sorted({name for model in place.chosen for name in model.model_fields})
    near = get_close_matches(key.lower().replace("-", "_"), here, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]!r}?"
    # From the end, so that of keys that are called alike the shallowest, or the first, is named.
    paths = sorted(_all_keys(Scenario), key=lambda path: path.count("."))
    elsewhere = {path.rsplit(".", 1)[-1]: path for path in reversed(paths)}
    near = get_close_matches(key, elsewhere, n=1, cutoff=0.85)
    if near:
        return f"did you mean {elsewhere[near[0]]!r}?"
    return f"allowed here: {', '.join(here)}" if here else "nothing is allowed here"


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        brackets = "[]" if "tuple" in str(field.annotation) else ""
        for inner in _models_in(field.annotation):
            yield from _all_keys(inner, f"{prefix}{name}{brackets}.")


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
    "dict_type": "a mapping of keys",
    "string_pattern_mismatch": "text of the allowed characters",
    "string_too_short": "text that is not empty",
    "string_too_long": "shorter text",
    "too_short": "a list that is not empty",
    "too_long": "a shorter list",
}
_UNKNOWN_KEY = ("extra_forbidden", "invalid_key")
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def first_problem(error: ValidationError) -> tuple[Problem, int]:
    """Return the finding to tell and how many there are; unknown keys explain missing ones."""
    details = [item for item in error.errors(include_url=False) if not _is_echo(item)]
    details.sort(key=lambda detail: detail["type"] not in _UNKNOWN_KEY)
    return _problem(details[0]), sum(len(_own(detail)) or 1 for detail in details)


def _is_echo(detail: Any) -> bool:
    """Tell a list that pydantic calls too short for the items that it refused already."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _own(detail: Any) -> tuple[Problem, ...]:
    """Return what a rule of ours found, if that is what the detail wraps."""
    cause = detail.get("ctx", {}).get("error")
    return cause.problems if isinstance(cause, ProblemsFound) else ()


def _problem(detail: Any) -> Problem:
    loc = detail["loc"]
    # pydantic's mark for a key that is at fault, not its value; a user may call a key so, too.
    marked = loc[-1:] == ("[key]",) and detail["type"] != "extra_forbidden"
    place = place_of(loc[:-1] if marked else loc)
    own = _own(detail)
    if own:
        return Problem((*place.path, *own[0].path), own[0].text)
    if detail["type"].startswith("union_tag"):
        return _source_problem(detail, place)
    return Problem(place.path, _text(detail, place))


def _text(detail: Any, place: Place) -> str:
    if detail["type"] in _UNKNOWN_KEY:
        return _unknown(place)
    if detail["type"] == "missing":
        return f"is missing; give the {_meaning(place.field)}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return _mismatch(detail, place)


def _unknown(place: Place) -> str:
    key = str(place.path[-1])
    others = users_of(key, place)
    if others:
        source = get_args(place.chosen[0].model_fields["source"].annotation)[0]
        return f"is not used by source {source!r} (it belongs to {_and(others)})"
    return f"is not a known key; {suggestion(key, place)}"


def _and(names: list[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _source_problem(detail: Any, place: Place) -> Problem:
    sources = [get_args(model.model_fields["source"].annotation)[0] for model in place.chosen]
    got = detail["input"].get("source")
    start = "is missing; it" if got is None else f"got {shown(got)}; source"
    text = f"{start} must be one of {_listed(sources)}{_near(sources, got)}"
    return Problem((*place.path, "source"), text)


def _mismatch(detail: Any, place: Place) -> str:
    got = detail["input"]
    text = f"got {shown(got)}; {_required(detail, place, got)}"
    if detail["type"] == "string_type" and isinstance(got, int | float):
        text += f"; quote it: {str(shown(got))!r}"
    return text


def _required(detail: Any, place: Place, got: Any) -> str:
    kind, field = detail["type"], place.field
    if kind == "choice":
        return f"{detail['msg']}{_description(field)}"
    if kind == "literal_error":
        names = _choices(field)
        return f"must be one of {_listed(names)}{_description(field)}{_near(names, got)}"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}{_range(field)}{_description(field)}"
    bounds = _range(field) or _bounds_in(detail.get("ctx", {}))
    if bounds:
        return f"must be{bounds}{_description(field)}"
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}{_description(field)}"


def _choices(field: FieldInfo | None) -> list[str]:
    return [] if field is None else _texts_in(field.annotation)


def _texts_in(annotation: Any) -> list[str]:
    if isinstance(annotation, str):
        return [annotation]
    return [text for part in get_args(annotation) for text in _texts_in(part)]


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _near(names: list[str], got: Any) -> str:
    near = get_close_matches(got, names, n=1) if isinstance(got, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _range(field: FieldInfo | None) -> str:
    metadata = [] if field is None else field.metadata
    limits = [(name, getattr(item, name, None)) for item in metadata for name in _BOUNDS]
    return _bounds_in({name: limit for name, limit in limits if limit is not None})


def _bounds_in(limits: dict[str, Any]) -> str:
    found = [f"{sign} {_plain(limits[name])}" for name, sign in _BOUNDS.items() if name in limits]
    return f" {' and '.join(found)}" if found else ""


def _plain(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _meaning(field: FieldInfo | None) -> str:
    description = "value" if field is None else field.description or "value"
    bounds = _range(field).strip()
    return f"{description} ({bounds})" if bounds else description


def _description(field: FieldInfo | None) -> str:
    return f" ({field.description})" if field is not None and field.description else ""


# The JSON Schema of scenario files, as editors complete from it.


class ForEditors(GenerateJsonSchema):
    """pydantic's schema, less what an editor would show or insert in vain.

    A key is called as it is written, not `Min Elevation Deg`. The default of a section is all its
    keys, dozens of them, with their defaults, and an empty mapping says the same.
    """

    def get_title_from_name(self, name: str) -> str:
        """Return what a key is called."""
        return name

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON; a section's is empty."""
        return {} if isinstance(dft, BaseModel) else super().encode_default(dft)
