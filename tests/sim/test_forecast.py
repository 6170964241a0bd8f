"""What the contact plan is said to hold next: closed forms in slots of fixed rates."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

import scenarios
from tests.kit.learning import Cluster, Cost, Forecast, Outlook, Wait
from tests.kit.scripted import SCRIPTED, only, play
from tests.kit.small import merged, slots

DOWN = {"rate": "fixed", "fixed_rate_mbps": 2, "path_gain_db": -150, "delivery": "unicast"}
BANDS = {"bandwidth_mhz": 1, "total_bandwidth_mhz": 10}


def scenario(**changes: Any) -> scenarios.Scenario:
    """B is served from 600 to 1200 s and from 2400 s on; 5 Mbit/s up and 2 Mbit/s down."""
    return slots(**merged({"learning": SCRIPTED, "link": {"downlink": DOWN | BANDS}}, changes))


def outlooks(asked: scenarios.Scenario, *times: tuple[float, bool]) -> list[Outlook | None]:
    """What B is told at each time, of a fresh session or of any."""
    found: list[Outlook | None] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        for time_s, fresh in times:
            yield Wait(time_s)
            found.append((yield Forecast("B", fresh)))

    play(asked, only("B", script))
    return found


@pytest.mark.parametrize(
    ("asked_s", "fresh", "start_s", "end_s"),
    [
        (0.0, False, 600.0, 1200.0),
        (750.0, False, 750.0, 1200.0),
        (750.0, True, 2400.0, 3000.0),
        (1200.0, False, 2400.0, 3000.0),
    ],
)
def test_the_rest_of_a_session_or_the_whole_of_the_next(
    asked_s: float, fresh: bool, start_s: float, end_s: float
) -> None:
    [found] = outlooks(scenario(), (asked_s, fresh))
    assert found is not None
    assert (found.start_s, found.end_s) == (start_s, end_s)
    lasts_s = end_s - start_s
    assert found.uplink_bytes == pytest.approx(np.full(3, 5e6 / 8 * lasts_s), rel=1e-9)
    assert found.downlink_bytes == pytest.approx(np.full(3, 2e6 / 8 * lasts_s), rel=1e-9)


def test_behind_the_last_session_there_is_nothing() -> None:
    assert outlooks(scenario(), (4700.0, True)) == [None]


def test_a_neglected_downlink_carries_anything() -> None:
    [found] = outlooks(slots(learning=SCRIPTED), (0.0, False))
    assert found is not None
    assert np.isinf(found.downlink_bytes).all()


@pytest.mark.parametrize(("per_contact", "rounds"), [(1, 1), (7, 7), ("fill", 1)])
def test_rounds_of_a_contact(per_contact: Any, rounds: int) -> None:
    asked = scenario(learning={"rounds": {"per_contact": per_contact}})
    [found] = outlooks(asked, (0.0, False))
    assert found is not None
    assert found.rounds == rounds
    assert found.round_s(Cost(1e9)).tolist() == [200.0] * 3
    assert np.isinf(found.memory_bytes).all()
