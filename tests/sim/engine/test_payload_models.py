"""Models that are a size alone: runs of timing of so many MB, without weights, data or network."""

import pytest

import scenarios
import sim
from sim.execution.ready import build
from tests.kit.small import ORBIT, SLOTS

SIZE = {"method": "fedavg", "model": {"size_mb": 50}}
FIXED = {
    "preset": "physical",
    "uplink": {"rate": "fixed", "fixed_rate_mbps": 20, "required_snr_db": -300},
    "downlink": {"rate": "fixed", "fixed_rate_mbps": 100, "required_snr_db": -300},
}


def sized(learning=SIZE, **changes):
    """Two clusters of a device each, with uploads at 20 Mbit/s and downloads at 100."""
    ground = {"clusters": [
        {"name": "North", "latitude_deg": 60, "longitude_deg": 20},
        {"name": "South", "latitude_deg": -35, "longitude_deg": 150},
    ]}  # fmt: skip
    parts = {"ground": ground, "link": FIXED, "learning": learning, **changes}
    return scenarios.from_dict(ORBIT | parts)


def test_fifty_megabytes_take_what_fifty_megabytes_take():
    """400 Mbit: 20 s up and 4 s down, and no accuracy."""
    run = sim.run(sized())
    whole = run.transfers[run.transfers.outcome == "delivered"]
    one_pass = whole[whole.delivered_bytes == whole.payload_bytes]
    assert (one_pass.payload_bytes == 50e6).all() and len(one_pass) > 4
    for direction, lasts_s in (("uplink", 20.0), ("downlink", 4.0)):
        own = one_pass[one_pass.direction == direction]
        assert (own.end_s - own.start_s).to_numpy() == pytest.approx(lasts_s, abs=0.03)
    assert run.metrics.accuracy.isna().all()
    assert not run.manifest["scenario"]["learning"]["train"]
    assert run.manifest["computed_device_s"] > 0.0


def test_it_is_timed_as_a_network_of_as_many_bytes():
    """To the bit: a perceptron of 64 inputs, 1000 hidden and 10 outputs."""
    weights = 64 * 1000 + 1000 + 1000 * 10 + 10
    models = {"kind": "vector-mlp", "hidden": 1000}, {"size_mb": 4 * weights / 1e6}
    digests = set()
    for model in models:
        learning = {"method": "fedavg", "train": False, "model": model}
        run = sim.run(scenarios.from_dict(SLOTS | {"learning": learning}))
        digests.add(run.manifest["trace_sha256"])
    assert len(digests) == 1


def test_a_round_takes_its_work_over_the_rate_or_the_seconds_that_are_given():
    """A forward pass of 8.2 GFLOP is three times that with the backward one."""
    samples = {"steps_per_round": 5, "batch_size": 32}
    told = {**SIZE, **samples, "model": {"size_mb": 100, "gflops_per_sample": 8.2}}
    run = sim.run(sized(told, compute={"tflops": 0.01}, stop={"days": 0.5}))
    starts, ends = (
        run.events[run.events.kind == kind].groupby("cluster").time_s.first()
        for kind in ("train_start", "train_end")
    )
    assert (ends - starts).to_numpy() == pytest.approx(3 * 8.2e9 * 160 / 1e10)
    untold = build(sized({**SIZE, **samples})).learner.architecture
    cost = untold.round_cost((), (), gate=True, samples=160)
    assert cost.flops == pytest.approx(6 * 50e6 / 4 * 160)
