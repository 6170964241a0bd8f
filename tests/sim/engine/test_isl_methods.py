"""Methods over links between satellites: rounds by the windows alone, weights by plain PyTorch."""

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.inner.sim import build
from tests.kit.plain_loop import PlainLoop, compare, small_model

FAST = {"rate": "fixed", "fixed_rate_mbps": 1000}
LEARN_S = 60.0


def first(windows, from_s):
    """When one of the windows is open, from a time on."""
    return min((max(rise, from_s) for rise, set_ in windows if set_ > from_s), default=np.inf)


def rounds(planes, link_s, future=False):
    """When rounds of FedISL end, by the windows of the satellites of each plane.

    The source is the first that sees the server, the sink the first that sees it when the models of
    all can be there, over the ring both ways; by FedLEO the first that comes to see it later.
    """
    now_s = 0.0
    ends_s = []
    while True:
        tops = []
        for windows in planes:
            places = range(len(windows))
            ring = [
                [min((i - j) % len(windows), (j - i) % len(windows)) for j in places]
                for i in places
            ]
            seen = [first(own, now_s) for own in windows]
            source = int(np.argmin(seen))
            ready = [seen[source] + ring[source][k] * link_s + LEARN_S for k in places]
            there = [max(ready[k] + ring[k][h] * link_s for k in places) for h in places]
            later = [[w for w in windows[h] if w[0] >= there[h] or not future] for h in places]
            tops.append(min(first(later[h], there[h]) for h in places))
        now_s = max(tops)
        if not np.isfinite(now_s):
            return ends_s
        ends_s.append(now_s)


@pytest.mark.parametrize(
    ("method", "place", "days", "seen"),
    [("fedisl", "Bremen", 2, 40), ("fedisl", "pole", 0.04, 21), ("fedleo", "Bremen", 2, 40)],
)  # fmt: skip
@pytest.mark.quick(2)
def test_rounds_follow_from_the_windows(method, place, days, seen):
    """Those too in which the station never sees a part of each plane."""
    station = {
        "name": "One",
        "latitude_deg": 53.1 if place == "Bremen" else 90,
        "longitude_deg": 8.85,
    }
    said = {"link.uplink": FAST, "link.downlink": FAST, "ground.stations": [station]}
    said |= {"stop.days": days, "learning.train": False, "learning.method": method}
    run = sim.run(scenarios.load("fedisl", said))
    assert run.contacts.satellite.nunique() == seen
    planes = {}
    for row in run.contacts.itertuples():
        plane = planes.setdefault(row.satellite.rsplit("-", 1)[0], {})
        plane.setdefault(row.satellite, []).append((row.rise_s, row.set_s))
    every = [
        [plane.get(f"{name}-S{k + 1:02d}", []) for k in range(8)] for name, plane in planes.items()
    ]
    moved = run.transfers[run.transfers.direction == "isl"]
    link_s = float((moved.end_s - moved.start_s).median())
    said_s = rounds(every, link_s, method == "fedleo")
    assert said_s != rounds(every, link_s, method != "fedleo") or place == "pole"
    ended_s = run.events[run.events.kind == "aggregate"].time_s.tolist()
    assert len(ended_s) > 2
    # The server's links take some milliseconds of distance, and no more.
    assert ended_s == pytest.approx(said_s[: len(ended_s)], abs=0.1)


def test_forty_models_of_fedisl_are_five_at_the_server():
    """A round takes five downloads, five uploads, and seven links a plane each way."""
    run = sim.run(scenarios.load("fedisl", {"stop.rounds": 2, "learning.train": False}))
    moved = run.transfers
    whole = moved[moved.outcome == "delivered"]
    uplinks = whole[whole.direction == "downlink"]  # from space to the ground
    assert len(uplinks) == 2 * 5
    size = uplinks.payload_bytes.iloc[0]
    assert whole[whole.direction == "isl"].delivered_bytes.sum() == 2 * 5 * 2 * 7 * size
    assert (run.updates.groupby("round").size() == 40).all()


@pytest.mark.parametrize("cut_transfers", ["resume", "restart"])
@pytest.mark.quick(1)
def test_one_satellite_of_a_plane_downloads_the_model_at_a_time(cut_transfers):
    """One model a plane and round; if a pass ends first, another one in view goes on at once.

    At 30 kbit/s it takes 38 s, and two of the passes under way do not last that long.
    """
    said = {"stop.rounds": 3, "stop.days": 1, "learning.train": False}
    said["link.uplink"] = {"rate": "fixed", "fixed_rate_mbps": 0.03}
    said["link.cut_transfers"] = cut_transfers
    scenario = scenarios.load("iridium-isl", said)
    run = sim.run(scenario)
    rings = build(scenario).plan.isls.rings
    planes = {name: plane for plane, ring in enumerate(rings) for name in ring}
    down = run.transfers[run.transfers.direction == "uplink"]
    rows = down.assign(plane=down.cluster.map(planes)).sort_values("start_s")
    whole = rows.outcome == "delivered"
    assert (rows[whole].groupby(["plane", "version"]).size() == 1).all() and whole.sum() == 3 * 6
    taken_over = 0
    for plane, mine in rows.groupby("plane"):
        assert (mine.start_s.to_numpy()[1:] >= mine.end_s.to_numpy()[:-1]).all()
        seen = run.contacts[run.contacts.cluster.map(planes) == plane]
        for end_s in mine[mine.outcome != "delivered"].end_s:
            if ((seen.rise_s < end_s) & (seen.set_s > end_s + 1)).any():
                assert (mine.start_s - end_s).abs().min() < 0.1
                taken_over += 1
    assert taken_over > 0
    # What another one has begun is of no use; where it may be resumed the books leave that open.
    lost = float(rows[~whole].delivered_bytes.sum())
    books = run.manifest["books"]["uplink"]
    assert books[f"{'unfinished' if cut_transfers == 'resume' else 'vain'}_bytes"] == lost


SMALL = {
    "seed": 3, "start": "2026-08-22T00:00:00Z", "stop": {"days": 1, "rounds": 3},
    "roles": {"server": "stations", "clients": "satellites"},
    "orbit": {
        "source": "walker", "altitude_km": 2000, "inclination_deg": 60, "satellites": 10,
        "planes": 2, "phasing": 1, "min_elevation_deg": 10,
    },
    "ground": {
        "antennas": "unlimited",
        "stations": [{"name": "Bremen", "latitude_deg": 53.1, "longitude_deg": 8.85}],
    },
    "link": {
        "preset": "physical", "uplink": FAST, "downlink": FAST,
        "isl": {"within_plane": "ring", "between_planes": "all", "rate_mbps": 100},
    },
    "compute": {"seconds_per_round": 60},
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "personal"),
    [("fedisl", ["head"]), ("fedleo", []), ("autoflsat", ["head"])],
)  # fmt: skip
@pytest.mark.quick(2)
def test_weights_are_those_of_the_mean_over_all_satellites(method, personal, tmp_path):
    """Over rings and sinks, or by the waterfall: each round makes w = sum_k n_k / n w_k."""
    learning = small_model(method, {"local_rounds": 2}) | {"personal": personal}
    learning["data"] = {"split": {"kind": "quantity", "alpha": 2.0}}
    said = scenarios.from_dict(SMALL | {"learning": learning})
    loop = PlainLoop(said)
    x = loop.x
    for _ in range(3):
        x = loop.mean({client: loop.train(x, client, 2) for client in loop.clients})
    assert len(compare(tmp_path, said, x)) == 3


@pytest.mark.parametrize(("method", "seed"), [("fedisl", 6), ("fedisl", 9), ("fedleo", 3)])
def test_who_trains_on_when_a_round_is_over_begins_the_next_one_later(method, seed):
    """Half of the satellites take ten times as long, and links fail where a satellite is away."""
    said = {
        "learning.train": False, "learning.method": method, "stop.days": 0.5, "seed": seed,
        "orbit.satellites": 8, "orbit.planes": 1, "orbit.phasing": 0, "orbit.altitude_km": 1200,
        "orbit.inclination_deg": 97.8, "compute.seconds_per_round": 300,
        "ground.stations": [
            {"name": "X", "latitude_deg": 63, "longitude_deg": -164},
            {"name": "Y", "latitude_deg": -40, "longitude_deg": 180},
        ],
        "faults": {
            "stragglers": {"share": 0.5, "slowdown": 10},
            "churn": {"mean_away_hours": 0.5, "mean_present_hours": 1.0},
        },
    }  # fmt: skip
    events = sim.run(scenarios.load("fedisl", said)).events
    assert events.detail.str.contains("away", na=False).any()
    for _, rows in events[events.kind.isin(["train_start", "train_end"])].groupby("cluster"):
        assert set(rows.kind[::2]) == {"train_start"} and set(rows.kind[1::2]) <= {"train_end"}


@pytest.mark.wide
def test_fifty_cycles_of_the_waterfall_take_as_long_as_flystacks():
    """23.81 h, as table 3 of its repository says for 4 planes of 10 and no dropout."""
    run = sim.run(scenarios.load("flystack-isl"))
    ended_s = run.events[run.events.kind == "aggregate"].time_s
    assert len(ended_s) == 50
    assert ended_s.max() / 3600 == pytest.approx(23.81, abs=0.01)


def test_an_update_in_a_partial_aggregate_is_in_no_other_one():
    """Over slow rings: a sum counts as a whole or, where it comes too late, not at all."""
    options = {"selection": "scheduled", "intra_plane": True, "clients": 6}
    keys = {
        "stop.days": 0.5, "orbit.satellites": 20, "orbit.planes": 2, "ground.stations_used": 1,
        "learning.options": options,
        "link.isl": {"within_plane": "ring", "rate_mbps": 0.001, "grazing_km": 0},
    }  # fmt: skip
    run = sim.run(scenarios.load("flystack", keys))
    assert len(run.updates) > 6 and not run.updates.duplicated(["round", "cluster"]).any()
    sums = run.transfers[
        (run.transfers.direction == "downlink") & (run.transfers.payload == "aggregate")
    ]
    assert (sums.outcome == "delivered").any()
