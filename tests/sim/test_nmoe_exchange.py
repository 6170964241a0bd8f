"""What stage 3 sends before and behind a gate's training, against the bytes that are booked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import sim
from tests.kit.learning import Exchange
from tests.kit.network import Course, Run, build
from tests.kit.small_nmoe import nmoe, options

D, C, NUMBER = 8, 10, 4
KINDS = {"experts": ["expert", "experts"], "features": ["features", "outputs"]}


def finished(scenario: Any) -> tuple[Any, Any]:
    run = Run(Course(build(scenario)), None, checkpoint_every_s=10.0)
    return run.method, run.execute(None, None)


def exchanged(result: sim.Result, way: str) -> float:
    rows = result.transfers
    return float(rows[rows.payload.isin(KINDS[way])].delivered_bytes.sum())


@pytest.mark.parametrize("gate", ["fedgate", "rangate"])
@pytest.mark.parametrize("way", ["experts", "features"])
def test_an_exchange_foretells_the_bytes_that_are_booked(way: str, gate: str) -> None:
    """All clients' samples for FedGate, those of one for RanGate; by formulas written anew."""
    said = options(exchange=way, gate=gate, extractor="none")
    method, result = finished(nmoe(learning=said))
    exchange = Exchange(method, method.trainer.learners())
    booked = exchanged(result, way)
    foretold = exchange.experts_bytes if way == "experts" else exchange.features_bytes
    assert booked == pytest.approx(foretold)
    expert, n = method.sizes.expert_bytes, 5
    samples = np.concatenate([method.samples[name] for name in ("A", "B")])
    if gate == "rangate":
        [chosen] = method.trainer.learners()
        taught = int(method.samples[chosen.cluster][chosen.device])
        wanted = {"experts": 2 * (n - 1) * expert, "features": 0.0}
    else:
        taught = int(samples.sum())
        wanted = {"experts": (n + n * (n - 1)) * expert, "features": 0.0}
    wanted["features"] = taught * NUMBER * (D + (n - 1) * D + 2 * (n - 1) * C)
    assert booked == pytest.approx(wanted[way])


@pytest.mark.parametrize("gate", ["fedgate", "rangate"])
def test_the_exchange_takes_the_smaller_one_near_the_tie(gate: str) -> None:
    """Experts a little wider than where both ways are the same cost the features' way less."""
    said = options(exchange="auto", gate=gate, extractor="none")
    for method in methods(said, widths=range(8, 4000)):
        exchange = Exchange(method, method.trainer.learners())
        fewer = "experts" if exchange.experts_bytes <= exchange.features_bytes else "features"
        assert exchange.way == fewer
        result = sim.run(nmoe(learning=widened(said, method.learner.config.model.expert_hidden)))
        assert exchanged(result, fewer) > 0.0
        other = next(way for way in KINDS if way != fewer)
        assert exchanged(result, other) == 0.0


def widened(said: dict[str, Any], width: int) -> dict[str, Any]:
    return {"train": False, "batch_size": 50, "model": {"expert_hidden": width}, **said}


def methods(said: dict[str, Any], widths: range) -> Iterator[Any]:
    """The methods of the widest expert that is exchanged, and of the next one."""
    low, high = widths[0], widths[-1]

    def made(width: int) -> Any:
        method = build(nmoe(learning=widened(said, width))).new_method()
        method.clients.hand_out(0)
        counts = method.world.clusters
        method.samples = {c.name: np.full(c.devices, 50) for c in counts}
        return method

    def by_formula(width: int) -> bool:
        method, n = made(width), 5
        taught = 50 * (n if said["options"]["gate"] == "fedgate" else 1)
        moved = n + n * (n - 1) if said["options"]["gate"] == "fedgate" else 2 * (n - 1)
        features = taught * NUMBER * (D + (n - 1) * D + 2 * (n - 1) * C)
        return bool(moved * method.sizes.expert_bytes <= features)

    assert by_formula(low)
    assert not by_formula(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if by_formula(middle) else (low, middle)
    yield made(low)
    yield made(high)


def test_others_features_take_computing() -> None:
    """Between features down and outputs up a client runs its expert on all that it was sent."""
    learning = {"train": False, **options(exchange="features", extractor="none")}
    scenario = nmoe(ground={"clusters": [{"name": "A", "devices": 3}]}, learning=learning)
    method, result = finished(scenario)
    rate = method.sizes.extractor_round("ce").flops / 60.0
    asked = 2 * method.sizes.samples
    rows = result.transfers.sort_values("start_s")
    down = rows[(rows.payload == "features") & (rows.direction == "downlink")].end_s.max()
    up = rows[(rows.payload == "outputs") & (rows.direction == "uplink")].start_s.min()
    assert up - down == pytest.approx(asked * method.sizes.expert_flops / rate, rel=1e-6)


def test_outputs_come_down_for_each_client_alone() -> None:
    """A beam that broadcasts sends all features at once, but each one's outputs in turn."""
    learning = {"train": False, **options(exchange="features", extractor="none")}
    rates = {"rate": "fixed", "fixed_rate_mbps": 0.1}
    scenario = nmoe(
        ground={"clusters": [{"name": "A", "devices": 4}]},
        link={"downlink": rates},
        learning=learning,
    )
    rows = sim.run(scenario).transfers
    down = rows[rows.direction == "downlink"]
    outputs, gates = down[down.payload == "outputs"], down[down.payload == "gate"]
    alone_s = outputs.payload_bytes.iloc[0] * 8 / 0.1e6
    assert outputs.end_s.max() - outputs.start_s.min() >= 3.9 * alone_s
    first = gates[gates.version == gates.version.min()]
    assert first.end_s.max() - first.start_s.min() < 1.5 * first.payload_bytes.iloc[0] * 8 / 0.1e6


@pytest.mark.parametrize(("sync", "numbers"), [("all", 45), ("weight", 40), ("bias", 5)])
def test_the_part_of_the_gate_that_is_shared_is_what_is_sent(sync: str, numbers: int) -> None:
    learning = {"train": False, **options(gate_sync=sync, extractor="none")}
    rows = sim.run(nmoe(learning=learning)).transfers
    gates = rows[rows.payload == "gate"]
    assert set(gates.direction) == {"uplink", "downlink"}
    assert set(gates.payload_bytes) == {numbers * NUMBER}


def test_a_rolling_gate_takes_the_order_that_was_asked_for() -> None:
    """Every pass over all clients once: in canonical order, or in one drawn for each pass."""
    clusters = {"clusters": [{"name": "A", "devices": 5}]}
    orders = {}
    for order in ("fixed", "random"):
        said = options(gate="rollgate", gate_order=order, gate_rounds=4, extractor="none")
        result = sim.run(nmoe(ground=clusters, learning={"train": False, **said}))
        ends = result.events[(result.events.kind == "train_end") & (result.events.rounds == 1)]
        stops = ends.sort_values("time_s").device.astype(int).tolist()
        orders[order] = [stops[5 * number : 5 * number + 5] for number in range(4)]
        assert all(sorted(stop) == [0, 1, 2, 3, 4] for stop in orders[order])
    assert orders["fixed"] == [[0, 1, 2, 3, 4]] * 4
    assert len({tuple(stop) for stop in orders["random"]}) > 1


def test_the_central_server_trains_for_all_rounds_of_the_stages() -> None:
    said = options(gate="central", extractor_rounds=3, expert_rounds=4, gate_rounds=5)
    method, result = finished(nmoe(learning={"step_size": 0.1, **said}))
    details = result.events[result.events.kind == "aggregate"].detail
    assert details.tolist() == ["model rounds:12 at the server"]
    for rounds, same in ((12, True), (5, False)):
        gate = method.learner.force(method.net.central(rounds).gate)
        held = method.learner.force(method.gates["A"])
        assert bool((held["weight"][0] == gate["weight"]).all()) == same


def test_gates_learn_nothing_of_an_expert_that_nobody_holds() -> None:
    """Its row of the gate gets no gradient: it stays as drawn, at every client."""
    own = [{"devices": 1, "memory_gib": 1e-6}, {"devices": 2}]
    ground = {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3, "kinds": own}]}
    method, _ = finished(nmoe(ground=ground, learning={"step_size": 0.1, **options()}))
    drawn = method.learner.force(method.net.start_gate())
    for gates in method.gates.values():
        held = method.learner.force(gates)
        assert bool((held["weight"][:, 2] == drawn["weight"][2]).all())
        assert not bool((held["weight"][:, 3] == drawn["weight"][3]).any(-1).all())


def test_with_fill_the_open_contact_carries_what_was_trained() -> None:
    """A client trains for as long as leaves time to send, and sends in that same slot."""
    learning = {"train": False, "rounds": {"per_contact": "fill"}, **options(extractor_rounds=1)}
    rows = sim.run(nmoe(learning=learning)).transfers
    sent = rows[(rows.payload == "extractor") & (rows.direction == "uplink")]
    ends = sent.groupby("cluster").end_s.max()
    assert ends["A"] <= 600.0
    assert ends["B"] <= 1200.0
