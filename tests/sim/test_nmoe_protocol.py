"""NMoE on the clock: what each stage sends, how long it takes, and what the network changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import sim
from tests.kit.network import Course, Run, build
from tests.kit.small_nmoe import nmoe, options

CLIENTS = 5


def sizes_of(scenario: Any) -> Any:
    return build(scenario).new_method().sizes


def sent(result: sim.Result, direction: str, payload: str) -> np.ndarray:
    rows = result.transfers
    found = rows[(rows.direction == direction) & (rows.payload == payload)]
    assert (found.outcome == "delivered").all()
    return found.delivered_bytes.to_numpy()


def aggregated(result: sim.Result, what: str) -> Any:
    rows = result.events[result.events.kind == "aggregate"]
    return rows[rows.detail.str.startswith(what)]


def test_training_bytes_of_fedce_and_fedgate() -> None:
    """Closed forms of the notes: a client sends |F| + head up and gets it down, then 2 |G|."""
    scenario = nmoe(learning={"train": False})
    sizes, result = sizes_of(scenario), sim.run(scenario)
    whole = sizes.download_bytes(sizes.extractor, sizes.head)
    assert sent(result, "uplink", "extractor") == pytest.approx([whole] * 2 * CLIENTS)
    down = sorted(sent(result, "downlink", "extractor"))
    frozen = sizes.download_bytes(sizes.extractor)
    assert down == pytest.approx([frozen] * CLIENTS + [whole] * CLIENTS)
    for direction in ("uplink", "downlink"):
        assert sent(result, direction, "gate") == pytest.approx(
            [sizes.download_bytes(sizes.gate)] * 2 * CLIENTS
        )
    assert sent(result, "uplink", "expert") == pytest.approx([sizes.expert_bytes] * CLIENTS)
    others = (CLIENTS - 1) * sizes.expert_bytes
    assert sent(result, "downlink", "experts") == pytest.approx([others] * CLIENTS)


def test_a_round_of_fedsc_has_two_barriers() -> None:
    scenario = nmoe(learning={"train": False, **options(extractor="fedsc")})
    sizes, result = sizes_of(scenario), sim.run(scenario)
    triangle = 8 * 9 / 2 * 4
    assert sizes.correlation_bytes == triangle
    assert sent(result, "uplink", "correlation") == pytest.approx([triangle] * 2 * CLIENTS)
    assert sent(result, "downlink", "correlations") == pytest.approx([triangle] * 2 * CLIENTS)
    rows = result.transfers
    for version in range(2):
        # Nobody gets the sum before everybody's matrix is up, nor trains before that is down.
        up = rows[(rows.payload == "correlation") & (rows.version == version)]
        down = rows[(rows.payload == "correlations") & (rows.version == version)]
        weights = rows[(rows.payload == "extractor") & (rows.direction == "uplink")]
        weights = weights[weights.version == version]
        assert up.end_s.max() <= down.start_s.min()
        first = down.groupby(["cluster", "device"]).end_s.first()
        then = weights.groupby(["cluster", "device"]).start_s.first()
        assert (then >= first + 60.0).all()


def test_without_shared_correlations_there_is_one() -> None:
    learning = {"train": False, **options(extractor="fedsc", share_correlations=False)}
    result = sim.run(nmoe(learning=learning))
    assert not result.transfers.payload.str.startswith("correlation").any()
    assert len(aggregated(result, "extractor")) == 2


@pytest.mark.parametrize("exchange", ["experts", "features"])
def test_the_exchange_sends_what_the_formulas_say(exchange: str) -> None:
    scenario = nmoe(learning=options(exchange=exchange))
    sizes, result = sizes_of(scenario), sim.run(scenario)
    rows = result.transfers
    names = {"experts": ["expert", "experts"], "features": ["features", "outputs"]}
    others = names["features" if exchange == "experts" else "experts"]
    assert not rows.payload.isin(others).any()
    total = rows[rows.payload.isin(names[exchange])].delivered_bytes.sum()
    images, d, classes, n = 1400 - 2 * 30, 8 * 4, 10 * 4, CLIENTS  # 30 a cluster are for trial
    if exchange == "experts":
        assert total == pytest.approx((n + n * (n - 1)) * sizes.expert_bytes)
    else:
        # Features up once and down to the others; their outputs up, and back down.
        assert total == pytest.approx(images * d * n + 2 * images * (n - 1) * classes)


def test_the_exchange_takes_what_is_fewer_bytes() -> None:
    learning = {"train": False, "batch_size": 280, **options(exchange="auto")}
    small = sim.run(nmoe(learning=learning))
    large = sim.run(nmoe(learning={**learning, "model": {"expert_hidden": 4096}}))
    assert "experts" in set(small.transfers.payload)
    assert "features" in set(large.transfers.payload)


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local"])
def test_a_timing_only_run_has_the_same_clock(gate: str) -> None:
    learning = options(gate=gate)
    real = sim.run(nmoe(learning=learning))
    timing = sim.run(nmoe(learning={"train": False, **learning}))
    assert real.metrics.f1.notna().any()
    assert timing.metrics.f1.isna().all()
    assert real.manifest["timing_sha256"] == timing.manifest["timing_sha256"]


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate"])
def test_the_network_changes_the_clock_and_not_the_weights(gate: str, tmp_path: Path) -> None:
    learning = options(gate=gate, extractor="fedsc")
    found = []
    for name, rate in (("slow", 1.0), ("fast", 1e5)):
        link = {
            "uplink": {"rate": "fixed", "fixed_rate_mbps": rate},
            "sidelink": {"rate_mbps": rate},
        }
        scenario = nmoe(link=link, learning=learning)
        found.append(sim.run(scenario, tmp_path / name))
    slow, fast = found
    assert slow.manifest["timing_sha256"] != fast.manifest["timing_sha256"]
    weights = [load_file(r.folder / "model" / "model.safetensors") for r in found]
    assert set(weights[0]) == set(weights[1])
    for name, tensor in weights[0].items():
        np.testing.assert_array_equal(tensor, weights[1][name])
    ends = [r.metrics[r.metrics.scope == "cluster"].f1.iloc[-2:].tolist() for r in found]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate"])
def test_values_have_equal_keys_on_another_network(gate: str) -> None:
    """Equal keys prove equal learning, also in runs that train nothing."""
    methods = []
    for rate in (0.5, 1e5):
        link = {
            "uplink": {"rate": "fixed", "fixed_rate_mbps": rate},
            "sidelink": {"rate_mbps": rate},
        }
        methods.append(finished(nmoe(link=link, learning={"train": False, **options(gate=gate)})))
    one, other = methods
    assert set(one.gates) == {"A", "B"}
    for name in one.gates:
        assert one.gates[name].key == other.gates[name].key
        assert one.experts[name].key == other.experts[name].key
    assert one.server.key == other.server.key


def finished(scenario: Any) -> Any:
    """The method as a run leaves it."""
    run = Run(Course(build(scenario)), None, checkpoint_every_s=10.0)
    run.execute(None, None)
    return run.method


def test_rollgate_takes_a_training_and_a_hop_a_client() -> None:
    """Inside one cluster: N x (training + hop), each hop bytes x 8 / rate + distance / c."""
    clusters = {"clusters": [{"name": "A", "devices": 4}]}
    learning = {"train": False, **options(gate="rollgate", extractor="none")}
    scenario = nmoe(ground=clusters, learning=learning)
    sizes, result = sizes_of(scenario), sim.run(scenario)
    hops = result.transfers[result.transfers.direction == "sidelink"]
    assert hops.payload.unique().tolist() == ["gate"]
    hop_s = sizes.download_bytes(sizes.gate) * 8 / 1e6 + 300 / 299792458
    assert (hops.end_s - hops.start_s).to_numpy() == pytest.approx([hop_s] * len(hops))
    order = [str(int(p)) for _ in range(2) for p in range(4)]
    assert hops.device.astype(int).astype(str).tolist() == order[:-1]
    ends = result.events[result.events.kind == "train_end"].time_s.to_numpy()[4:]
    assert np.diff(np.sort(ends)) == pytest.approx([60.0 + hop_s] * 7)


def test_fedgate_takes_as_long_as_the_slowest_client() -> None:
    kinds = [{"devices": 2}, {"devices": 2, "seconds_per_round": 100}]
    clusters = {"clusters": [{"name": "A", "devices": 4, "kinds": kinds}]}
    orbit = {"slots": {"seconds": 60_000}}
    learning = {"train": False, **options(extractor="none", gate_rounds=5)}
    result = sim.run(nmoe(ground=clusters, orbit=orbit, learning=learning))
    moments = aggregated(result, "gate").time_s.to_numpy()
    assert len(moments) == 5
    assert (np.diff(moments) >= 100.0).all()
    assert (np.diff(moments) < 101.0).all()
