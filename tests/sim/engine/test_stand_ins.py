"""Learn small, send large: accuracy of the model that is trained, bytes and times of another."""

import pytest

import scenarios
import sim
from tests.kit.inner.sim import build, limits
from tests.kit.small import fixed, merged, orbit, slots
from tests.kit.small_nmoe import nmoe

LLAMA = {"kind": "llama-3-8b-x3"}
MIXTRAL = {"kind": "mixtral", "hidden": 512, "expert_hidden": 1024, "layers": 8}
NETWORKED = {"kind": "image-nmoe", "hidden": 64, "expert_hidden": 128}
THREE = {"clusters": [{"name": name, "devices": 2} for name in "ABC"]}
FAST = fixed(uplink=1e6, downlink=1e6)
ONE_PER_CITY = {"method": "fedavg-per-cluster", "model": {"experts": 1}}
LARGE = {
    "ground": {
        "clusters": [
            {"name": "East", "latitude_deg": 35, "longitude_deg": 135, "radius_km": 20},
            {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 2},
            {"name": "South", "latitude_deg": -35, "longitude_deg": 150},
        ]
    },
    "compute": {"seconds_per_round": None, "tflops": 1, "memory_gib": 80, "power_w": 400},
    "learning": {
        "rounds": {"per_gap_max": 2},
        "lora": {"download": "factors"},
        "upload_format": "float16",
        "pretraining": {"backbone_steps": 60, "expert_steps": 30, "gate_steps": 60},
        "model": {"experts": 3},
        "sized_as": LLAMA,
    },
}
"""Three clusters of a real orbit; a round takes as long as the FLOPs of the large model."""


def named(scenario):
    """The timing-only scenario of the architecture that another one is sized as."""
    said = scenario.model_dump(mode="json")
    model = {key: value for key, value in said["learning"]["sized_as"].items() if value is not None}
    model = {"experts": said["learning"]["model"]["experts"], **model}
    if model["kind"] != "mixtral":
        model = {key: value for key, value in model.items() if key in NETWORKED}
    said["learning"] |= {"train": False, "sized_as": None, "model": model}
    return scenarios.from_dict(said)


def timed_as_it_is(scenario):
    """The same scenario with training switched off, as ``--set learning.train=false`` does."""
    said = scenario.model_dump(mode="json")
    said["learning"]["train"] = False
    return scenarios.from_dict(said)


def large(method):
    return orbit(**merged(LARGE, {"learning": {"method": method}}))


@pytest.mark.parametrize(
    "scenario",
    [
        *map(large, ("emsfl-enhanced", "fedbuff")),
        slots(learning={"method": "aligned", "sized_as": MIXTRAL}),
        # Minibatches so small that the gate's stage, whose memory training alone can know (it
        # keeps features of the samples), is not the least one.
        nmoe(learning={"sized_as": NETWORKED, "batch_size": 2}),
    ],
    ids=lambda scenario: scenario.learning.method,
)
@pytest.mark.quick(1)
def test_bytes_and_times_are_those_of_the_named_architecture(scenario):
    """To the byte and the bit: loads, FLOPs, energy and all rows of transfers.

    Those of the run that trains, of the same with training switched off, and of a timing-only run
    of the large architecture itself.
    """
    trained = sim.run(scenario)
    assert (trained.transfers.outcome == "delivered").any()
    for timed in (sim.run(named(scenario)), sim.run(timed_as_it_is(scenario))):
        assert timed.summary["accuracy_final"] is None
        for key in ("timing_sha256", "loads", "energy", "books", "model_expert_bytes"):
            assert trained.manifest[key] == timed.manifest[key], key
        assert trained.manifest["trace_sha256"] != timed.manifest["trace_sha256"]


@pytest.mark.parametrize(
    ("scenario", "sized_as"),
    [
        *(
            (slots(ground=THREE, link=FAST, learning={"method": m, "model": {"experts": 3}}), LLAMA)
            for m in ("emsfl-enhanced", "fedavg", "aligned")
        ),
        (slots(ground=THREE, link=FAST, learning=ONE_PER_CITY), LLAMA),
        (nmoe(link=FAST), NETWORKED),
    ],
    ids=lambda part: part.learning.method if hasattr(part, "learning") else "",
)
@pytest.mark.quick(3)
def test_accuracy_is_that_of_the_small_model_where_no_link_decides(
    scenario, sized_as, tmp_path, monkeypatch
):
    """The same trainings by key: a run with a stand-in takes all of them from one without."""
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    said = merged(scenario.model_dump(mode="json"), {"learning": {"sized_as": sized_as}})
    plain, sized = (sim.run(one, cache=True) for one in (scenario, scenarios.from_dict(said)))
    columns = ["scope", "cycle", "accuracy", "loss", "samples"]
    assert sized.metrics[columns].equals(plain.metrics[columns])
    assert sized.summary["trainings"] == 0 < sized.summary["trainings_reused"]
    assert sized.summary["uplink_bytes"] > 50 * plain.summary["uplink_bytes"]


def test_devices_need_the_memory_of_the_large_model_and_this_machine_does_not():
    plain, sized = (build(slots(learning={"sized_as": large})) for large in (None, MIXTRAL))
    assert limits.needs_of(plain) == limits.needs_of(sized)
    everything = sized.learner.round_cost(range(2), range(2), gate=True).memory_bytes / 2**30
    for memory_gib, excluded in ((0.99 * everything, {"A": 2, "B": 3}), (everything, {})):
        compute = {"memory_gib": memory_gib}
        learning = {"method": "synchronous", "sized_as": MIXTRAL}
        found = sim.run(slots(stop={"cycles": 1}, compute=compute, learning=learning))
        assert found.summary["excluded_devices"] == excluded


def test_a_device_may_compute_the_large_model_in_smaller_pieces_than_the_small_one():
    """Then it needs less memory; times, bytes and what is learnt stay."""

    def of(counted, **keys):
        learning = {"method": "fedavg", "sized_as": MIXTRAL | counted, **keys}
        return slots(stop={"cycles": 1}, learning=learning)

    whole, one, both = map(sim.run, (of({}), of({"micro_batch": 1}), of({}, micro_batch=1)))
    assert one.manifest["trace_sha256"] == whole.manifest["trace_sha256"]
    found = [run.summary["device_memory_bytes"] for run in (whole, one, both)]
    sizes = build(of({})).learner.architecture
    sample_bytes = 4 * 128 * sizes.activations(1) * sizes.native_bytes
    others = sizes.config.batch_size - 1
    assert found[0] - found[1] == others * sample_bytes > 0 and found[2] == found[1]


BACKBONE = 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 2 * 4096) + 4096 + 2 * 128_256 * 4096
EXPERT, FACTORS, GATE_ROW = 32 * 3 * 4096 * 14_336, 32 * 3 * 4 * (4096 + 14_336), 32 * 4096
MAPS = 3 * (4096 + 14_336) + 2 * (4096 + 4096) + 2 * (4096 + 1024) + 4096


@pytest.mark.parametrize(("experts", "memory_gb"), [(1, 19.0), (3, 41.6)])
def test_one_model_per_city_with_its_own_expert_alone_is_counted_as_one_expert(experts, memory_gb):
    """Of an 8B model with rank 4, in bfloat16, that computes four options of 128 tokens at a time:
    what is loaded, factors and gate once more as their gradients, and activations."""
    keys = {"learning.train": False, "learning.method": "fedavg-per-cluster", "stop.cycles": 2}
    scenario = scenarios.load("quickstart-8b", {**keys, "learning.model.experts": experts})
    summary = sim.run(scenario).summary
    moving = experts * (FACTORS + GATE_ROW)
    numbers = experts * EXPERT + BACKBONE + 2 * moving
    maps = 32 * (MAPS + experts) + 4096 + 128_256
    assert summary["device_memory_bytes"] == 2 * (numbers + 4 * 128 * maps)
    assert summary["device_memory_bytes"] / 1e9 == pytest.approx(memory_gb, abs=0.05)
    assert summary["expert_memory_bytes"] == summary["model_expert_bytes"] == experts * 2 * EXPERT
    up = {row["bytes"] for row in summary["payloads"] if row["direction"] == "uplink"}
    assert up == {2 * moving}
    each = EXPERT + FACTORS + experts * GATE_ROW + BACKBONE - 128_256 * 4096
    tokens = 32 * 4 * 128 * scenario.learning.steps_per_round
    assert summary["round_flops"] == tokens * (4 * each + 2 * (FACTORS + experts * GATE_ROW))
