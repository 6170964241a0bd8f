"""The paths of rounds: what the last client of each spent it on.

The path of a round goes back from its end: the upload that arrived last, hop by hop, what was
waited for before each hop, the training before the upload, and the download before the training,
back to the end of the round before. Devices over a mesh send over two kinds of passes: those of
satellites over them, and those of satellites over a gateway. A download is not pursued beyond its
client: a round that begins with the end of the one before needs no more.

Sending lasts from when the hop could begin until the last bit is there. That includes the time of
flight, some milliseconds of each hop, which the tables do not tell apart: routes leave the longest
one of a link between two hops.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from sim.analysis import spans
from sim.analysis.critical_path import CriticalPath, Part, Path
from sim.analysis.journeys import Traffic
from sim.analysis.link_states import LinkStates, State
from sim.analysis.rounds import round_ends_s
from sim.trace.arrow import as_numpy
from sim.trace.sorting import numbers_of
from statements.arrays import Floats, Ints


def round_paths(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> CriticalPath | None:
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
    return CriticalPath(
        tuple(walks.path(number, *span) for number, span in enumerate(pairwise(edges_s), 1))
    )


class _Walks:
    """Finds what the rounds of a run were spent on."""

    def __init__(self, tables: Mapping[str, pa.Table], traffic: Traffic) -> None:
        self._sent = traffic.sent
        self._uploads = traffic.uploads
        self._downloads = traffic.downloads
        self._links = LinkStates(tables, self._sent)
        trained, _ = spans.training(tables["events"])
        device = numbers_of(trained.rows["device"])
        self._most_devices = 1 + int(device.max(initial=0))
        client = spans.places_of(trained.rows["cluster"], self._sent.names)
        number = client * self._most_devices + device
        self._trained = trained
        self._trainings = spans.NumberedSpans(number, trained.begin_s, trained.end_s)
        self._used_s: Floats = np.zeros(0)
        self._used: Ints = np.zeros(0, int)
        if "updates" in tables:
            updates = tables["updates"]
            self._used_s = as_numpy(updates["time_s"])
            self._used = spans.places_of(updates["cluster"], self._sent.names)

    def path(self, number: int, begin_s: float, end_s: float) -> Path:
        """Return the path of a round."""
        first, last = np.searchsorted(self._used_s, [begin_s, end_s], "right").tolist()
        upload = self._uploads.last(begin_s, end_s, self._used[first:last].tolist())
        path = Path(number, None, begin_s, end_s)
        if upload is not None:
            path.client = self._sent.names[self._uploads.client[upload]]
            self._walk(path, upload)
        path.spend(end_s, Part.OTHER)
        return path

    def _walk(self, path: Path, upload: int) -> None:
        """Spend the time of a round up to the arrival of its last upload."""
        client = int(self._uploads.client[upload])
        device = int(self._uploads.device[upload])
        rows = self._uploads.rows(upload)
        sets_off_s = float(self._sent.start_s[rows[0]])
        number = client * self._most_devices + device
        near = self._trainings.near(number, (path.now_s, sets_off_s))
        ends_s = (np.sort(edge_s[near]).tolist() for edge_s in self._trained[1:])
        trained = list(zip(*ends_s, strict=True))
        ready_s = trained[-1][0] if trained else sets_off_s
        download = self._downloads.last(path.now_s, ready_s, [client], device)
        if download is not None:
            self._spend_journey(path, self._downloads.rows(download))
        for begin_s, end_s in trained:
            path.spend(begin_s, Part.OTHER)
            path.spend(min(end_s, sets_off_s), Part.TRAINING)
        self._spend_journey(path, rows)

    def _spend_journey(self, path: Path, rows: list[int]) -> None:
        """Spend the time of an upload or a download: before each of its transfers, and on it."""
        for row in rows:
            # The server has every pass; an upload has those of its satellite first.
            goes_down = not self._sent.to_server[row]
            unused = {State.FREE, State.ELSEWHERE} if goes_down else {State.FREE}
            link = self._links.link(row)
            passes = link.kind == "pass"
            begin_s, end_s = float(self._sent.start_s[row]), float(self._sent.end_s[row])
            for until_s, state in self._links.before(row, path.now_s):
                if row == rows[0] and state in unused:  # it could have gone: the method waits
                    path.spend(until_s, Part.CONTACT_AWAITED)
                elif state is State.TAKEN:
                    path.spend(until_s, Part.PASS_TAKEN if passes else Part.LINK_TAKEN, link)
                elif state is not State.FREE or until_s < begin_s:
                    path.spend(until_s, Part.PASS_AWAITED if passes else Part.LINK_AWAITED, link)
            sending = Part.TO_CLIENT if goes_down else Part.TO_SERVER
            path.spend(end_s, sending if passes else Part.LINK, link)
