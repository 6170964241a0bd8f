"""Details of transfers that no other test would miss: found by changing the code."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import LinkCurve
from tests.kit.network import Beam, SessionBeam, Training, span_s
from tests.kit.talk import COST, band, contact, passes, talk, upload

SECOND = np.array([False, True])


def test_who_takes_no_part_has_nothing_delivered() -> None:
    [[receipt]] = talk(passes([8.0, 8.0], 0), [upload(15.0, who=SECOND)]).replies
    assert receipt.delivered_bytes.tolist() == [0.0, 10.0]
    assert receipt.left_bytes.tolist() == [15.0, 5.0]


def test_who_takes_no_part_does_not_wait_for_a_sub_channel() -> None:
    alone = contact(0, 0.0, 100.0, [1e3, 1e3, 1e3], radio=band(1))
    told = talk([alone], [upload(1250.0, who=np.array([True, False, True]))])
    details = [row["detail"] for row in told.events("wait")]
    assert details == ["sub-channel busy: a: 1 devices, up to 10.000 s"]


def test_who_trains_no_round_has_not_computed() -> None:
    def training(who: list[bool], rounds: list[int]) -> Training:
        nobody, begin_s = np.zeros(3, bool), np.full(3, 5.0)
        return Training(np.array(who), COST, np.array(rounds), begin_s, begin_s + 30.0, nobody)

    computed_s = training([True, False, True], [3, 3, 0]).computed_s(15.0)
    assert computed_s.tolist() == [10.0, 0.0, 0.0]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_session_has_the_sub_channels_of_its_beam(channels: int) -> None:
    curve = LinkCurve(np.array([[0.0, 9.0]]), np.array([[1.0, 1.0]]))
    spans_s = [(0.0, 9.0)]
    assert SessionBeam([Beam(curve, band(channels))], spans_s, True).channels == channels
    assert SessionBeam([Beam(curve)], spans_s, True).channels == sys.maxsize


@given(st.integers(1, 8))
def test_a_fixed_rate_is_divided_like_the_band(sharing: int) -> None:
    narrowed = band(4).narrowed(sharing)  # 4 kHz in all, and 1 kbit/s in each
    assert narrowed.bandwidth_hz == pytest.approx(4e3 / sharing)
    assert narrowed.fixed_rate_bps == pytest.approx(4e3 / sharing)


@given(st.lists(st.booleans(), min_size=2, max_size=7), st.data())
def test_the_span_of_a_curve_is_that_of_its_cells_that_carry(
    carries: list[bool], data: st.DataObject
) -> None:
    """Cells may have no length; a cell carries where it has one, and a rate at either end."""
    steps_s = data.draw(st.lists(st.integers(0, 2), min_size=len(carries), max_size=len(carries)))
    time_s, rate_bps = np.cumsum(steps_s, dtype=float), np.array(carries, float)
    cells = [
        (a, b)
        for a, b, low, high in zip(time_s, time_s[1:], rate_bps, rate_bps[1:], strict=False)
        if b > a and max(low, high) > 0
    ]
    begin_s, end_s = span_s(LinkCurve(time_s[None], rate_bps[None]))
    if cells:
        assert (begin_s[0], end_s[0]) == (cells[0][0], cells[-1][1])
    else:
        assert end_s[0] == -np.inf
