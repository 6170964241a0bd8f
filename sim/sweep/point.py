"""A point of a sweep, and how it ended; both can be written as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from learning.settings import LearningConfig
from sim.formatting import as_yaml


@dataclass(frozen=True)
class Point:
    """One run of a sweep; all of it can be written as JSON.

    ``overrides`` are all keys over the scenario (a path, or a shipped name), ``values`` only those
    that are swept; ``digest`` names the resolved scenario and the folder of the run. Where the
    scenario names code of one's own, ``code`` has the digests of its files by ``MODULE:NAME``, and
    ``besides_code`` is a digest of all else. One ``of_network`` is a study in which nobody learns.
    """

    number: int
    digest: str
    scenario: str
    overrides: dict[str, Any]
    values: dict[str, Any]
    replication: int
    seed: int
    besides_code: str = ""
    code: dict[str, str] = field(default_factory=dict)
    of_network: bool = False

    @cached_property
    def start(self) -> str:
        """What its data and start model depend on, as far as its keys tell.

        A process that runs points of one start after another makes them once. Where two points
        that differ have the same one, or equal ones do not, that costs time and nothing else.
        """
        own = {key: value for key, value in self.overrides.items() if _decides_start(key)}
        return json.dumps([self.seed, own], sort_keys=True)


LEARNING_KEYS = {"lora", *(part.name for part in fields(LearningConfig))}
"""Keys of ``learning:`` that decide what is trained; others are the method's."""


def _decides_start(key: str) -> bool:
    section, _, rest = key.partition(".")
    if section == "learning":
        return not rest or rest.partition(".")[0] in LEARNING_KEYS
    return section == "ground"  # whose clusters and devices hold the data


def by_start(points: Iterable[Point]) -> list[Point]:
    """Return the points so that those of one start follow one another, else in their order."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.start, []).append(point)
    return [point for group in groups.values() for point in group]


def labelled(row: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Name the values of some keys of a point."""
    return ", ".join(f"{key}={as_yaml(row[key])}" for key in keys)


@dataclass(frozen=True)
class PointOutcome:
    """How a point ended; ``figures`` are those of its row, ``note`` is worth a line on stderr.

    ``code`` says of which kind its ``error`` is, if it was refused or failed; ``said`` is what is
    refused, as JSON.
    """

    digest: str
    status: str
    error: str = ""
    attempts: int = 1
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    code: str = ""
    said: dict[str, Any] | None = None
