"""`-p KEY=SPEC`: values of a key, and which combinations are visited."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any, NoReturn

from learning.rng import stream
from scenarios.errors import ProblemsFound
from scenarios.parsing import parse_yaml
from sim.errors import InputError

# As YAML 1.2 has them, but for leading zeros: 08:30:00 is a time and no range.
_NUMBER = r"[-+]?(?:(?:0|[1-9]\d{0,29})(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity|nan)", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_MOST_WHOLE = 2**63 - 1


@dataclass(frozen=True)
class Items:
    """Values in the order in which they were written."""

    values: tuple[Any, ...]

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def at(self, place: int) -> Any:
        """Return the value at a place."""
        return self.values[place]


@dataclass(frozen=True)
class Steps:
    """Numbers from ``start`` to ``stop``, both included, in steps; exact, as they are decimal."""

    start: Fraction
    stop: Fraction
    step: Fraction
    whole: bool

    @property
    def count(self) -> int:
        """How many values there are, without making them."""
        return (self.stop - self.start) // self.step + 1

    def at(self, place: int) -> int | float:
        """Return the value at a place: an int where all three were written as whole numbers."""
        return (int if self.whole else float)(self.start + place * self.step)


@dataclass(frozen=True)
class Span:
    """All numbers between two: what random samples are drawn from."""

    start: float
    stop: float


Spec = Items | Steps | Span


def read_pair(pair: str) -> tuple[str, Spec]:
    """Return key and values of ``KEY=SPEC``; raise InputError for what is neither."""
    key, equals, text = pair.partition("=")
    if not equals or not key.strip():
        raise InputError(f"-p {pair}: should be KEY=SPEC, like -p orbit.altitude_km=400:1200:100")
    return key, read_spec(key, text)


def read_spec(key: str, text: str) -> Spec:
    """Return what a SPEC says: ``a,b,c``, ``start:stop:step`` or ``start:stop``.

    Items are read as YAML: a comma within brackets or quotes belongs to its item. Text with colons
    that are not between plain numbers is no range.
    """
    text = text.strip()
    _check_finite(key, text)
    found = _RANGE.fullmatch(text)
    return _items(key, text) if found is None else _range(key, text, *found.groups())


def _check_finite(key: str, text: str) -> None:
    parts = text.split(":")
    numbers = [part for part in parts if re.fullmatch(_NUMBER, part) or _NOT_FINITE.fullmatch(part)]
    if len(parts) in (2, 3) and len(numbers) == len(parts):
        for part in parts:
            if _NOT_FINITE.fullmatch(part) or not math.isfinite(float(part)):
                _refuse(key, f"{text} is not finite; give finite numbers")


def _range(key: str, text: str, start: str, stop: str, step: str | None) -> Spec:
    first, last = Fraction(Decimal(start)), Fraction(Decimal(stop))
    if last < first:
        _refuse(key, f"{text} is reversed; write it from the least to the greatest")
    if step is None:
        return Span(float(start), float(stop))
    by = Fraction(Decimal(step))
    if by <= 0:
        _refuse(key, f"{text} has a step of {step}; it must be above 0")
    whole = all(_WHOLE.fullmatch(part) for part in (start, stop, step))
    if whole and max(abs(first), abs(last)) > _MOST_WHOLE:
        _refuse(key, f"{text} is too large; whole numbers go up to {_MOST_WHOLE}")
    if (last - first) / by > _MOST_WHOLE:
        _refuse(key, f"{text} has far too many values; give a larger step")
    return Steps(first, last, by, whole)


def _items(key: str, text: str) -> Items:
    if not text:
        _refuse(key, "has no values; give a,b,c or start:stop:step")
    try:
        values = parse_yaml(f"[{text}]").value
    except ProblemsFound as found:
        reason = " ".join(found.problems[0].text.split())
        _refuse(key, f"{text} is no list of values: {reason}")
    # YAML takes a comma at the end for the end of the list.
    if not values or text.endswith(","):
        _refuse(key, f"{text} has an empty item; give a,b,c or start:stop:step")
    return Items(tuple(values))


def _refuse(key: str, text: str) -> NoReturn:
    raise InputError(f"-p {key}: {text}")


def count_of(key: str, spec: Spec) -> int:
    """Return how many values a key has; raise InputError for a range without a step."""
    if isinstance(spec, Span):
        _refuse(key, "is a range without a step; give start:stop:step, or sample it at random")
    return spec.count


def read_pairs(pairs: Sequence[str]) -> dict[str, Spec]:
    """Return the values of each key of ``KEY=SPEC`` texts; a key may be given once."""
    specs: dict[str, Spec] = {}
    for key, spec in map(read_pair, pairs):
        if key in specs:
            _refuse(key, "is given twice; keep one")
        specs[key] = spec
    return specs


# Which combinations of values a sweep visits: all, one from each list in turn, or random ones.


Specs = Mapping[str, Spec]
SAMPLINGS = ("grid", "zip", "random")


def combinations_count(specs: Specs, sampling: str, samples: int | None) -> int:
    """Return how many combinations there will be, without making them; InputError if none can."""
    _check(specs, sampling, samples)
    if sampling == "random":
        assert samples is not None  # checked
        return samples
    counts = [count_of(key, spec) for key, spec in specs.items()]
    if sampling == "grid":
        return math.prod(counts)
    for key, count in zip(specs, counts, strict=True):
        if count != counts[0]:
            raise InputError(
                f"-p {key}: has {count} values and -p {next(iter(specs))} {counts[0]}; "
                "--sampling zip needs as many of each"
            )
    return counts[0]


def combinations(
    specs: Specs, sampling: str, samples: int | None, seed: Callable[[], int]
) -> Iterator[dict[str, Any]]:
    """Yield the values of each combination by key; ``seed`` is asked for if there is chance in it.

    In a grid the last key varies fastest. Random values of a key are drawn from its own stream, so
    that neither other keys nor more samples change them.
    """
    if sampling == "random":
        assert samples is not None  # checked by combinations_count
        drawn = [_drawn(key, spec, samples, seed()) for key, spec in specs.items()]
    else:
        drawn = [_all(key, spec) for key, spec in specs.items()]
    tuples = product(*drawn) if sampling == "grid" else zip(*drawn, strict=True)
    return (dict(zip(specs, values, strict=True)) for values in tuples)


def _check(specs: Specs, sampling: str, samples: int | None) -> None:
    if sampling not in SAMPLINGS:
        raise InputError(f"--sampling {sampling}: must be one of {', '.join(SAMPLINGS)}")
    if sampling == "random" and samples is None:
        raise InputError("--sampling random: say how many by --samples N")
    if sampling != "random" and samples is not None:
        raise InputError(f"--samples {samples}: goes with --sampling random")
    if samples is not None and samples < 1:
        raise InputError(f"--samples {samples}: must be at least 1")


def _all(key: str, spec: Spec) -> list[Any]:
    count = count_of(key, spec)
    assert not isinstance(spec, Span)  # refused by count_of
    return [spec.at(place) for place in range(count)]


def _drawn(key: str, spec: Spec, samples: int, seed: int) -> list[Any]:
    rng = stream(seed, "sweep", key)
    if isinstance(spec, Span):
        return [float(value) for value in rng.uniform(spec.start, spec.stop, samples)]
    return [spec.at(int(place)) for place in rng.integers(spec.count, size=samples)]
