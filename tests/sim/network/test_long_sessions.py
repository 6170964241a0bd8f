"""Sessions that never end, or last for hours: rounds follow each other, or it is said."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learning
import scenarios
import sim
from statements import Code
from tests.kit.handmade import columns_of, contact
from tests.kit.inner import learning as seam
from tests.kit.inner import sim as inner
from tests.kit.inner.learning import METHODS
from tests.kit.scripted import only, play

GEO = {"source": "keplerian", "semi_major_axis_km": 42164, "inclination_deg": 0.05, "beams": 2}
MEO = GEO | {"semi_major_axis_km": 26560, "inclination_deg": 55, "min_elevation_deg": 5}
BELOW = [
    {"name": "A", "latitude_deg": 10, "longitude_deg": 165, "devices": 2},
    {"name": "B", "latitude_deg": 20, "longitude_deg": 170, "devices": 3},
]
ROUND_S = 900.0
DAYS = 2
SHIPPED = sorted(METHODS.shipped)  # others are of other tests
OF_SATELLITES = {name for name in SHIPPED if learning.find_method(name).needs.isl}
ON_GROUND = [name for name in SHIPPED if not learning.find_method(name).needs.satellites]
IN_ORBIT = [name for name in SHIPPED if name not in OF_SATELLITES]


def under(orbit, method="fedavg", **more):
    """Two clusters on the ground below one satellite, for two days."""
    return scenarios.from_dict(
        {
            "description": "long sessions",
            "start": "2026-08-22T12:00:00Z",
            "stop": {"days": DAYS},
            "orbit": orbit,
            "ground": {"clusters": BELOW},
            "compute": {"seconds_per_round": ROUND_S},
            "learning": learning_of(method),
        }
        | more
    )


def learning_of(method):
    kind = "vector-mlp"
    if learning.find_method(method).needs.experts:
        kind = "vector-nmoe" if method == "nmoe" else "vector-moe"
    return {"method": method, "train": False, "model": {"kind": kind}}


def fleet(method, *, with_others):
    """Three satellites that never set as clients, with two in low orbits or without."""
    shells = [
        {"name": "GEO", "semi_major_axis_km": 42164, "inclination_deg": 0.05, "satellites": 3},
        {"name": "LEO", "altitude_km": 780, "inclination_deg": 98, "satellites": 2},
    ]
    places = range(-180, 180, 90)
    return scenarios.from_dict(
        {
            "description": "a fleet with satellites that never set",
            "start": "2026-08-22T12:00:00Z",
            "stop": {"days": DAYS},
            "roles": {"server": "stations", "clients": "satellites"},
            "orbit": {
                "source": "walker",
                "min_elevation_deg": 5,
                "shells": [{"planes": 1} | shell for shell in shells[: 1 + with_others]],
            },
            "ground": {
                "antennas": 8,
                "stations": [
                    {"name": f"at {lon}", "latitude_deg": 0, "longitude_deg": lon} for lon in places
                ],
            },
            "compute": {"seconds_per_round": ROUND_S},
            "learning": learning_of(method),
        }
    )


def rounds_of(result):
    """Aggregations, or where a method has none the rounds of the device with the fewest."""
    events = result.events
    aggregated = int((events.kind == "aggregate").sum())
    trained = events[events.kind == "train_end"]
    if aggregated or not len(trained):
        return max(aggregated, result.summary["cycles"])
    return int(trained.groupby(["cluster", "device"]).size().min())


@pytest.mark.wide
@pytest.mark.parametrize("method", ON_GROUND)
def test_below_a_satellite_that_never_sets_every_method_goes_on(method):
    result = sim.run(under(GEO, method))
    assert rounds_of(result) > 10
    assert result.summary["cycles"] == DAYS * 24
    (said,) = [line for line in result.manifest["warnings"] if "in contact for all of" in line]
    assert "A, B are in contact for all of 2 days; each 60 min of it counts" in said


@pytest.mark.wide
@pytest.mark.parametrize("method", IN_ORBIT)
def test_satellites_that_never_set_are_clients_of_every_method(method):
    """Beside others that do."""
    result = sim.run(fleet(method, with_others=True))
    assert rounds_of(result) > 10
    served = result.contacts[result.contacts.served]
    names = set(served.cluster)
    assert {"GEO-P01-S01", "GEO-P01-S02", "GEO-P01-S03"} <= names
    assert any("GEO-P01-S01" in line for line in result.manifest["warnings"])


@pytest.mark.parametrize("method", sorted(OF_SATELLITES - {"autoflsat"}))
def test_planes_that_never_set_go_on_over_their_rings(method):
    scenario = fleet(method, with_others=False).model_dump(exclude_unset=True)
    scenario["link"] = {"isl": {"rate_mbps": 10, "within_plane": "ring"}}
    scenario["stop"] = {"days": 0.5}
    assert rounds_of(sim.run(scenarios.from_dict(scenario))) > 10


def test_a_round_begins_as_the_one_before_ends():
    transfers = sim.run(under(GEO | {"beams": 1}, ground={"clusters": BELOW[:1]})).transfers
    downs = transfers[transfers.toward == "client"]
    ups = transfers[transfers.toward == "server"].groupby("version").end_s.max()
    begins_s = downs.groupby("version").start_s.min()
    later = begins_s.index[begins_s.index > 0]
    assert len(later) > 100
    # A round begins with its download, at once when the last update of the one before is there.
    np.testing.assert_array_equal(begins_s[later], ups[later - 1])


@pytest.mark.parametrize(
    ("days", "part_s", "says"), [(0.5, None, "does not end"), (2, 1800, "max_session_s says")]
)
def test_what_a_session_carries_is_told_of_a_part_and_not_of_the_run(
    leomix, tmp_path, days, part_s, says
):
    """8 Mbit/s are 1 MB a second, however long the run is."""
    file = tmp_path / "geo.json"
    link = {"preset": "paper", "uplink": {"rate": "fixed", "fixed_rate_mbps": 8}}
    scenario = under(GEO | {"max_session_s": part_s}, stop={"days": days}, link=link)
    file.write_text(json.dumps(scenario.model_dump(mode="json")))
    shown = leomix("validate", file).out
    minutes, gb = (60, "3.60") if part_s is None else (30, "1.80")
    said = rf"uplink: a session \({minutes} min, as [a-z._ ]*{says}\) carries {gb} GB"
    assert len(re.findall(said, shown)) == 1, shown


@pytest.mark.parametrize(
    ("every", "part_s", "minutes"),
    [(0.5, None, 30), (9, None, 60), (None, 1200, 20)],
)
def test_contact_without_end_says_how_often_the_model_is_tested(every, part_s, minutes):
    """What is said is what the run does."""
    learning = {"method": "fedavg", "model": {"kind": "vector-mlp"}, "evaluate_every_hours": every}
    orbit = GEO | {"max_session_s": part_s}
    result = sim.run(under(orbit, stop={"days": 0.1}, learning=learning))
    (said,) = [str(doubt) for doubt in result.warnings if doubt.code is Code.LONG_SESSION]
    assert f"; the model is tested once in {minutes} min" in said
    assert ("give learning.evaluate_every_hours" in said) == (every is None)
    if every is None:
        assert np.diff(result.metrics.time_s.unique()).max() == pytest.approx(60 * minutes)


def test_how_long_the_parts_are_changes_cycles_only():
    def run(part_s):
        return sim.run(under(MEO | {"max_session_s": part_s}, "fedbuff"))

    hourly = run(3600)
    shorter = run(1200)
    assert rounds_of(hourly) > 10
    assert shorter.summary["cycles"] > 2 * hourly.summary["cycles"]
    columns = ["device", "payload", "start_s", "end_s", "delivered_bytes", "outcome"]
    assert hourly.transfers[columns].equals(shorter.transfers[columns])
    assert Code.LONG_SESSION not in [warning.code for warning in hourly.warnings]


@pytest.mark.wide
def test_a_session_of_many_satellites_that_never_ends_goes_on():
    orbit = {
        "source": "walker",
        "altitude_km": 1200,
        "inclination_deg": 87,
        "satellites": 120,
        "planes": 10,
        "pattern": "star",
        "min_elevation_deg": 5,
    }
    place = BELOW[0] | {"latitude_deg": 60}
    result = sim.run(under(orbit, ground={"clusters": [place]}, stop={"days": 0.25}))
    assert rounds_of(result) > 10
    assert result.transfers.contact_id.nunique() > 5  # over handovers


@given(st.data())
def test_parts_are_the_whole_and_none_is_too_long(data):
    sizes = st.integers(1, 40_000)
    contacts = []
    at_s = data.draw(st.integers(0, 100))
    for session in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(1, 3))):
            end_s = at_s + data.draw(sizes)
            contacts.append(contact(len(contacts), float(at_s), float(end_s), [8.0], session))
            at_s = end_s + data.draw(st.integers(0, 50))
        at_s += data.draw(sizes)
    limit_s = data.draw(st.integers(60, 50_000))
    cluster = contacts[0].cluster
    columns = columns_of(contacts)
    plan = inner.Plan(columns, longest_session_s=float(limit_s))
    parts = plan.sessions(cluster)
    whole = plan.passes(cluster)
    assert all(np.subtract(parts.ends_s, parts.starts_s) <= limit_s + 1e-6)
    assert sum(np.subtract(parts.closes_s, parts.opens_s)) == pytest.approx(
        sum(np.subtract(whole.closes_s, whole.opens_s)), abs=0.01
    )
    assert parts.starts_s[0] == whole.starts_s[0]
    assert parts.ends_s[-1] == pytest.approx(whole.ends_s[-1], abs=0.002)
    # Every session that is short enough stays as it is.
    spans = set(zip(parts.starts_s, parts.ends_s, strict=True))
    sessions = set(zip(whole.starts_s, whole.ends_s, strict=True))
    assert {span for span in sessions if span[1] - span[0] <= limit_s} <= spans


@pytest.mark.parametrize("days", [0.2, 1.5])
@pytest.mark.parametrize(("part_s", "megabytes"), [(1800, 1800.0), (None, 3600.0), (5000, 5000.0)])
def test_a_contact_of_a_part_carries_what_fits_into_the_part(days, part_s, megabytes):
    """8 Mbit/s are 1 MB a second, and methods are told so, whenever the run stops."""
    seen = []

    def script(me):
        while contact := (yield seam.NextContact()):
            seen.append((contact.session, contact.end_s, contact.capacity_bytes))

    link = {"preset": "paper", "uplink": {"rate": "fixed", "fixed_rate_mbps": 8}}
    learning = {"method": "scripted", "train": False}
    orbit = GEO | {"max_session_s": part_s}
    play(under(orbit, stop={"days": days}, link=link, learning=learning), only("A", script))
    length_s = megabytes
    assert len({session for session, *_ in seen}) == int(np.ceil(days * 86400 / length_s))
    for session, end_s, capacity in seen:
        begin_s = session * length_s
        assert end_s == pytest.approx(min(begin_s + length_s, days * 86400))
        assert capacity == pytest.approx(1e6 * (end_s - begin_s))


@pytest.mark.parametrize("part_s", [1800, 7200])
def test_rounds_that_fill_a_contact_fill_a_part_of_it(part_s):
    """By the warning rounds follow each other: one aggregate a part at least, not one a run."""
    learning = {**learning_of("fedavg"), "rounds": {"per_contact": "fill"}}
    orbit = GEO | {"max_session_s": part_s}
    ground = {"clusters": BELOW[:1]}
    compute = {"seconds_per_round": 300}
    how = {"ground": ground, "learning": learning, "compute": compute, "stop": {"days": 0.5}}
    run = sim.run(under(orbit, **how))
    parts = 43_200 / part_s
    assert parts - 1 <= rounds_of(run) <= 2 * parts
    trained = run.events[run.events.kind == "train_end"]
    begun = run.events[run.events.kind == "train_start"]
    lasts_s = trained.time_s.to_numpy() - begun.time_s.to_numpy()
    assert lasts_s.max() <= part_s
