"""The studies of the paper's numbers, 3GPP's link budgets and transfers, against closed forms."""

from __future__ import annotations

from dataclasses import replace
from math import asin, cos, degrees, exp, log2, log10, pi, radians, sqrt
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.special import exp1

ROOT = Path(__file__).resolve().parents[2]
EARTH_KM, HEIGHT_KM = 6371.0, 600.0
BOLTZMANN = 1.380649e-23


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "studies"))
    import link_budgets

    return link_budgets


@pytest.fixture(scope="module")
def paper() -> dict[str, float]:
    """What the study prints, read back from its lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "studies"))
        import paper_numbers
    values: dict[str, float] = paper_numbers.numbers()
    return values


def test_the_paper_numbers_are_printed_as_names_and_values(
    paper: dict[str, float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "studies"))
    import paper_numbers

    assert paper_numbers.main() == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert lines == {name: f"{value:.3f}" for name, value in paper.items()}
    assert lines["snr_db"] == "9.985"


def test_the_signal_of_the_paper(paper: dict[str, float]) -> None:
    noise_dbm = 10 * log10(BOLTZMANN * 290 * 5e6) + 30
    snr = 10 ** ((-97 - noise_dbm) / 10)
    assert paper["received_power_dbm"] == -97
    assert paper["noise_power_dbm"] == pytest.approx(noise_dbm, abs=1e-9)
    assert paper["snr_db"] == pytest.approx(-97 - noise_dbm, abs=1e-9)
    assert paper["shannon_rate_mbps"] == pytest.approx(5 * log2(1 + snr), rel=1e-9)
    rayleigh_mbps = 5 * exp(1 / snr) * exp1(1 / snr) * log2(exp(1))
    assert paper["ergodic_rate_rayleigh_mbps"] == pytest.approx(rayleigh_mbps, rel=1e-6)
    assert rayleigh_mbps < paper["ergodic_rate_k_10_db_mbps"] < paper["shannon_rate_mbps"]
    assert paper["ergodic_rate_k_10_db_mbps"] == pytest.approx(16.73, abs=0.005)


def test_the_rate_of_the_paper_needs_no_more_than_0_db(paper: dict[str, float]) -> None:
    assert paper["stated_efficiency_bps_hz"] == 1.0
    assert paper["stated_rate_needs_snr_db"] == pytest.approx(0.0, abs=1e-9)
    assert paper["stated_rate_leaves_db"] == pytest.approx(paper["snr_db"], abs=1e-9)


def test_the_carrier_and_the_antenna_of_the_paper(paper: dict[str, float]) -> None:
    wavelength_m = 4 * pi * 600e3 / 10 ** (160 / 20)
    assert paper["carrier_of_160_db_ghz"] == pytest.approx(0.299792458 / wavelength_m, rel=1e-12)
    diameter_m = 0.299792458 / 4 / pi * sqrt(1e4 / 0.6)
    assert paper["antenna_diameter_m"] == pytest.approx(diameter_m, rel=1e-12)
    width = radians(70 * 0.299792458 / 4 / diameter_m)
    assert paper["antenna_beamwidth_deg"] == pytest.approx(degrees(width), rel=1e-12)
    assert paper["antenna_footprint_km"] == pytest.approx(HEIGHT_KM * width, rel=1e-3)


def central_angle(mask_deg: float) -> float:
    """From the nadir angle, by the law of sines."""
    mask = radians(mask_deg)
    return pi / 2 - mask - asin(EARTH_KM * cos(mask) / (EARTH_KM + HEIGHT_KM))


def test_passes_of_the_paper_are_shorter_than_ten_minutes(paper: dict[str, float]) -> None:
    period_min = 2 * pi * sqrt((EARTH_KM + HEIGHT_KM) ** 3 / 398600.4418) / 60
    for mask_deg in (10, 30):
        sphere_min = paper[f"sphere_pass_over_{mask_deg}_deg_min"]
        expected = central_angle(mask_deg) / pi * period_min
        assert sphere_min == pytest.approx(expected, rel=1e-9)
        assert paper[f"orbit_pass_over_{mask_deg}_deg_min"] == pytest.approx(sphere_min, rel=0.01)
        assert sphere_min < 10
    lowest_deg = paper["sphere_mask_of_ten_minutes_deg"]
    assert central_angle(lowest_deg) / pi * period_min == pytest.approx(10, rel=1e-9)
    assert paper["orbit_mask_of_ten_minutes_deg"] == pytest.approx(lowest_deg, abs=0.2)
    assert paper["orbit_overhead_range_km"] == pytest.approx(HEIGHT_KM, rel=0.01)


def test_payload_and_phase_of_the_paper(paper: dict[str, float]) -> None:
    assert paper["payload_takes_min"] == pytest.approx(8.0, rel=1e-12)
    assert paper["contact_carries_mb"] == pytest.approx(375.0, rel=1e-12)
    speed_km_s = sqrt(398600.4418 / (EARTH_KM + HEIGHT_KM))
    seen_km_s = speed_km_s * EARTH_KM / (EARTH_KM + HEIGHT_KM) * cos(radians(10))
    doppler_khz = seen_km_s * 4e9 / 299792.458 / 1e3
    assert paper["doppler_at_10_deg_khz"] == pytest.approx(doppler_khz, rel=0.005)
    assert paper["phase_changes_rate_by_bps"] == pytest.approx(0.0, abs=1e-6)


def test_every_budget_is_within_a_tenth_of_a_decibel(
    budgets: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert budgets.main() == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(rows) == 8
    assert [row[:2] for row in rows if row[8] != "-"] == [
        ["SC6", "down"],
        ["SC6", "up"],
        ["SC9", "down"],
        ["SC9", "up"],
    ]
    assert all(row[6] == row[7] and float(row[9]) <= 0.1 for row in rows)


def test_twice_the_height_costs_what_the_density_makes_up(budgets: ModuleType) -> None:
    """The satellites at 1200 km radiate 6 dB more; the way at 30 degrees is 5.387 dB longer."""
    way = {
        h: sqrt((EARTH_KM / 2) ** 2 + h**2 + 2 * EARTH_KM * h) - EARTH_KM / 2 for h in (600, 1200)
    }
    farther_db = 20 * log10(way[1200] / way[600])
    by_name = {(case.name, case.direction): case.by_link() for case in budgets.CASES}
    for near, far in (("SC6", "SC11"), ("SC9", "SC14")):
        down_db = by_name[far, "down"] - by_name[near, "down"]
        assert down_db == pytest.approx(6 - farther_db, abs=1e-9)
        up_db = by_name[far, "up"] - by_name[near, "up"]
        assert up_db == pytest.approx(-farther_db, abs=1e-9)


@pytest.mark.parametrize("wrong", [{"printed_db": 8.4}, {"printed_loss_db": 179.3}])
def test_a_budget_that_is_off_is_marked(
    budgets: ModuleType,
    wrong: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = (replace(budgets.CASES[0], **wrong), *budgets.CASES[1:])
    monkeypatch.setattr(budgets, "CASES", cases)
    assert budgets.main() == 1
    assert [line.endswith("OFF") for line in capsys.readouterr().out.splitlines()[1:]] == [
        True,
        *[False] * 7,
    ]


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "studies"))
    import transfers

    return transfers


def test_every_payload_is_through_within_a_millisecond(
    transfers: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert transfers.main() == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == ["ergodic"] * 5 + ["modcod"] * 5
    for rate in ("ergodic", "modcod"):
        fits, fits_not = (
            [float(x) for x in row[-4:]]
            for row in rows
            if row[0] == rate and row[1:3] in (["just", "fits"], ["just", "does"])
        )
        assert fits_not[0] - fits[0] < 2e-4  # megabytes
        assert fits_not[2] - fits[2] > 5000  # seconds: an orbit later


def test_times_that_are_off_fail_the_study(
    transfers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "ALLOWED_S", 1e-6)
    assert transfers.main() == 1


def test_the_truth_about_transfers_has_the_known_limits(transfers: ModuleType) -> None:
    weak, strong = transfers.capacity_bps_hz(np.array([-90.0, 90.0]))
    assert weak == pytest.approx(1e-9 * log2(exp(1)), rel=1e-6)
    # E[ln |g|^2] of Rician fading is E1(K) + ln K - ln(1 + K).
    mean_log = exp1(transfers.RICIAN_K) + log2(10 / 11) / log2(exp(1))
    assert strong == pytest.approx(log2(1e9) + mean_log * log2(exp(1)), rel=1e-6)
    assert transfers.steps_bps_hz(np.array([-3.2, 0.3])).tolist() == [0, 0.988858 / 1.2]
