"""Which combinations of values a sweep visits: all, one from each list in turn, or random ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from learning.rng import stream
from sim.errors import InputError
from sim.sweeps.spec import Span, Spec, count_of

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
