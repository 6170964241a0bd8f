"""What no section can see by itself: keys that need, replace or exclude each other."""

from collections.abc import Callable
from pathlib import Path

import pytest

import scenarios

Refusal = Callable[..., str]


@pytest.mark.parametrize("stop", ["cycles: 3", "accuracy: 0.9", "cycles: 3, accuracy: 0.9"])
def test_a_satellite_needs_days(refusal: Refusal, circular: str, stop: str) -> None:
    expected = "stop: days is missing; source 'circular' finds contacts over them, like days: 14"
    assert refusal(circular.replace("days: 1", stop)) == f"mine.yaml:2: {expected}"


@pytest.mark.parametrize("stop", ["days: 3", "accuracy: 0.9", "days: 3, accuracy: 0.9"])
def test_slots_need_cycles(refusal: Refusal, slots: str, stop: str) -> None:
    expected = "stop: cycles is missing; source 'slots' runs a number of cycles, like cycles: 40"
    assert refusal(slots.replace("cycles: 4", stop)) == f"mine.yaml:1: {expected}"


def test_a_circular_orbit_needs_a_start(refusal: Refusal, circular: str) -> None:
    text = circular.split("\n", 1)[1]
    assert refusal(text).startswith(
        "mine.yaml:1: start: is missing; source 'circular' has no epoch"
    )


def test_a_satellite_needs_the_place_of_every_cluster(refusal: Refusal, circular: str) -> None:
    assert refusal(circular.replace(", longitude_deg: 7.4", "")) == (
        "mine.yaml:10: ground.clusters.1.longitude_deg: is missing for cluster 'Bern'; "
        "source 'circular' needs its place"
    )


def test_slots_take_places_or_leave_them(write: Callable[..., Path], slots: str) -> None:
    placed = slots.replace("name: A", "name: A, latitude_deg: 1, longitude_deg: 2")
    assert scenarios.load(write(slots)).ground.clusters[0].latitude_deg is None
    assert scenarios.load(write(placed)).ground.clusters[0].latitude_deg == 1


def test_the_number_of_slots_is_that_of_the_clusters(
    refusal: Refusal, write: Callable[..., Path], slots: str
) -> None:
    def with_count(count: int) -> str:
        return slots.replace("source: slots", f"source: slots, slots: {{count: {count}}}")

    assert scenarios.load(write(with_count(2))).orbit.slots.count == 2
    assert refusal(with_count(3)) == (
        "mine.yaml:2: orbit.slots.count: got 3; must be the number of clusters, 2 (or leave it out)"
    )


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("", "orbit.path: is missing; give the element file, or elements with the lines"),
        (
            ", path: a.tle, elements: '1 41917U'",
            "orbit.elements: cannot stand beside orbit.path; keep one of the two",
        ),
    ],
)
def test_elements_come_from_exactly_one_place(refusal: Refusal, keys: str, line: str) -> None:
    ground = "ground: {clusters: [{name: A, latitude_deg: 0, longitude_deg: 0}]}\n"
    text = f"stop: {{days: 1}}\n{ground}orbit: {{source: tle{keys}}}\n"
    assert refusal(text) == f"mine.yaml:3: {line}"


def test_a_device_computes_at_one_pace(refusal: Refusal, slots: str) -> None:
    assert refusal(f"{slots}compute: {{seconds_per_round: 5, tflops: 1}}\n") == (
        "mine.yaml:8: compute.tflops: cannot stand beside compute.seconds_per_round; "
        "keep one and set the other to null"
    )


@pytest.mark.parametrize(
    ("compute", "pace"),
    [
        ("{}", (60.0, None)),
        ("{memory_gib: 8}", (60.0, None)),
        ("{seconds_per_round: 5}", (5.0, None)),
        ("{seconds_per_round: null, tflops: 1}", (None, 1.0)),
        ("{tflops: 1}", (None, 1.0)),
    ],
)
def test_a_round_takes_a_minute_unless_something_is_said(
    write: Callable[..., Path], slots: str, compute: str, pace: tuple[float | None, float | None]
) -> None:
    found = scenarios.load(write(f"{slots}compute: {compute}\n")).compute
    assert (found.seconds_per_round, found.tflops) == pace


def test_a_scenario_without_compute_takes_a_minute_a_round(
    write: Callable[..., Path], slots: str
) -> None:
    assert scenarios.load(write(slots)).compute.seconds_per_round == 60


def test_no_token_goes_to_more_experts_than_there_are(
    refusal: Refusal, write: Callable[..., Path], slots: str
) -> None:
    equal = f"{slots}learning: {{model: {{experts: 2, top_k: 2}}}}\n"
    assert scenarios.load(write(equal)).learning.model.top_k == 2
    assert refusal(f"{slots}learning: {{model: {{experts: 2, top_k: 3}}}}\n") == (
        "mine.yaml:8: learning.model.top_k: got 3; must be at most learning.model.experts, 2"
    )


@pytest.mark.parametrize(
    ("uplink", "line"),
    [
        (
            "eirp_dbw: 3, tx_gain_dbi: 2",
            "eirp_dbw: cannot stand beside tx_gain_dbi; keep one form",
        ),
        (
            "g_over_t_db_k: 3, rx_gain_dbi: 2, noise_figure_db: 1",
            "g_over_t_db_k: cannot stand beside rx_gain_dbi and noise_figure_db; keep one form",
        ),
        (
            "rx_gain_dbi: 30, noise_figure_db: 3",
            "antenna_temperature_k: is missing; the keys given replace the preset's "
            "g_over_t_db_k, so give antenna_temperature_k too",
        ),
        ("rate: fixed", "fixed_rate_mbps: is missing; rate 'fixed' needs it, in Mbit/s"),
        ("fixed_rate_mbps: 5", "fixed_rate_mbps: is not used with rate 'ergodic'; set rate: fixed"),
        (
            "fading: none, rician_k_db: 5",
            "rician_k_db: is not used with fading 'none'; set fading: rician",
        ),
        ("path_gain_db: 0", "path_gain_db: got 0; must be >= -300 and < 0"),
        (
            "rate: modcods",
            "rate: got 'modcods'; must be one of 'ergodic', 'shannon', 'outage', 'modcod', 'fixed'",
        ),
    ],
)
@pytest.mark.parametrize("side", ["uplink", "downlink"])
def test_link_keys_that_contradict_each_other_are_told(
    refusal: Refusal, circular: str, side: str, uplink: str, line: str
) -> None:
    message = refusal(f"{circular}link: {{{side}: {{{uplink}}}}}\n")
    if side == "downlink" and "is missing; the keys" in line:
        assert message.startswith("mine.yaml:11: link.downlink.antenna_temperature_k: is missing;")
    else:
        assert message.startswith(f"mine.yaml:11: link.{side}.{line}")


def test_slots_have_no_geometry_to_compute_a_rate_from(refusal: Refusal, slots: str) -> None:
    expected = "link.uplink.rate: got 'ergodic', but source 'slots' has no slant range"
    assert refusal(slots, {"link.preset": "physical"}).startswith(f"mine.yaml:3: {expected}")


@pytest.mark.parametrize(
    "link",
    [
        "{preset: paper}",
        "{preset: paper, uplink: {rate: ergodic}}",
        "{preset: paper, downlink: {rate: fixed, fixed_rate_mbps: 20}}",
        "{uplink: {path_gain_db: -160}, downlink: neglected}",
        "{uplink: {rate: fixed, fixed_rate_mbps: 5}, downlink: {path_gain_db: -165}}",
    ],
)
def test_slots_take_a_fixed_rate_or_a_fixed_path_gain(
    write: Callable[..., Path], slots: str, link: str
) -> None:
    assert scenarios.load(write(slots.replace("{preset: paper}", link))).orbit.source == "slots"


def test_a_slot_downlink_needs_the_same(refusal: Refusal, slots: str) -> None:
    text = slots.replace("preset: paper", "preset: paper, downlink: {tx_power_dbm: 9}")
    assert "link.downlink.tx_gain_dbi: is missing" in refusal(text)
    text = slots.replace("preset: paper", "preset: paper, downlink: {eirp_dbw: 9}")
    assert "link.downlink.rate: got 'ergodic', but source 'slots'" in refusal(text)
