"""Labels of groups of runs: what tells them apart, as short as it can be said, each one unique."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

import yaml

from sim.analysis.figures import LISTED
from sim.formatting import as_yaml

LONGEST_LABEL = 40
"""Letters of a label up to which a legend, and the end of a line in a chart, has room for it."""
LONGEST_VALUE = 20
"""Letters of a value where labels are too long."""
VARIANT = "variant"
"""The column of the names of variants, among the keys of a sweep."""
METHOD = "learning.method"
CODE = "code"
"""A digest of the user's own code, where runs of the same keys had another one."""
LABELLED_FIRST = (VARIANT, METHOD)
"""Keys whose values stand first, and by themselves."""
SAY_LITTLE = ("min", "max", "mean", "used", "per", "of", "count", "number")
"""Words of keys that are left out where labels are too long."""

Settings = Mapping[str, Any]


def code_label(manifest: Mapping[str, Any]) -> str:
    """Return a short digest of the user's own code that took part in a run; "" for none."""
    modules = manifest.get("own_modules", manifest.get("code"))
    if not modules:
        return ""
    text = json.dumps(modules, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def labels_of(settings: Sequence[Settings], names: Sequence[str] = ()) -> list[str]:
    """Return a label for each of some groups by the values of their keys; no two are the same.

    Only keys that differ are named, by the shortest ends of their dotted names that are no ends of
    other keys. A value that is None is not named. Where labels would be longer than
    :data:`LONGEST_LABEL`, words that say little go, then keys without which the groups are still
    told apart, then what is too long. A mapping is named by its own keys. Groups that have
    ``names`` are called by them where their keys would have to go, but for methods and variants.
    """
    settings = _in_parts(settings)
    keys = list(dict.fromkeys(key for own in settings for key in own))
    differing = [key for key in keys if len({_plain(own.get(key)) for own in settings}) > 1]
    if not differing:
        differing = [key for key in keys if key in LABELLED_FIRST]
        if not differing and _all_differ(names):
            return _numbered(names)
        differing = differing or keys[:1]
    labels: list[str] = []
    for short, needed_only in ((False, False), (True, False), (True, True)):
        named = _needed(settings, differing) if needed_only else differing
        if len(named) < len(differing) and not {*named} & {*LABELLED_FIRST} and _all_differ(names):
            return _numbered(names)
        heads = _heads(named, keys, short=short)
        alone = len(named) == 1 and named[0] != CODE
        if alone and all(_is_name(own.get(named[0])) for own in settings):
            labels = [_value("", own[named[0]], short=short) for own in settings]
        else:
            labels = [_label(own, named, heads, short=short) for own in settings]
        if len(set(labels)) == len(labels) and max(map(len, labels), default=0) <= LONGEST_LABEL:
            return labels
    return _numbered(labels)


class _Section(Enum):
    """What stands for a mapping where its keys do not name it: it is given, or it is not."""

    GIVEN = ""
    ABSENT = "no "


def _in_parts(settings: Sequence[Settings]) -> list[Settings]:
    """Return settings with a key for each key of a mapping in which the mappings differ.

    Of one that has none of these keys, and of none at all, it is said which it is.
    """
    found = [dict(own) for own in settings]
    for key in dict.fromkeys(key for own in settings for key in own):
        mappings = [_mapping(own.get(key)) for own in settings]
        given = [one for one in mappings if one is not None]
        if not given:
            continue
        parts = dict.fromkeys(part for one in given for part in one)
        apart = [part for part in parts if len({_plain(one.get(part)) for one in given}) > 1]
        for own, mapping in zip(found, mappings, strict=True):
            if mapping is None:
                own[key] = _Section.ABSENT if own.get(key) is None else own[key]
                continue
            del own[key]
            own |= {f"{key}.{part}": mapping[part] for part in apart if part in mapping}
            if not any(part in mapping for part in apart):
                own[key] = _Section.GIVEN
    nested = any(_mapping(value) is not None for own in found for value in own.values())
    return _in_parts(found) if nested else list(found)


def _mapping(value: Any) -> Settings | None:
    """Return a value that is a mapping, as such or as JSON; None for any other one."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError):
            value = json.loads(value)
    return value if isinstance(value, Mapping) else None


def _is_name(value: Any) -> bool:
    """Tell whether a value says by itself what it is: a word, and no number or list."""
    try:
        return isinstance(value, str) and isinstance(yaml.safe_load(value), str)
    except yaml.YAMLError:
        return True


def _all_differ(names: Sequence[str]) -> bool:
    return bool(names) and len({*names}) == len(names)


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _needed(settings: Sequence[Settings], keys: Sequence[str]) -> list[str]:
    """Return keys that tell the groups apart, without those that others make superfluous."""
    kept = list(keys)

    def told_apart(by: Sequence[str]) -> int:
        return len({_plain([own.get(key) for key in by]) for own in settings})

    for key in sorted(keys, key=lambda one: one in LABELLED_FIRST):
        rest = [other for other in kept if other != key]
        if rest and told_apart(rest) == told_apart(keys):
            kept = rest
    return kept


def _heads(named: Sequence[str], every: Collection[str], *, short: bool) -> dict[str, str]:
    """Return how each key is called; a name that two would have gives way to a longer one."""
    heads = {key: _telling_words(key) if short else ending(key, every) for key in named}
    count = Counter(heads.values())
    return {key: head if count[head] == 1 else ending(key, every) for key, head in heads.items()}


def ending(key: str, every: Collection[str]) -> str:
    """Return the shortest end of a dotted key, in whole parts, that no other key ends in."""
    parts = key.split(".")
    for first in range(len(parts) - 1, 0, -1):
        end = ".".join(parts[first:])
        if not any(other == end or other.endswith(f".{end}") for other in every if other != key):
            return end
    return key


def _label(own: Settings, named: Sequence[str], heads: Mapping[str, str], *, short: bool) -> str:
    said = [key for key in named if own.get(key) not in (None, "[]")]
    first = [_value("", own[key], short=short) for key in LABELLED_FIRST if key in said]
    rest = (
        _named(heads[key], key, own[key], short=short) for key in said if key not in LABELLED_FIRST
    )
    return " ".join([*first, *rest]) or (f"no {heads[named[0]]}" if named else "")


def _named(head: str, key: str, value: Any, *, short: bool) -> str:
    """Name a value by its key; of a list of mappings how many it has."""
    if isinstance(value, _Section):
        return f"{value.value}{head}"
    if isinstance(value, str) and value.startswith("[{"):
        return f"{len(json.loads(value))} {head}"
    return f"{head}={_value(key, value, short=short)}"


def _value(key: str, value: Any, *, short: bool) -> str:
    """Write a value; if it is to be ``short``, with its key's unit, without the middle if long."""
    text = " ".join(as_yaml(value).split())
    if not short:
        return text
    if len(text) > LONGEST_VALUE:
        text = text.rsplit("/", 1)[-1]
    return f"{_cut(text, LONGEST_VALUE)}{_unit(key)}"


def _cut(text: str, most: int) -> str:
    tail = most // 2
    return text if len(text) <= most else f"{text[: most - tail - 1]}…{text[-tail:]}"


def _unit(key: str) -> str:
    last = key.rsplit(".", 1)[-1].rpartition("_")
    return last[2] if last[0] and last[2] in LISTED["units"] else ""


def _telling_words(key: str) -> str:
    """Return the words of a key's last part, without its unit and those that say little."""
    last = key.rsplit(".", 1)[-1]
    words = last.removesuffix(f"_{_unit(key)}").split("_")
    return "_".join([word for word in words if word not in SAY_LITTLE] or words)


def _numbered(labels: Sequence[str]) -> list[str]:
    """Return labels that are cut where they are too long, and numbered where two look the same."""
    room = LONGEST_LABEL - len(f" #{len(labels)}")
    found: list[str] = []
    for label in labels:
        cut = label if len(label) <= LONGEST_LABEL else _cut(label, room)
        number = 1
        while (new := cut if number == 1 else f"{_cut(cut, room)} #{number}") in found:
            number += 1
        found.append(new)
    return found
