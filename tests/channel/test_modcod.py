"""The steps of DVB-S2 against its table typed in again, searched through row by row."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import Link, rate_bps, rate_state
from tests.kit.channel import MODCODS, modcod_efficiency_bps_hz, modcod_level, modcod_thresholds_db

# EN 302 307-1, table 13: bits per symbol and ideal Es/N0 in dB of each modulation.
TABLE_13 = {
    "QPSK": """1/4 .490243 -2.35, 1/3 .656448 -1.24, 2/5 .789412 -.30, 1/2 .988858 1.00,
        3/5 1.188304 2.23, 2/3 1.322253 3.10, 3/4 1.487473 4.03, 4/5 1.587196 4.68,
        5/6 1.654663 5.18, 8/9 1.766451 6.20, 9/10 1.788612 6.42""",
    "8PSK": """3/5 1.779991 5.50, 2/3 1.980636 6.62, 3/4 2.228124 7.91, 5/6 2.478562 9.35,
        8/9 2.646012 10.69, 9/10 2.679207 10.98""",
    "16APSK": """2/3 2.637201 8.97, 3/4 2.966728 10.21, 4/5 3.165623 11.03, 5/6 3.300184 11.61,
        8/9 3.523143 12.89, 9/10 3.567342 13.13""",
    "32APSK": """3/4 3.703295 12.73, 4/5 3.951571 13.64, 5/6 4.119540 14.28, 8/9 4.397854 15.69,
        9/10 4.453027 16.05""",
}
ROWS = [
    (f"{modulation} {code}", float(bits), float(es_n0_db))
    for modulation, text in TABLE_13.items()
    for code, bits, es_n0_db in (row.split() for row in text.split(","))
]


def best(snr_db: float, rolloff: float) -> float:
    """Look through all rows for the most bits whose threshold is met."""
    es_n0_db = snr_db + 10 * math.log10(1 + rolloff)
    return max([bits for _, bits, need_db in ROWS if es_n0_db >= need_db], default=0.0)


def test_the_table_is_that_of_the_standard():
    assert list(MODCODS) == ROWS
    assert len(ROWS) == 28


def test_a_symbol_carries_what_its_code_rate_leaves_of_a_normal_frame():
    # A frame of 64800 coded bits is preceded by 90 symbols of header; BCH takes 128 to 192 bits,
    # the baseband header 80.
    bits_per_symbol = {"QPSK": 2, "8PSK": 3, "16APSK": 4, "32APSK": 5}
    for name, efficiency, _ in MODCODS:
        modulation, code = name.split()
        over, under = map(int, code.split("/"))
        parity = {"2/3": 160, "5/6": 160, "8/9": 128, "9/10": 128}.get(code, 192)
        payload = 64800 * over // under - parity - 80
        assert efficiency == pytest.approx(
            payload / (64800 / bits_per_symbol[modulation] + 90), abs=6e-7
        ), name


@given(st.floats(-40.0, 60.0), st.sampled_from([0.0, 0.05, 0.2, 0.25, 0.35, 1.0]))
def test_the_efficiency_is_the_best_row_that_is_met(snr_db, rolloff):
    expected = best(snr_db, rolloff) / (1 + rolloff)
    got = modcod_efficiency_bps_hz(np.array(snr_db), rolloff)
    assert got == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("rolloff", [0.0, 0.2, 0.35])
def test_a_threshold_is_met_at_itself_and_not_below(rolloff):
    for _, bits, es_n0_db in ROWS:
        at_db = es_n0_db - 10 * math.log10(1 + rolloff)
        at, above, below = modcod_efficiency_bps_hz(
            np.array([at_db + 1e-12, at_db + 1e-6, at_db - 1e-6]), rolloff
        ) * (1 + rolloff)
        assert at == above >= bits * (1 - 1e-14)
        assert below == pytest.approx(best(at_db - 1e-6, rolloff))
    at_zero = modcod_efficiency_bps_hz(modcod_thresholds_db(0.0), 0.0)
    assert (np.diff(at_zero) > 0).all()


def test_below_the_lowest_threshold_nothing_is_carried():
    lowest_db = -2.35 - 10 * math.log10(1.2)
    assert modcod_thresholds_db(0.2)[0] == pytest.approx(lowest_db, abs=1e-12)
    snr_db = np.array([-math.inf, -50.0, lowest_db - 1e-9])
    assert modcod_efficiency_bps_hz(snr_db, 0.2).tolist() == [0.0] * 3
    assert modcod_level(snr_db, 0.2).tolist() == [0] * 3


def test_modes_that_a_better_one_undercuts_are_never_used():
    # 8PSK 3/5 (5.50 dB) undercuts QPSK 8/9, 16APSK 2/3 (8.97 dB) 8PSK 5/6, 16APSK 3/4 (10.21 dB)
    # the other two of 8PSK, and 32APSK 3/4 (12.73 dB) the last two of 16APSK.
    undercut = {"QPSK 8/9", "8PSK 5/6", "8PSK 8/9", "8PSK 9/10", "16APSK 8/9", "16APSK 9/10"}
    used = set(np.round(modcod_efficiency_bps_hz(np.linspace(-5, 20, 25_001), 0.0), 6))
    assert {name for name, bits, _ in ROWS if bits not in used} == undercut
    assert modcod_thresholds_db(0.0).size == 28 - len(undercut)


def test_a_mode_never_beats_shannons_capacity():
    thresholds_db = modcod_thresholds_db(0.0)
    capacity = np.log2(1 + 10 ** (thresholds_db / 10))
    assert (modcod_efficiency_bps_hz(thresholds_db, 0.0) < capacity).all()


def test_a_link_climbs_the_steps():
    link = Link(2e9, 5e6, 0.0, 12.0, path_gain_db=-160.0, rate="modcod", rolloff=0.2)
    noise_dbw = -228.59916717321767 + 10 * math.log10(5e6)
    for eirp_dbw in np.linspace(-20.0, 10.0, 301):
        here = Link(2e9, 5e6, eirp_dbw, 12.0, path_gain_db=-160.0, rate="modcod", rolloff=0.2)
        snr_db = eirp_dbw + 12.0 - 160.0 - noise_dbw
        expected = 5e6 * best(snr_db, 0.2) / 1.2
        assert rate_bps(here, 90.0, 6e5) == pytest.approx(expected, rel=1e-12)
        assert (rate_state(here, 90.0, 6e5) == 0) == (expected == 0)
    assert rate_bps(link, 5.0, 6e5) == 0.0
