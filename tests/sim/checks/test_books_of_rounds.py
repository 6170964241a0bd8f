"""What is counted of rounds and links: shares of those who came, versions that wait, durations."""

import numpy as np
import pytest

import sim
from channel import LinkCurve
from tests.kit.learning import Aggregated, Cluster, Range
from tests.kit.records import (
    WAITING,
    ModelAggregated,
    Moved,
    MovedRows,
    PayloadKey,
    Versions,
    Way,
)
from tests.kit.small import slots
from tests.kit.talk import contact, talk, upload


def test_a_link_that_gives_no_number_stops_the_run(monkeypatch):
    def nowhere(self, bits, start_s):
        return np.full(np.shape(bits), np.nan)

    monkeypatch.setattr(LinkCurve, "unchecked_completion_time_s", nowhere)
    with pytest.raises(sim.InvariantError, match=r"no zero or non-finite durations"):
        sim.run(slots(learning={"train": False}))
    with pytest.raises(sim.InvariantError, match=r"a to the server has no time at all \(nan\)"):
        talk([contact(0, 0, 100, [8.0, 8.0])], [upload(10.0)])


def test_more_versions_than_are_remembered_are_no_reason_to_stop():
    versions = Versions([Cluster("c", 0, 400)])
    told = Aggregated(401, "buffer", staleness=Range(1, 400))
    said = ModelAggregated(time_s=2.0, cluster="c", version=401, told=told)

    def moved(count, way):
        """Device k moves a payload of version k."""
        who = np.ones(count, bool)
        device = np.arange(count)
        size = np.full(count, 10.0)
        what = ("c", 0, PayloadKey("uplink", way, "update"))
        times = (np.zeros(count), np.ones(count))
        leg = Moved(*what, who, device, size, size, *times, 0, 1.0)
        versions.moved(MovedRows.of([leg]), 0)

    assert WAITING < 400
    moved(400, Way.TO_CLIENT)
    moved(400, Way.TO_SERVER)
    versions.aggregated(said)
    # All of these have been aggregated: from here on they are counted again.
    moved(5, Way.TO_SERVER)
    with pytest.raises(sim.InvariantError, match=r"staleness counted"):
        versions.aggregated(said)
