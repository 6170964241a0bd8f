"""Small scenarios drawn at random, as mappings that a file would hold, and a campaign of them."""

from __future__ import annotations

import random
import re
import warnings
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from math import log10
from typing import Any

from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis import strategies as st

import learning as federated
import scenarios
import sim
from tests.kit import promises
from tests.kit.spy import Spy

START = datetime(2026, 8, 22, tzinfo=UTC)
OF_SATELLITES = (
    "fedavg-sat", "fedprox-sat", "fedsat", "fedspace", "fedisl", "fedleo", "autoflsat",
)  # fmt: skip
"""Shipped methods whose clients are satellites."""
METHODS = (
    "synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned", "nmoe", "fedprox",
    "fedopt", "scaffold", "fedasync", "local", "centralised", "fedavg-per-cluster", "select",
    *OF_SATELLITES,
)  # fmt: skip
"""All shipped methods."""
RINGS = ("fedisl", "fedleo", "autoflsat")
"""Methods that send round rings of satellites."""
IN_ORBIT = (
    *OF_SATELLITES,
    "fedavg",
    "fedbuff",
    "fedprox",
    "scaffold",
    "fedasync",
    "nmoe",
    "select",
)
"""Methods that are drawn with satellites as clients."""
OVER_MESH = ("fedavg", "fedbuff", "fedprox", "scaffold", "fedasync", "select")
"""Methods that are drawn with uploads and downloads of devices over a mesh of satellites."""
SOURCES = ("slots", "circular", "walker", "contacts")
SATELLITES = ("S1", "S2", "S3")
CUT = ("resume", "restart", "drop")
Mapping = dict[str, Any]


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Mapping]:
    """Mappings with any of the keys."""
    return st.fixed_dictionaries({}, optional=keys)


def all_of(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Mapping]:
    return st.fixed_dictionaries(keys)


def one(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def spread(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of every size between two: as many below 1 as above."""
    return st.floats(log10(low), log10(high)).map(lambda power: float(f"{10**power:.4g}"))


MEMORY = {"memory_gib": spread(1e-5, 1e-2)}
COMPUTE = st.one_of(
    all_of(seconds_per_round=spread(1, 5000)),
    st.fixed_dictionaries({"tflops": spread(1e-7, 1e-3)}, optional=MEMORY),
)
FEW_ROUNDS = all_of(per_contact=st.integers(1, 2), per_gap_max=st.integers(0, 3))
"""What a trained run of a day can take in a second or two."""
ROUNDS = some(per_contact=one(1, 2, "fill"), per_gap_max=one(None, 0, 1, 3))
AGGREGATION = st.one_of(
    st.just({"when": "all"}),
    all_of(when=st.just("quorum"), quorum=one(0.3, 0.8, 1.0)),
    all_of(when=st.just("deadline"), deadline_s=spread(1, 5000)),
)
SERVING = some(
    beams=st.integers(1, 3),
    priority=one("least_recently_served", "highest_elevation", "longest_waiting"),
    min_contact_s=one(0.0, 30.0, 300.0),
)
SEVERAL = some(
    hand_over=one("longest_remaining", "highest_elevation"),
)


@st.composite
def scenarios_drawn(
    draw: st.DrawFn, methods: tuple[str, ...], train: bool = False, struck: float = 0.9
) -> Mapping:
    """A scenario over any source, link and schedule that takes about a second at most.

    A share of them, ``struck``, has faults.
    """
    of = "cluster"
    method = draw(st.sampled_from(methods))
    if method in OF_SATELLITES or (method in IN_ORBIT and draw(one(True, False, False))):
        drawn, names = draw(_satellites_learn(method, train))
        of = "satellite"
    elif method in OVER_MESH and draw(one(True, False, False, False)):
        drawn, names = draw(_devices_over_mesh(method, train))
    else:
        drawn, names = draw(_devices_learn(method, train))
    if draw(st.integers(1, 10)) > 10 * (1 - struck):
        meshed = drawn["link"].get("isl", {}).get("route") == "earliest"
        drawn["faults"] = draw((FAULTS_OF_A_MESH if meshed else FAULTS).filter(bool))
        if "battery" in drawn["compute"]:
            drawn["faults"].pop("churn", None)
        if draw(one(False, False, True)):
            drawn["faults"]["planned"] = draw(st.lists(_planned(of, names), min_size=1, max_size=3))
    return drawn


@st.composite
def _devices_learn(draw: st.DrawFn, method: str, train: bool) -> tuple[Mapping, list[str]]:
    """Clusters of devices that satellites serve, which hold the model together."""
    source = draw(st.sampled_from(SOURCES))
    seen = source in ("circular", "walker")
    drawn: Mapping = {
        "seed": draw(st.integers(0, 5)),
        "start": START.isoformat(),
        "ground": {"clusters": draw(_clusters(seen))},
        "compute": draw(COMPUTE),
    }
    names = [cluster["name"] for cluster in drawn["ground"]["clusters"]]
    drawn["orbit"] = draw(_orbit(source, names))
    drawn["stop"] = {"cycles": draw(st.integers(1, 5 if train else 12))}
    if source != "slots":
        drawn["stop"]["days"] = draw(st.sampled_from([0.3, 0.7, 1.0] if train else [0.3, 1, 3]))
    drawn["link"] = draw(_link(seen, method))
    drawn["learning"] = draw(_learning(method, train))
    return drawn, names


@st.composite
def _satellites_learn(draw: st.DrawFn, method: str, train: bool) -> tuple[Mapping, list[str]]:
    """Satellites with data, served by stations, or over a mesh by these or by one of them."""
    windows = method not in RINGS and draw(one(True, False, False))
    may = method == "nmoe" or method in OVER_MESH
    meshed = not windows and may and draw(st.booleans())
    by_one = meshed and draw(st.booleans())
    maybe = method in MAY_LINK and not windows and draw(st.booleans())
    linked = meshed or method in RINGS or maybe
    drawn: Mapping = {
        "seed": draw(st.integers(0, 5)),
        "start": START.isoformat(),
        "stop": {"days": draw(one(0.2, 0.5) if train else one(0.2, 0.5, 1.0))},
        "roles": {"server": "stations", "clients": "satellites"},
        "compute": draw(COMPUTE),
        "learning": draw(_learning(method, train)),
    }
    drawn["learning"].setdefault("data", {})["split"] = draw(SPLIT)
    if train or method in RINGS:  # one that always sees a station would have thousands
        drawn["stop"]["rounds"] = draw(st.integers(1, 5 if train else 20))
    stations = [] if by_one else draw(_stations(seen=not windows))
    if windows:
        places = [station["name"] for station in stations]
        drawn["orbit"] = {"source": "contacts", "windows": draw(_windows(places))}
        listed = [row.split(",")[0] for row in drawn["orbit"]["windows"].split("\n")[1:]]
        names = sorted(set(listed))
    else:
        drawn["orbit"], names = draw(_constellation(linked and not meshed, meshed))
    drawn["link"] = draw(_link_of_satellites(seen=not windows))
    if by_one:
        drawn["roles"]["server"] = f"satellite:{draw(st.sampled_from(names))}"
        drawn["link"] = {}
        del drawn["orbit"]["min_elevation_deg"]
    else:
        drawn["ground"] = {"antennas": draw(one(1, 2, "unlimited")), "stations": stations}
        drawn["orbit"] |= draw(some(min_contact_s=one(0.0, 30.0, 300.0)))
    if linked:
        drawn["link"]["isl"] = draw(_isl(method, meshed))
    if meshed:
        _leave_to_routes(drawn)
    if maybe:
        drawn["learning"]["options"] |= {"intra_plane": True, "selection": "scheduled"}
    if not windows and draw(st.booleans()):
        drawn["compute"] |= {"power_w": 15.0, "battery": draw(BATTERY)}
    return drawn, names


@st.composite
def _devices_over_mesh(draw: st.DrawFn, method: str, train: bool) -> tuple[Mapping, list[str]]:
    """Clusters of devices whose satellites bring the model from stations, or from one of them."""
    drawn: Mapping = {
        "seed": draw(st.integers(0, 5)),
        "start": START.isoformat(),
        "stop": {"days": draw(one(0.2, 0.5))}
        | ({"rounds": draw(st.integers(1, 5))} if train else {}),
        "roles": {"server": "stations"},
        "ground": {"clusters": draw(_clusters(seen=True))},
        "compute": draw(COMPUTE),
        "learning": draw(_learning(method, train)),
        "link": draw(_link(seen=True, method=method)),
    }
    drawn["orbit"], satellites = draw(_constellation(ringed=False, meshed=True))
    drawn["link"]["isl"] = draw(_isl(method, meshed=True))
    _leave_to_routes(drawn)
    if draw(st.booleans()):
        drawn["ground"] |= {"stations": draw(_stations(seen=True))}
        drawn["link"]["feeder"] = {"rate_mbps": draw(spread(1e-3, 100))}
    else:
        drawn["roles"]["server"] = f"satellite:{draw(st.sampled_from(satellites))}"
    return drawn, [cluster["name"] for cluster in drawn["ground"]["clusters"]]


MAY_LINK = ("fedavg-sat", "fedprox-sat")
"""Methods that may send within planes, by their option ``intra_plane``."""
SPLIT = st.one_of(
    st.just({"over": "clients", "kind": "iid"}),
    st.just({"over": "clients", "kind": "dirichlet", "alpha": 0.5}),
)
BATTERY = st.fixed_dictionaries(
    {"capacity_wh": spread(0.5, 50), "charge_w": spread(5, 50)},
    optional={"idle_w": one(0.0, 4.0), "initial": one(0.3, 1.0), "reserve": one(0.0, 0.5)},
)


def _leave_to_routes(drawn: Mapping) -> None:
    """Take out what means nothing where messages take links and are booked ahead."""
    for key in ("cut_transfers", "relay"):
        drawn["link"].pop(key, None)
    drawn["learning"].pop("aggregation", None)


@st.composite
def _constellation(draw: st.DrawFn, ringed: bool, meshed: bool) -> tuple[Mapping, list[str]]:
    """A Walker constellation, of which all serve; neighbours in rings see each other."""
    planes = draw(st.integers(2 if meshed else 1, 3))
    in_each = 6 if ringed else draw(one(1, 3, 6))
    orbit = {
        "source": "walker",
        "serving": "any",
        "pattern": draw(one("delta", "star")),
        "altitude_km": draw(one(1200, 2000) if ringed else one(600, 1200, 2000)),
        "inclination_deg": draw(one(53, 80, 97.8)),
        "planes": planes,
        "satellites": planes * in_each,
        "phasing": draw(st.integers(0, planes - 1)),
        "propagation": draw(one("sgp4", "secular_j2")),
        "min_elevation_deg": draw(one(0, 10, 25)),
    }
    numbers = [(plane, k) for plane in range(planes) for k in range(in_each)]
    return orbit, [f"P{plane + 1:02}-S{k + 1:02}" for plane, k in numbers]


@st.composite
def _stations(draw: st.DrawFn, seen: bool) -> list[Mapping]:
    where = {"latitude_deg": st.integers(-80, 80), "longitude_deg": st.integers(-180, 180)}
    names = draw(st.permutations("XYZ"))[: draw(st.integers(1, 3))]
    return [{"name": name, **(draw(all_of(**where)) if seen else {})} for name in names]


@st.composite
def _link_of_satellites(draw: st.DrawFn, seen: bool) -> Mapping:
    """Links to stations: both ways carry models."""
    link: Mapping = {"preset": "physical" if seen else "paper"}
    link["cut_transfers"] = draw(st.sampled_from(CUT))
    for way in ("uplink", "downlink"):
        if not seen or draw(st.booleans()):
            link[way] = {"rate": "fixed", "fixed_rate_mbps": draw(spread(1e-4, 10))}
    return link


@st.composite
def _isl(draw: st.DrawFn, method: str, meshed: bool) -> Mapping:
    ring = method in (*RINGS, *MAY_LINK)
    between = one("grid", "neighbours", "all") if method == "autoflsat" or not ring else one("none")
    return {
        "within_plane": "ring" if ring else "none",
        "between_planes": draw(between),
        "rate_mbps": draw(spread(1e-3, 100)),
        "route": "earliest" if meshed else "direct",
        **draw(some(terminals=one(2, 4), acquisition_s=one(10.0, 60.0))),
    }


@st.composite
def _planned(draw: st.DrawFn, of: str, names: list[str]) -> Mapping:
    begin = draw(one(0, 1, 5, 20))
    ends = draw(some(to_hours=one(begin + 0.1, begin + 1, begin + 6)))
    return {of: draw(st.sampled_from(names)), "from_hours": begin, **ends}


@st.composite
def _clusters(draw: st.DrawFn, seen: bool) -> list[Mapping]:
    clusters = []
    for name in draw(st.permutations("DBCA"))[: draw(st.integers(1, 4))]:
        count = draw(st.integers(1, 4))
        cluster: Mapping = {"name": name, **(draw(_places(count)) if seen else {"devices": count})}
        computing = draw(one("", "", "alike", "kinds"))
        if computing == "alike":
            cluster["kinds"] = [{"devices": count, **draw(COMPUTE)}]
        elif computing == "kinds":
            cluster["kinds"] = [{"devices": 1, **draw(COMPUTE)} for _ in range(count)]
        clusters.append(cluster)
    return clusters


@st.composite
def _places(draw: st.DrawFn, count: int) -> Mapping:
    north = st.integers(-85, 85)
    east = st.integers(-180, 180)
    place = {"latitude_deg": draw(north), "longitude_deg": draw(east)}
    if draw(st.booleans()):
        return {**place, "devices": count, "radius_km": draw(one(0, 20, 300))}
    offset = st.integers(0, 20).map(lambda step: step / 10)
    own = some(min_elevation_deg=one(0, 20, 40), altitude_m=st.integers(0, 3000))
    names = draw(st.permutations("wxyz"))[:count]
    near = [{key: deg + draw(offset) for key, deg in place.items()} | draw(own) for _ in names]
    return {**place, "places": [{"name": a, **b} for a, b in zip(names, near, strict=True)]}


@st.composite
def _orbit(draw: st.DrawFn, source: str, names: list[str]) -> Mapping:
    if source == "slots":
        slots = {"seconds": draw(spread(10, 3000)), "idle": draw(st.integers(0, 2))}
        return {"source": source, "slots": slots}
    orbit = {"source": source, **draw(SERVING)}
    if source == "contacts":
        orbit.pop("priority", None)
        several = {"serving": "any", **draw(SEVERAL)}
        several.pop("hand_over", None)
        return {**orbit, **several, "windows": draw(_windows(names))}
    orbit |= {
        "altitude_km": draw(st.integers(400, 1500)),
        "inclination_deg": draw(one(0, 53, 70.5, 97.8, "sun-synchronous")),
        "min_elevation_deg": draw(one(0, 10, 25)),
    }
    if source == "walker":
        planes = draw(st.integers(1, 3))
        satellites = planes * draw(st.integers(1, 3))
        orbit |= {"planes": planes, "satellites": satellites, **draw(SEVERAL)}
        orbit["phasing"] = draw(st.integers(0, planes - 1))
    return orbit


@st.composite
def _windows(draw: st.DrawFn, names: list[str]) -> str:
    """Windows of each satellite and site that do not overlap, listed in any order."""
    rows = []
    for satellite in SATELLITES[: draw(st.integers(1, 3))]:
        for name in names:
            at_s = 0.0
            for _ in range(draw(st.integers(1, 6))):
                at_s += draw(spread(1, 20_000))
                end_s = at_s + draw(spread(1, 2000))
                rows.append(f"{satellite},{name},{_utc(at_s)},{_utc(end_s)}")
                at_s = end_s
    return "\n".join(["satellite,site,rise_utc,set_utc", *draw(st.permutations(rows))])


def _utc(time_s: float) -> str:
    when = START + timedelta(seconds=round(time_s, 3))
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@st.composite
def _link(draw: st.DrawFn, seen: bool, method: str) -> Mapping:
    link: Mapping = {"preset": "physical" if seen and draw(st.booleans()) else "paper"}
    link["cut_transfers"] = draw(st.sampled_from(CUT))
    link["uplink"] = draw(_uplink(link["preset"]))
    narrow = {"rate": "fixed", "fixed_rate_mbps": draw(spread(1e-5, 10))}
    kinds = ["neglected", narrow, {**narrow, "delivery": "unicast", **draw(_band())}]
    link["downlink"] = draw(st.sampled_from([*kinds, {}] if seen else kinds))
    if method == "nmoe" or draw(st.integers(0, 5)) == 0:
        rate = draw(spread(1e-5, 10))
        link["sidelink"] = {"rate_mbps": rate, "distance_km": draw(spread(0.01, 10))}
        link["relay"] = draw(one("none", "contact", "store"))
    return link


def _band() -> st.SearchStrategy[Mapping]:
    """Sub-channels for one to three devices at a time."""
    total = st.integers(1, 3).map(lambda channels: float(channels))
    return all_of(bandwidth_mhz=st.just(1.0), total_bandwidth_mhz=total)


@st.composite
def _uplink(draw: st.DrawFn, preset: str) -> Mapping:
    band = draw(_band())
    if draw(st.booleans()):
        band["sharing"] = "equal_share"
    band = band if draw(st.booleans()) else {}
    rate = draw(one("fixed", "ergodic", "shannon", "outage", "modcod"))
    uplink: Mapping = {"rate": rate, **band}
    if rate == "fixed":
        uplink["fixed_rate_mbps"] = draw(spread(1e-5, 10))
    elif preset == "paper":
        uplink["path_gain_db"] = -draw(st.integers(130, 190))
    if rate == "outage":
        uplink["outage_probability"] = draw(one(0.01, 0.3))
    return uplink


@st.composite
def _learning(draw: st.DrawFn, method: str, train: bool) -> Mapping:
    learning: Mapping = {
        "method": method,
        "train": train,
        "rounds": draw(FEW_ROUNDS if train else ROUNDS),
        "steps_per_round": 1,
        "batch_size": 4,
        "gate_tuning_cycles": draw(st.integers(0, 2)),
        "upload_format": draw(one("native", "float16", "int8")),
        "model": {"experts": draw(st.integers(1, 4)), "hidden": 16, "expert_hidden": 16},
        **draw(some(evaluate_every_hours=one(0.5, 3.0), aggregation=AGGREGATION)),
        **draw(some(trains_backbone=st.booleans()) if "enhanced" in method else st.just({})),
    }
    if method == "nmoe":
        for unused in ("gate_tuning_cycles", "upload_format"):
            del learning[unused]
        learning["model"] = {"kind": "image-nmoe", "hidden": 8, "expert_hidden": 8}
        learning["data"] = {"kind": "digit-images"}
    else:
        learning["lora"] = {"rank": None if method == "scaffold" else draw(one(None, 2))}
    traits = federated.find_method(method).traits
    if traits.waits_for_all:
        learning.pop("aggregation", None)
    learning["options"] = dict(draw(OPTIONS.get(method, st.just({}))))
    return learning


ROUNDS_OF_SATELLITES = all_of(
    clients=st.integers(1, 5), local_rounds=st.integers(1, 3), selection=one("first", "scheduled")
)
OPTIONS: dict[str, st.SearchStrategy[Mapping]] = {
    "fedbuff": some(buffer_size=st.integers(0, 4), staleness=one("constant", "hinge")),
    "fedasync": some(alpha=one(0.1, 1.0), mu=one(0.0, 0.1)),
    "fedprox": some(mu=one(0.0, 0.1), partial=one("keep", "drop")),
    "fedopt": some(kind=one("avgm", "adam", "yogi", "adagrad")),
    "select": some(agent=one("everyone", "random"), trains=one("contacts", "gaps")),
    "fedavg-sat": ROUNDS_OF_SATELLITES,
    "fedprox-sat": ROUNDS_OF_SATELLITES,
    "fedsat": some(plus=st.booleans()),
    "fedspace": some(slot_s=one(300, 900), horizon=one(4, 24), candidates=one(1, 20)),
    "fedisl": some(local_rounds=one(1, 2)),
    "fedleo": some(local_rounds=one(1, 2)),
    "autoflsat": some(local_rounds=one(1, 2)),
    "aligned": some(capacity=st.integers(0, 3), exploration=one(0.0, 0.5)),
    "emsfl-enhanced": some(resplit_cycles=st.integers(0, 3)),
    "restless": some(resplit_cycles=st.integers(1, 3)),
    "restless-enhanced": some(resplit_cycles=st.integers(1, 3)),
    "nmoe": all_of(
        extractor=one("fedce", "none", "fedsc"), gate=one("fedgate", "rollgate", "rangate"),
        extractor_rounds=st.integers(0, 2), expert_rounds=st.integers(1, 2),
        gate_rounds=st.integers(1, 2), exchange=one("experts", "features"),
        inference_samples=one(0, 5),
    ),
}  # fmt: skip
OUTAGES = all_of(per_day=spread(0.2, 20), mean_hours=spread(0.05, 5))
STRAGGLERS = all_of(share=one(0.1, 0.5, 1.0), slowdown=spread(1.1, 50))
FAULTS_OF_A_MESH = some(outages=OUTAGES, stragglers=STRAGGLERS)
FAULTS = some(
    outages=OUTAGES,
    churn=all_of(mean_present_hours=spread(0.1, 50), mean_away_hours=spread(0.01, 10)),
    stragglers=STRAGGLERS,
    packets=all_of(loss=one(0.001, 0.1, 0.6), bytes=one(50, 1500)),
    uploads=all_of(corrupted=one(0.1, 0.5)),
)


def campaign(
    count: int, seen: Counter[str], number: int, shrink: bool = True, **how: Any
) -> Callable[[], None]:
    """Return a property that tries ``count`` scenarios and counts in ``seen`` what they were.

    ``how`` is what :func:`scenarios_drawn` takes; ``number`` seeds the draws. To ``shrink`` a
    scenario that fails may take minutes.
    """

    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @settings(
        max_examples=count, phases=phases, suppress_health_check=list(HealthCheck),
        deadline=None, database=None, print_blob=False,
    )  # fmt: skip
    @given(scenarios_drawn(**how), st.data())
    def holds(drawn: Mapping, data: st.DataObject) -> None:
        with Spy().watching() as spy, warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # numbers that are none
            first = _attempt(drawn, seen)
        promises.check(drawn, first, spy)
        digest = first.manifest["trace_sha256"]
        again = sim.run(scenarios.from_dict(drawn)).manifest["trace_sha256"]
        assert again == digest, "a repeat differs"
        other = _rearranged(drawn, data.draw(st.randoms(use_true_random=False)))
        listed = sim.run(scenarios.from_dict(other)).manifest["trace_sha256"]
        assert listed == digest, "listed otherwise"
        seen.update(["tried", drawn["orbit"]["source"], drawn["learning"]["method"]])
        seen["satellites learn"] += "clients" in drawn.get("roles", {})
        seen["over a mesh"] += drawn["link"].get("isl", {}).get("route") == "earliest"
        seen["with batteries"] += "battery" in drawn["compute"]
        seen["trained"] += drawn["learning"]["train"]
        seen["with faults"] += bool(drawn.get("faults"))
        seen["with transfers"] += len(first.transfers) > 0

    return seed(number)(holds)


def _attempt(drawn: Mapping, seen: Counter[str]) -> sim.Result:
    """Run a scenario; one that is refused for what it says does not count."""
    try:
        return sim.run(scenarios.from_dict(drawn))
    except ValueError as error:
        text = str(error)
        assert "\n" not in text, "one line"
        seen["refused: " + re.sub(r"'[^']*'", "'...'", re.sub(r"[\d.]+", "N", text))[:150]] += 1
        reject()


def _rearranged(drawn: Mapping, chance: random.Random) -> Mapping:
    """The same scenario, listed in another order; each place keeps its kind of device."""
    other = deepcopy(drawn)
    ground: dict[str, list[dict[str, Any]]] = other.get("ground", {})
    clusters = ground.get("clusters", [])
    chance.shuffle(clusters)
    chance.shuffle(ground.get("stations", []))
    for cluster in clusters:
        if "places" in cluster:
            order = list(range(len(cluster["places"])))
            chance.shuffle(order)
            for key in {"places", "kinds"} & set(cluster):
                if len(cluster[key]) == len(order):  # else all are of one kind
                    cluster[key] = [cluster[key][number] for number in order]
    if "windows" in other["orbit"]:
        head, *rows = other["orbit"]["windows"].split("\n")
        chance.shuffle(rows)
        other["orbit"]["windows"] = "\n".join([head, *rows])
    return other
