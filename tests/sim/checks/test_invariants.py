"""What must hold of every run: each violation stops one, and is found in the tables of a finished
one. White box: parts of leomix are tampered with, and what the invariants keep is counted."""

import json
import math
import re
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import learning
import scenarios
import sim
from channel import LinkCurve
from learning.clients import updates as merging
from learning.clients.updates import Update
from learning.methods.asynchronous import FedBuff
from learning.requests import Aggregated, Download, NextContact, Payload, Range, Upload, Used
from learning.training import aggregation
from learning.training import local as training
from sim.checks.invariants import Invariants
from sim.checks.staleness import WAITING
from sim.clock import Clock
from sim.facts.coded import Coded
from sim.facts.stream import Facts
from sim.links import pass_geometry
from sim.mesh.book import Book
from sim.mesh.messages import Mesh
from sim.network.books import Books, LedgerEntry
from sim.network.legs import LegLog, Moved, Trained
from sim.plan import contacts as planning
from tests.kit.folders import held
from tests.kit.promises import check_tables
from tests.kit.scripted import Scripted
from tests.kit.small import ORBIT, SATELLITES, SLOTS, fixed, merged, orbit, slots
from tests.sim.engine.test_roles import IN_ORBIT, RELAYED

TIMING = {"train": False}
OFTEN = merged(SLOTS, {"stop": {"cycles": 6}, "learning": TIMING})
FLOWN = merged(ORBIT, {"stop": {"days": 1}, "learning": TIMING})


@pytest.mark.parametrize("method", ["emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned"])
def test_a_download_of_nothing_new_counts_though_it_has_no_row(method):
    """With `factors` a device asks for what it misses. Tables of other runs: the campaign."""
    said = {"method": method, "lora": {"rank": 2, "download": "factors"}, **TIMING}
    check_tables(sim.run(slots(stop={"cycles": 10}, learning=said)).tables)


def talk(down, up, version, staleness):
    """One download, one upload, and the staleness (or None) that is stated of it then."""
    known = None if staleness is None else Range(staleness, staleness)

    def script(me):
        yield NextContact()
        yield Download(Payload("model", np.full(me.devices, 10.0), down))
        yield Upload(Payload("update", 10.0, up))
        yield Aggregated(version, "update", staleness=known)

    return script


@pytest.fixture
def stopped(leomix, tmp_path, monkeypatch):
    """Run a scenario that fails, look at what it leaves behind, and return what it says.

    What is learnt by a part that was tampered with must not be found by others.
    """
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))

    def run(scenario):
        file = tmp_path / "scenario.yaml"
        out = tmp_path / "run"
        file.write_text(yaml.safe_dump(scenario))
        told = leomix("run", file, "-o", out, "--quiet")
        assert told.status == 1
        said = [line for line in told.err.splitlines() if not line.startswith("warning: ")]
        assert len(said) == 1  # behind the plan's doubts, which come before a run
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["status"] == "failed"
        assert manifest["error"] in told.err
        assert len(pq.read_table(out / "events.parquet")) > 0
        return told.err

    return run


def swap(place, name):
    """Put a function in the place of the honest one, which it gets first."""
    honest = getattr(place, name)

    def tampering(function):
        @wraps(honest)
        def tampered(*given, **named):
            return function(honest, *given, **named)

        return lambda patch: patch.setattr(place, name, tampered)

    return tampering


def rows(change, kind):
    """Emit events of a kind with other fields."""

    @swap(Facts, "emit")
    def emit(honest, self, fact):
        meant = getattr(fact, "kind", None) == kind
        honest(self, replace(fact, **change) if meant else fact)

    return emit


def dated(table, time_s):
    """Emit rows of a table with another time."""

    @swap(Facts, "emit")
    def emit(honest, self, fact):
        meant = getattr(fact, "table", None) == table
        honest(self, replace(fact, time_s=time_s) if meant else fact)

    return emit


def legs(change, kind=Moved, **which):
    """Log other fields of the legs of which ``which`` is true."""

    @swap(LegLog, "add")
    def add(honest, self, leg):
        meant = all(getattr(leg, name, None) == value for name, value in which.items())
        honest(self, replace(leg, **change(leg)) if meant and isinstance(leg, kind) else leg)

    return add


def lasting(factor, receiver):
    def quick(leg):
        return {"end_s": leg.start_s + factor * (leg.end_s - leg.start_s)}

    return legs(quick, way=receiver)


@swap(Clock, "at")
def late_clock(honest, self, time_s):
    return honest(self, time_s) if self.now < 1000.0 else self.put(10.0)


@swap(LedgerEntry, "offer")
def forgetful(honest, self, *given):
    """What a pass cut off is sent again: the ledger's own books agree."""
    forgotten = honest(self, *given)
    self.through = self.through * 0.0
    return forgotten


@swap(Books, "booked")
def elsewhere(honest, self):
    for one in honest(self):
        yield replace(one, key=one.key._replace(direction="sidelink"))


@swap(Books, "booked")
def cooked(honest, self):
    """More was sent, all in vain: the books agree with themselves."""
    for one in honest(self):
        yield replace(one, sent=one.sent + 1.0, sent_in_vain=one.sent_in_vain + 1.0)


@swap(planning.ContactTable, "__init__")
def short(honest, self, **given):
    service = given["service"]
    third = np.arange(len(service.end_s)) == 3
    end_s = np.where(third, service.start_s, service.end_s)
    honest(self, **given | {"service": replace(service, end_s=end_s)})


def blind(lowest_deg):
    """Link curves down to a lower elevation than a device's own, or than that of all."""

    @swap(pass_geometry, "site_frames")
    def frames(honest, sites, all_deg):
        bare = [replace(site, min_elevation_deg=None) for site in sites]
        return honest(bare, all_deg if lowest_deg is None else lowest_deg)

    return frames


def one_changes(place, function, name):
    """Let the result of a function differ in one tensor more."""

    @swap(place, function)
    def other(honest, *given, **named):
        result = dict(honest(*given, **named))
        found = next(key for key in result if key.startswith(name))
        return result | {found: result[found] + 1.0}

    return other


@swap(training, "_trained")
def trained_in_place(honest, task, own, models, *how):
    trained = honest(task, own, models, *how)
    models[0]["expert.0.0.up.weight"].add_(1.0)
    return trained


def low_flight(**north):
    scenario = merged(FLOWN, {"orbit": {"min_elevation_deg": 15.0}})
    place = {"name": "North", "latitude_deg": 60, "longitude_deg": 20}
    scenario["ground"]["clusters"][0] = place | north
    return scenario


def hops(change, number=400, *, direction=None):
    """Tell another thing of one hop over the mesh, maybe of those in a ``direction``."""

    def tamper(patch):
        seen = 0

        @swap(Facts, "emit")
        def emit(honest, self, fact):
            nonlocal seen
            rows = getattr(fact, "hops", None)
            if rows is not None:
                wanted = [direction in (None, key.direction) for key in rows.keys]
                meant = np.flatnonzero(np.array(wanted)[rows.key])
                place = number - 1 - seen
                seen += len(meant)
                if 0 <= place < len(meant):
                    fact = replace(fact, hops=with_hop(rows, int(meant[place]), change))
            honest(self, fact)

        emit(patch)

    return tamper


def with_hop(rows, row, change):
    """Rows of hops with other fields in one of them; its ends and its key are words."""
    hop = SimpleNamespace(
        key=rows.keys[rows.key[row]],
        target=rows.target.words[rows.target.codes[row]],
        **{name: getattr(rows, name)[row] for name in ("size", "bytes", "start_s", "end_s")},
    )
    for name, value in change(hop).items():
        column = getattr(rows, name)
        listed = {"key": rows.keys}.get(name, getattr(column, "words", None))
        numbers = np.array(getattr(column, "codes", column))
        numbers[row] = value if listed is None else len(listed)
        if name == "key":
            rows = replace(rows, keys=[*listed, value], key=numbers)
        else:
            other = numbers if listed is None else Coded(numbers, [*listed, value])
            rows = replace(rows, **{name: other})
    return rows


def to_gateway(change):
    """Write one hop from a satellite to a gateway down with other fields."""
    return hops(change, 3, direction="downlink")


def directed(hop, direction):
    """The key of a hop in another direction."""
    return hop.key._replace(direction=direction)


def gone(change):
    """Tell another time at which a message is there; without a change it is never sent."""

    @swap(Mesh, "send")
    def send(honest, mesh, message, source, target):
        if change is None:
            return mesh.arrival_s(source, target, message.size, 0.0)
        there_s = honest(mesh, message, source, target)
        return there_s if source == target else change(there_s, message.way)

    return send


@learning.register("weighs-less")
class Below(FedBuff):
    """Takes updates away instead of adding them."""

    def aggregate(self, updates):
        for update in updates:
            merged = merging.merge(self.learner, self.weights, update, -1.0)
            self.weights, used = merged
            yield Used([used], self.version, self.round)
        self.aggregated(self.experts)
        yield Aggregated(self.version, "less and less")


HERE = {"latitude_deg": 60.0, "longitude_deg": 20.0}
CLOCK, BYTES = "clock monotone", "bytes conserved"
AGREE = "books, payloads and transfers agree"
INSIDE, GATE = "no transfer outside its contact", "no transfer below its gate"
LASTS, FROZEN = "no zero or non-finite durations", "frozen parameters unchanged"
STALE = "staleness counted from the version downloaded"
WEIGHTS = "aggregation weights sum to one"
HOPS = "messages conserved hop by hop"
CITIES_MESHED = merged(
    SATELLITES,
    {
        "roles": {"server": "satellite:P01-S05", "clients": "devices"},
        "compute": {"battery": None},
        "link": {"isl": {"route": "earliest"}},
        "learning": {"method": "fedavg", "train": False},
    },
) | {"ground": {"clusters": [{"name": "Bremen", "latitude_deg": 53.1, "longitude_deg": 8.85}]}}
GATEWAYS = merged(
    CITIES_MESHED,
    {
        "roles": {"server": "stations"},
        "link": {"feeder": {"rate_mbps": 1}},
        "ground": {"stations": [
            {"name": "Troll", "latitude_deg": -72.0, "longitude_deg": 2.5},
            {"name": "Svalbard", "latitude_deg": 78.2, "longitude_deg": 15.4},
        ]},
    },
)  # fmt: skip
MESHED = merged(
    SATELLITES,
    {
        "link": {"isl": {"route": "earliest"}},
        "learning": {"method": "fedavg", "train": False},
    },
)
del MESHED["compute"]["battery"]
TAMPERED = [
    (late_clock, OFTEN, CLOCK, "an event at 10.0 s comes behind one at"),
    *(
        (rows({"time_s": t}, "aggregate"), OFTEN, CLOCK,
         f"a aggregate of .* is dated {t} s in events")
        for t in (-1.0, 1e6, math.nan)
    ),
    *(
        (dated("updates", t), OFTEN, CLOCK, f"a row of .* is dated {t} s in updates")
        for t in (-1.0, 1e6, math.nan)
    ),
    (legs(lambda leg: {"end_s": leg.end_s + 0.5}, way="server"), FLOWN, CLOCK, "uplink of e"),
    (legs(lambda leg: {"bytes": leg.bytes / 2}, way="client"), OFTEN,
     BYTES, "downlink of .*and is delivered"),
    (legs(lambda leg: {"size": 2 * leg.size, "bytes": 2 * leg.bytes}, way="server"), OFTEN, AGREE,
     "uplink of .* to the server sent .* bytes, but the rows have"),
    (legs(lambda leg: {"key": leg.key._replace(payload="another")}, way="client"), OFTEN, AGREE,
     "downlink of another to the client has rows, but no books"),
    (elsewhere, IN_ORBIT, AGREE, "downlink of .* to the server has rows, but no books"),
    (cooked, RELAYED, AGREE, "isl of .* to the server sent .* bytes, but the rows have"),
    (swap(Books, "listed")(lambda honest, self: honest(self)[1:]), OFTEN, AGREE,
     "to the (server|client) is not in the list of payloads"),
    (swap(Books, "listed")(
        lambda honest, self: [one | {"bytes": one["bytes"] / 2} for one in honest(self)]
     ), OFTEN, AGREE, "to the (server|client) is listed with .* bytes, but a row has"),
    (swap(LinkCurve, "unchecked_completion_time_s")(
        lambda honest, self, bits, start_s: np.full(np.shape(bits), np.nan)
     ), OFTEN, LASTS, ""),
    (forgetful, merged(FLOWN, {"stop": {"days": 3}, "link": fixed(uplink=5e-6)}), BYTES, ""),
    (legs(lambda leg: {"start_s": leg.start_s - 100.0}, way="server"), FLOWN, INSIDE,
     "uplink of experts:0.* by device 0 of .*, contact 0 is "),
    (legs(lambda leg: {"cluster": "A"}, way="server", cluster="B"), OFTEN, INSIDE, "of B"),
    (blind(0.0), low_flight(devices=3, radius_km=400), GATE, " deg too low at "),
    # Where it is one device's own, only that one is too low: the contact is as long as before.
    (blind(None), low_flight(places=[HERE, {**HERE, "min_elevation_deg": 35.0}]), GATE,
     " deg too low at .* of device 1 of North"),
    (legs(lambda leg: {"end_s": 0.0 * leg.end_s}, Trained), OFTEN, LASTS, "training of"),
    *(
        (lasting(factor, receiver), FLOWN, LASTS, f"{direction} of")
        for receiver, direction in (("server", "uplink"), ("client", "downlink"))
        for factor in (0.0, -1.0, math.nan)
    ),
    (short, OFTEN, LASTS, "contact 3 is served"),
    (one_changes(aggregation, "add_changes", "gate."), SLOTS, FROZEN, "update of 'B'.*'gate.0.w"),
    (one_changes(aggregation, "add_changes", "expert.1."), SLOTS, FROZEN, "date of 'A'.*'expert.1"),
    (one_changes(training, "_trained", "expert.1."), SLOTS, FROZEN, "in 'A'.*'expert.1"),
    (trained_in_place, SLOTS, FROZEN, "training in 'A' changed 'expert.0.*in place"),
    (swap(Update, "staleness")(lambda *_: Range(0, 0)), OFTEN, STALE, "exp"),
    *(
        (lambda patch, up=up, old=old: patch.setattr(
            Scripted, "script", staticmethod(talk(3, up, 6, old))),
         merged(OFTEN, {"learning": {"method": "scripted"}}), STALE, said)
        for up, old, said in (
            (3, 1, r"of uploads in versions \[3\]"),
            (5, 0, "is of version 5, which"),
            (2, 3, "is of version 2, which"),
        )
    ),
    (id, merged(SLOTS, {"learning": {"method": "weighs-less"}}), WEIGHTS, "the weights are "),
    (hops(lambda hop: {"source": "P01-S02"}, 20), CITIES_MESHED, HOPS,
     "no link holds it|sent .* of|said to have arrived|has not got that"),
    (gone(lambda there_s, way: there_s + (1e-3 if way == "server" else 0.0)), CITIES_MESHED, HOPS,
     "model of device 0 of Bremen is there at .* s, not at"),
    (gone(lambda there_s, way: there_s - (30.0 if way == "client" else 0.0)), CITIES_MESHED, HOPS,
     "comes down from .* it has not got that"),
    (to_gateway(lambda hop: {"key": directed(hop, "isl")}), GATEWAYS, HOPS, "is no isl"),
    (to_gateway(lambda hop: {"target": "Troll" if "Sval" in hop.target else "Svalbard"}), GATEWAYS,
     HOPS, "no link holds it"),
    (to_gateway(lambda hop: {"size": hop.size + 1, "bytes": hop.size + 1}), GATEWAYS, HOPS,
     "sent .* of"),
    (gone(None), GATEWAYS, HOPS, "is at .* and said to have arrived|has not got that"),
    (swap(Book, "take")(lambda *_: None), MESHED, HOPS, "another is sent then"),
    (hops(lambda hop: {"size": hop.size + 1}), MESHED, HOPS, "message .* bytes"),
    (hops(lambda hop: {"bytes": hop.bytes / 2}), MESHED, HOPS, " moved .* of"),
    (hops(lambda hop: {"start_s": hop.start_s - 900.0}), MESHED, HOPS, "message .* at .* s"),
    (hops(lambda hop: {"end_s": hop.end_s - 1e-3}), MESHED, HOPS, "no hop has brought that|sent"),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "scenario", "name", "said"), TAMPERED)
@pytest.mark.quick(12)
def test_a_part_that_was_tampered_with_stops_the_run(
    stopped, monkeypatch, tamper, scenario, name, said
):
    tamper(monkeypatch)
    told = stopped(scenario)
    assert re.search(f"invariant '{name}' is violated: .*{said}", told), told


def test_what_one_run_has_damaged_no_other_run_is_given(runs, monkeypatch, tmp_path):
    """Runs of one process have the start model, the backbone and the samples in common."""

    @swap(training, "train")
    def in_passing(honest, task, *tensors, **how):
        next(iter(task.shards.values())).samples.x.mul_(2.0)
        return honest(task, *tensors, **how)

    with monkeypatch.context() as patch:
        in_passing(patch)
        sim.run(scenarios.from_dict(SLOTS))
    sim.run(scenarios.from_dict(SLOTS), tmp_path / "after")
    assert held(tmp_path / "after") == held(runs["slots"])


@pytest.mark.parametrize("staleness", [None, -1])
def test_versions_count_where_staleness_is_stated(monkeypatch, staleness):
    """A custom method numbers its payloads as it likes."""
    script = staticmethod(talk(3, 2, 6, staleness))
    monkeypatch.setattr(Scripted, "script", script)
    scenario = merged(OFTEN, {"learning": {"method": "scripted"}})
    if staleness is None:
        assert sim.run(scenarios.from_dict(scenario)).manifest["status"] == "complete"
        return
    with pytest.raises(sim.InvariantError, match=STALE):
        sim.run(scenarios.from_dict(scenario))


@pytest.mark.parametrize("unnoticed", [False, True], ids=["at once", "at the end"])
def test_the_backbone_moves(stopped, monkeypatch, unnoticed):
    """A change that torch does not count is found at the end, when all is hashed."""

    @swap(training, "train")
    def moving(honest, task, *tensors, **how):
        tensor = task.backbone["head.weight"]
        (tensor.data if unnoticed else tensor).add_(1e-6)
        return honest(task, *tensors, **how)

    moving(monkeypatch)
    told = stopped(SLOTS)
    assert f"invariant '{FROZEN}' is violated: 'head.weight' of the backbone" in told
    assert ("evaluation at" in told) == (not unnoticed)


def test_the_page_lists_the_invariants_that_are_broken_here():
    page = (Path(__file__).parents[3] / "docs" / "trust.md").read_text()
    table = page.partition("| Invariant |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| ([a-z][^|]+) \|", table, re.MULTILINE))
    assert listed == {name for _, _, name, _ in TAMPERED}, "docs/trust.md, and TAMPERED here"


def test_what_is_kept_does_not_grow_with_time(monkeypatch):
    made = []
    kept = []
    honest = Invariants
    monkeypatch.setattr(
        "sim.engine.simulation.Invariants", lambda *given: made.append(honest(*given)) or made[-1]
    )
    for days in (2.0, 8.0):
        sim.run(orbit(stop={"days": days}, link=fixed(uplink=2e-5), learning=TIMING))
        found = made[-1]
        versions = made[-1]._versions
        assert all(len(waiting) <= WAITING for waiting in versions._waiting.values())
        kept.append((found._payloads._open, versions._strange, versions._later))
    assert all(len(many) <= len(few) + 2 for few, many in zip(*kept, strict=True))
