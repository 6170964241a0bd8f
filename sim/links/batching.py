"""Passes computed in batches: geometry and rates of all of them in one call of numpy.

A contact of a few devices has some hundred points, and a call of numpy costs as much as a thousand
of them. So the work on a pass is a generator, which asks for what is computed point by point.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

import orbit
from channel import CLEAR_PATH, Link, Path, received_signal, signal_rate_bps
from learning.requests.cluster import Floats, Ints
from orbit.contact_geometry import looks_along
from orbit.sites import SiteFrames

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class GeometryQuery:
    """Elevation (deg), range (m) and range rate (km/s), each (K, J), of devices (K,) along a track.

    At times (K, J) or (1, J).
    """

    track: orbit.ContactTrack
    frames: SiteFrames
    time_s: Floats
    devices: Ints

    @property
    def kind(self) -> tuple[Any, ...]:
        """What those have in common that are answered together."""
        return GeometryQuery, id(self.frames)

    @staticmethod
    def answers(asked: Sequence[GeometryQuery]) -> list[tuple[Floats, Floats, Floats]]:
        """One a question."""
        seen = looks_along(
            [ask.track for ask in asked],
            [ask.time_s for ask in asked],
            asked[0].frames,
            [ask.devices for ask in asked],
        )
        return [(elevation, range_km * 1e3, rate) for elevation, range_km, rate in seen]


@dataclass(frozen=True, eq=False)
class RateQuery:
    """SNR (dB), Rician factor and rate (bit/s), each (K, J), of a link at its places (K, J)."""

    link: Link
    elevation_deg: Floats
    range_m: Floats
    path: Path

    @property
    def kind(self) -> tuple[Any, ...]:
        """What those have in common that are answered together."""
        return RateQuery, id(self.link)

    @staticmethod
    def answers(asked: Sequence[RateQuery]) -> list[tuple[Floats, Floats, Floats]]:
        """One a question."""
        link = asked[0].link
        if len(asked) == 1:
            place = asked[0].elevation_deg, asked[0].range_m, asked[0].path
        else:
            elevation_deg = np.concatenate([ask.elevation_deg.ravel() for ask in asked])
            range_m = np.concatenate([ask.range_m.ravel() for ask in asked])
            place = elevation_deg, range_m, _path(asked)
        signal = received_signal(link, *place)
        values = signal.snr_db, signal.rician_k_linear, signal_rate_bps(link, signal)
        if len(asked) == 1:
            return [values]
        ends = np.cumsum([ask.range_m.size for ask in asked])[:-1]
        parts = zip(asked, *(np.split(value, ends) for value in values), strict=True)
        return [tuple(part.reshape(ask.range_m.shape) for part in some) for ask, *some in parts]


def _path(asked: Sequence[RateQuery]) -> Path:
    """What was drawn for every point; without an environment it has no effect."""
    if asked[0].link.environment is None:
        return CLEAR_PATH
    fields = zip(*(vars(ask.path).values() for ask in asked), strict=True)
    shapes = [ask.range_m.shape for ask in asked]
    each = ([np.broadcast_to(*x).ravel() for x in zip(xs, shapes, strict=True)] for xs in fields)
    return Path(*map(np.concatenate, each))


Batched = Generator[GeometryQuery | RateQuery, Any, T]
"""A coroutine whose numpy calls are batched: it yields queries, and returns its result."""


def run_batched(works: Sequence[Batched[T]]) -> list[T]:
    """Run coroutines together and return their results; no bit depends on the others."""
    done: dict[int, T] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(works)))
    while answers:
        asked: dict[Any, dict[int, GeometryQuery | RateQuery]] = defaultdict(dict)
        for number, answer in answers.items():
            try:
                ask = works[number].send(answer)
            except StopIteration as end:
                done[number] = end.value
            else:
                asked[ask.kind][number] = ask
        answers = {}
        for kind, asks in asked.items():
            answers.update(zip(asks, kind[0].answers(list(asks.values())), strict=True))
    return [done[number] for number in range(len(works))]


def alone(work: Batched[T]) -> T:
    """Run one coroutine."""
    return run_batched([work])[0]
