"""Where a finding of pydantic lies in a scenario, and which keys are known there."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, Discriminator
from pydantic.fields import FieldInfo

from scenarios.errors import KeyPath
from scenarios.scenario import Scenario

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
