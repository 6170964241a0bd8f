"""What the time of rounds was spent on, and the link that takes most of it.

The path of a round goes back from its end: the upload that arrived last, hop by hop, what was
waited for before each hop, the training before the upload, and the download before the training,
back to the end of the round before. Devices over a mesh send over two kinds of passes: those of
satellites over them, and those of satellites over a gateway. A download is not pursued beyond its
client: a round that begins with the end of the one before needs no more.

Sending lasts from when the hop could begin until the last bit is there. That includes the time of
flight, some milliseconds of each hop, which the tables do not tell apart: routes leave the longest
one of a link between two hops.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis import spans
from sim.analysis.intervals import NumberedSpans
from sim.analysis.journeys import Traffic
from sim.analysis.link_states import LinkStates, RoundLink, State
from sim.analysis.rounds import round_ends_s
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import numbers_of
from statements.arrays import Floats, Ints

Key = TypeVar("Key")


class Part(StrEnum):
    """What a round can spend time on."""

    TRAINING = "training"
    CONTACT_AWAITED = "waiting for the next contact"
    """A pass was free: the method waits for another one, as it has used the contact.

    Of devices over a mesh also where no message over that pass is at the server sooner.
    """
    PASS_AWAITED = "waiting for a pass"
    """None was there, or what was left of it was too short."""
    PASS_TAKEN = "queueing for a pass"
    """One was there, and others had so much of it that too little was left at a time."""
    TO_CLIENT = "passes to clients"
    TO_SERVER = "passes to the server"
    LINK_AWAITED = "waiting for a link"
    """There was none, or what was left of its window was too short."""
    LINK_TAKEN = "queueing for a link"
    LINK = "links between satellites"
    OTHER = "other"
    """Between a download and its training, or from the last upload to the end of the round."""


class Stretch(NamedTuple):
    """A stretch of a round: what it was spent on, and over or for which link."""

    part: Part
    begin_s: float
    end_s: float
    link: RoundLink | None


class RoundPath(NamedTuple):
    """A round from the end of the one before, and what its last client spent it on.

    The stretches follow each other without a gap. ``client`` is None where no upload of the round
    was found.
    """

    round: int
    client: str | None
    begin_s: float
    end_s: float
    stretches: tuple[Stretch, ...]


class Limit(NamedTuple):
    """What takes the largest share of the time of all rounds.

    ``link`` is the direction of a link, or of the passes of one node over another, that takes the
    most of it: by waiting for it, by queueing, and by sending over it. It is None where the rounds
    used none.
    """

    part: Part
    share: float
    link: RoundLink | None
    link_share: float


@dataclass(frozen=True)
class RoundPaths:
    """The paths of the rounds of a run, which follow each other from its start."""

    rounds: tuple[RoundPath, ...]

    @property
    def parts_s(self) -> dict[Part, float]:
        """Seconds of all rounds that each part took, the largest first; parts of none left out."""
        return self._summed(lambda stretch: stretch.part)

    @property
    def links_s(self) -> dict[RoundLink, float]:
        """Seconds of all rounds that each link took, as ``Limit`` has them, the largest first."""
        return {
            link: lasted_s
            for link, lasted_s in self._summed(lambda stretch: stretch.link).items()
            if link is not None
        }

    @property
    def shares(self) -> dict[Part, float]:
        """The share of each part in the time of all rounds, the largest first."""
        parts_s = self.parts_s
        return {part: lasted_s / sum(parts_s.values()) for part, lasted_s in parts_s.items()}

    @property
    def limit(self) -> Limit | None:
        """What limits the rounds; None where there are none."""
        shares = self.shares
        if not shares:
            return None
        part, share = next(iter(shares.items()))
        link, lasted_s = next(iter(self.links_s.items()), (None, 0.0))
        return Limit(part, share, link, lasted_s / sum(self.parts_s.values()))

    def _summed(self, key: Callable[[Stretch], Key]) -> dict[Key, float]:
        lasted_s: defaultdict[Key, float] = defaultdict(float)
        for path in self.rounds:
            for stretch in path.stretches:
                lasted_s[key(stretch)] += stretch.end_s - stretch.begin_s
        return dict(sorted(lasted_s.items(), key=lambda item: -item[1]))


def round_paths(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> RoundPaths | None:
    """Return what the rounds of a run were spent on, from its tables.

    The stretches of a round sum up to its duration. None for a method without rounds, and where
    clients send to each other other than by messages over the mesh.
    """
    ends_s = round_ends_s(tables, manifest)
    roles = manifest.get("scenario", {}).get("roles") or {}
    traffic = Traffic.of(tables, roles) if len(ends_s) else None
    if traffic is None:
        return None
    walks = _Walks(tables, traffic)
    edges_s = [0.0, *ends_s.tolist()]
    return RoundPaths(
        tuple(walks.path(number, *span) for number, span in enumerate(pairwise(edges_s), 1))
    )


class _Path:
    """The stretches of a round so far, up to ``now_s``."""

    def __init__(self, begin_s: float, end_s: float) -> None:
        self.stretches: list[Stretch] = []
        self.now_s = begin_s
        self._end_s = end_s

    def spend(self, until_s: float, part: Part, link: RoundLink | None = None) -> None:
        """Spend the time until then, or until the end of the round; none that is over."""
        until_s = min(until_s, self._end_s)
        if not until_s > self.now_s:
            return
        begin_s = self.now_s
        if self.stretches and (self.stretches[-1].part, self.stretches[-1].link) == (part, link):
            begin_s = self.stretches.pop().begin_s
        self.stretches.append(Stretch(part, begin_s, until_s, link))
        self.now_s = until_s


class _Walks:
    """Finds what the rounds of a run were spent on."""

    def __init__(self, tables: Mapping[str, pa.Table], traffic: Traffic) -> None:
        self._sent = traffic.sent
        self._uploads = traffic.uploads
        self._downloads = traffic.downloads
        self._links = LinkStates(tables, self._sent)
        names = array(np.array(self._sent.names, str))
        trained, _ = spans.training(tables["events"])
        device = numbers_of(trained.rows["device"])
        self._most_devices = 1 + int(device.max(initial=0))
        client = as_numpy(pc.index_in(trained.rows["cluster"], value_set=names), -1)
        self._trainings = NumberedSpans(
            client * self._most_devices + device, trained.begin_s, trained.end_s
        )
        self._used_s: Floats = np.zeros(0)
        self._used: Ints = np.zeros(0, int)
        if "updates" in tables:
            updates = tables["updates"]
            self._used_s = as_numpy(updates["time_s"])
            self._used = as_numpy(pc.index_in(updates["cluster"], value_set=names), -1)

    def path(self, number: int, begin_s: float, end_s: float) -> RoundPath:
        """Return the path of a round."""
        first, last = np.searchsorted(self._used_s, [begin_s, end_s], "right").tolist()
        upload = self._uploads.last(begin_s, end_s, self._used[first:last].tolist())
        path = _Path(begin_s, end_s)
        client = None
        if upload is not None:
            client = self._sent.names[self._uploads.client[upload]]
            self._walk(path, upload)
        path.spend(end_s, Part.OTHER)
        return RoundPath(number, client, begin_s, end_s, tuple(path.stretches))

    def _walk(self, path: _Path, upload: int) -> None:
        """Spend the time of a round up to the arrival of its last upload."""
        client = int(self._uploads.client[upload])
        device = int(self._uploads.device[upload])
        rows = self._uploads.rows(upload)
        sets_off_s = float(self._sent.start_s[rows[0]])
        trained = self._trainings_of(client, device, (path.now_s, sets_off_s))
        ready_s = trained[-1][0] if trained else sets_off_s
        download = self._downloads.last(path.now_s, ready_s, [client], device)
        if download is not None:
            self._spend_journey(path, self._downloads.rows(download))
        for begin_s, end_s in trained:
            path.spend(begin_s, Part.OTHER)
            path.spend(min(end_s, sets_off_s), Part.TRAINING)
        self._spend_journey(path, rows)

    def _spend_journey(self, path: _Path, rows: list[int]) -> None:
        """Spend the time of an upload or a download: before each of its transfers, and on it."""
        for row in rows:
            link = self._links.link(row)
            passes = link.kind == "pass"
            begin_s, end_s = float(self._sent.start_s[row]), float(self._sent.end_s[row])
            for until_s, state in self._links.before(row, path.now_s):
                if row == rows[0] and self._passed_by(row, state):
                    path.spend(until_s, Part.CONTACT_AWAITED)
                elif state is State.TAKEN:
                    path.spend(until_s, Part.PASS_TAKEN if passes else Part.LINK_TAKEN, link)
                elif state is not State.FREE or until_s < begin_s:
                    path.spend(until_s, Part.PASS_AWAITED if passes else Part.LINK_AWAITED, link)
            sending = Part.TO_SERVER if self._sent.to_server[row] else Part.TO_CLIENT
            path.spend(end_s, sending if passes else Part.LINK, link)

    def _passed_by(self, row: int, state: State) -> bool:
        """Tell whether a first transfer could have gone, had the method asked for it.

        The server has every pass; an upload has those of its satellite only.
        """
        goes_down = not self._sent.to_server[row]
        return state is State.FREE or (goes_down and state is State.ELSEWHERE)

    def _trainings_of(
        self, client: int, device: int, between_s: tuple[float, float]
    ) -> list[tuple[float, float]]:
        """Return begins and ends of what a device trained at a time, in order."""
        near = self._trainings.near(client * self._most_devices + device, between_s)
        return list(zip(near.begin_s.tolist(), near.end_s.tolist(), strict=True))
