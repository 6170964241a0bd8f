"""Which combinations of values a sweep visits: all, one from each list in turn, or random ones."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from learning.rng import stream
from sim.errors import InputError
from sim.sweep.specs import Span, Spec, refuse

Specs = Mapping[str, Spec]
SAMPLINGS = ("grid", "zip", "random")


def combinations_count(specs: Specs, sampling: str, samples: int | None) -> int:
    """Return how many combinations there will be, without making them; InputError if none can."""
    if sampling not in SAMPLINGS:
        raise InputError(f"--sampling {sampling}: must be one of {', '.join(SAMPLINGS)}")
    if sampling == "random":
        if samples is None:
            raise InputError("--sampling random: say how many by --samples N")
        if samples < 1:
            raise InputError(f"--samples {samples}: must be at least 1")
        return samples
    if samples is not None:
        raise InputError(f"--samples {samples}: goes with --sampling random")
    counts = {key: len(_listed(key, spec)) for key, spec in specs.items()}
    if sampling == "grid":
        return math.prod(counts.values())
    first, most = next(iter(counts.items()))
    for key, count in counts.items():
        if count != most:
            raise InputError(
                f"-p {key}: has {count} values and -p {first} {most}; "
                "--sampling zip needs as many of each"
            )
    return most


def combinations(
    specs: Specs, sampling: str, samples: int | None, seed: Callable[[], int]
) -> Iterator[dict[str, Any]]:
    """Yield the values of each combination by key; ``seed`` is asked for if there is chance in it.

    In a grid the last key varies fastest. Random values of a key are drawn from its own stream, so
    that neither other keys nor more ``samples``, which only these have, change them.
    """
    if samples is None:
        drawn = [_listed(key, spec) for key, spec in specs.items()]
    else:
        drawn = [_drawn(key, spec, samples, seed()) for key, spec in specs.items()]
    tuples = product(*drawn) if sampling == "grid" else zip(*drawn, strict=True)
    return (dict(zip(specs, values, strict=True)) for values in tuples)


def _listed(key: str, spec: Spec) -> Sequence[Any]:
    """Return the values of a key; raise InputError for a range without a step."""
    if isinstance(spec, Span):
        refuse(key, "is a range without a step; give start:stop:step, or sample it at random")
    return spec


def _drawn(key: str, spec: Spec, samples: int, seed: int) -> list[Any]:
    rng = stream(seed, "sweep", key)
    if isinstance(spec, Span):
        return [float(value) for value in rng.uniform(spec.start, spec.stop, samples)]
    return [spec[int(place)] for place in rng.integers(len(spec), size=samples)]
