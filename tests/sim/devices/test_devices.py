"""What devices compute, who is left out for want of memory, and what energy it all takes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
import sim
from tests.kit import small as scenario
from tests.kit.handmade import COST, compute, contact, talk, upload
from tests.kit.inner import learning as ask
from tests.kit.inner.learning import Cluster, Cost, Train
from tests.kit.inner.sim import Devices, compute_of
from tests.kit.scripted import SCRIPTED, only, play
from tests.kit.small import slots

SECONDS = st.floats(0.01, 1e4)
QUIET = {"train": False}
CHEAP = settings(max_examples=60)  # milliseconds; limits, pauses and paces have to meet


def devices_of(k=1, **changes):
    return Devices(Cluster("c", 0, k), compute(**changes))


def rounds_in(devices, *gaps):
    who = np.ones(devices.cluster.devices, bool)
    return [rounds_of(devices, who, *gap).rounds.tolist() for gap in gaps]


def rounds_of(devices, who, from_s, to_s):
    return devices.end_phase(devices.phase(COST, who, from_s), to_s)


def test_what_a_gap_cuts_off_goes_on_in_the_next_one():
    # 16 s hold one round and 6 s of the next: 22 s, then 18 s.
    gaps = [(t, t + 16.0) for t in (0.0, 100.0, 200.0)]
    assert rounds_in(devices_of(), *gaps) == [[1], [2], [1]]
    # Who rests saves no time up.
    devices = devices_of(2)
    rounds_of(devices, np.array([True, False]), 0.0, 6000.0)
    assert rounds_in(devices, (6000.0, 6060.0)) == [[6, 6]]
    # At most 3 rounds: the first keeps nothing of a forbidden fourth, the second 5 s of its third.
    devices = devices_of(2, per_gap_max=3)
    devices.free_s = np.array([0.0, 14.0])
    assert rounds_in(devices, (0.0, 39.0), (100.0, 115.0)) == [[3, 2], [1, 2]]
    # A slot holds whole rounds, however long the contact was used.
    devices = devices_of(pace_s=600.0)
    devices.free_s = np.array([600.0065])
    assert rounds_in(devices, (600.0, 2400.0)) == [[3]]


@CHEAP
@given(
    st.lists(SECONDS, min_size=1, max_size=4),
    st.lists(st.tuples(SECONDS, SECONDS, st.booleans()), min_size=1, max_size=6),
    st.none() | st.integers(0, 5),
    st.none() | SECONDS,
)
def test_devices_together_do_what_each_does_alone(round_s, gaps, limit, pace_s):
    pace = {"per_gap_max": limit, "pace_s": pace_s}
    k = len(round_s)
    together = devices_of(k, seconds_per_round=np.array(round_s), **pace)
    free = devices_of(k, seconds_per_round=np.array(round_s))
    alone = [devices_of(seconds_per_round=s, **pace) for s in round_s]
    now = 0.0
    for rests, lasts, others in gaps:
        now += rests
        who = np.array([others or k == 0 for k in range(k)])
        every = rounds_of(together, who, now, now + lasts)
        pairs = zip(alone, who[:, None], strict=True)
        each = [rounds_of(device, one, now, now + lasts) for device, one in pairs]
        for name in ("rounds", "begin_s", "end_s"):
            one_by_one = np.concatenate([getattr(gap, name) for gap in each])
            assert getattr(every, name).tolist() == one_by_one.tolist(), name
        rounds_in(free, (now, now + lasts))
        now += lasts
        # Not even in a slot that holds more rounds than there is time for.
        assert (together.computed_s <= now * (1 + 1e-7)).all()
    assert together.computed_s.tolist() == [float(device.computed_s[0]) for device in alone]
    # What a whole round lacks by less than a billionth counts as done.
    assert free.computed_s == pytest.approx(sum(lasts for _, lasts, _ in gaps), rel=1e-7)
    assert (free.rounds * round_s <= free.computed_s * (1 + 1e-7)).all()


@pytest.mark.parametrize("rounds", [3, 11, None])
def test_contacts_that_are_not_wanted_interrupt_the_training_and_pass_by(rounds):
    """As if the method had taken each of them, and asked for what was left."""
    told = {True: [], False: []}

    def script(passes_by):
        def each(me):
            yield ask.NextContact()
            left = rounds
            ended = False

            def wanted(work):
                told[True].append((work.rounds.tolist(), work.end_s.tolist()))
                return len(told[True]) == 3

            while not ended:
                request = {
                    "rounds": left,
                    "from_now": True,
                    "wanted": wanted if passes_by else None,
                }
                work, contact = yield ask.TrainUntilContact(COST, **request)
                ended = passes_by or contact is None or len(told[False]) == 2
                if not passes_by:
                    told[False].append((work.rounds.tolist(), work.end_s.tolist()))
                    left = None if left is None else left - int(work.rounds.max())

        return only("B", each)

    learning = SCRIPTED | {"rounds": {"per_contact": "fill"}}
    scenario = slots(learning=learning, compute={"seconds_per_round": 250.0}, stop={"cycles": 5})
    events = [play(scenario, script(passes_by)).events for passes_by in told]
    assert told[True] == told[False]
    assert sum(work[0][0] for work in told[True]) > 2
    pd.testing.assert_frame_equal(*events)


def test_each_device_runs_through_the_chain_on_its_own_clock():
    each = compute(seconds_per_round=np.array([10.0, 30.0]))
    chain = [Train(COST), *upload(20.0)]
    told = talk([contact(0, 100.0, 200.0, [80.0, 8.0])], [chain], computing=each)
    assert (told.ends(), told.ends(1)) == ([110.0, 130.0], [112.0, 150.0])
    assert told.devices.free_s.tolist() == [110.0, 130.0]
    assert told.devices.computed_s.tolist() == [10.0, 30.0]


def test_who_trains_no_round_has_not_computed():
    told = talk([contact(0, 0, 50, [8.0])], [[Train(COST, rounds=0)]])
    assert told.replies[0][0].rounds.tolist() == [0]
    assert told.devices.computed_s.tolist() == [0.0]


LITTLE = {"memory_gib": 1e-9}
KINDS = [
    {"devices": 1, "seconds_per_round": 50, **LITTLE},
    {"devices": 2, "tflops": 1e-6},
]


def test_kinds_become_numbers_of_each_device():
    other = {"name": "B", "kinds": [{"devices": 2, "power_w": 7}]}
    ground = {"clusters": [{"name": "A", "kinds": KINDS}, other]}
    both = compute_of(scenario.slots(ground=ground, compute={"memory_gib": 2, "power_w": 5}))
    rounds_s = [each.round_s(Cost(flops=3e6)).tolist() for each in both]
    assert rounds_s == [[50.0, 3.0, 3.0], [200.0, 200.0]]
    assert np.asarray(both[0].memory_bytes).tolist() == [2**30 * 1e-9, 2.0**31, 2.0**31]
    assert [np.asarray(each.power_w).tolist() for each in both] == [[5.0] * 3, [7.0] * 2]


def test_a_processor_gives_the_figures_that_are_not_given():
    kinds = [{"processor": "jetson-nano", "power_w": 10}, {"processor": "raspberry-pi-4"}, {}]
    ground = {"clusters": [{"name": "A", "kinds": [{"devices": 1, **kind} for kind in kinds]}]}
    whole = {"seconds_per_round": None, "processor": "jetson-agx-orin", "memory_gib": 2}
    [found] = compute_of(scenario.slots(ground=ground, compute=whole))
    # An image of 1.2e9 multiplications in training, and of 11.3e9 forward alone.
    rounds_s = [found.round_s(Cost(flops=flops)) for flops in (7.2e9, 22.6e9)]
    assert [rounds_s[0][0], rounds_s[1][2]] == pytest.approx([1 / 4.77, 1 / 21.015])
    assert np.asarray(found.power_w).tolist() == [10, 7.2, 14.78]
    assert (np.asarray(found.memory_bytes) / 2**30).tolist() == [4, 2, 2]


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"])
def test_who_cannot_train_downloads_no_model_again_and_blocks_nobody(method):
    idle = {"name": "C", "kinds": [{"devices": 2, **LITTLE}]}
    ground = {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "kinds": KINDS}, idle]}
    how = {"method": method, "options": {"buffer_size": 1} if method == "fedbuff" else {}} | QUIET
    result = sim.run(scenario.slots(stop={"cycles": 5}, ground=ground, learning=how))
    assert result.summary["excluded_devices"] == {"B": 1, "C": 2}
    assert "memory" in [check.code for check in result.checks]
    assert (result.events.kind == "aggregate").sum() >= 3
    trained = result.events[result.events.kind == "train_end"]
    able = {("A", 0), ("A", 1), ("B", 1), ("B", 2)}
    assert set(zip(trained.cluster, trained.device, strict=True)) == able
    rows = result.transfers[result.transfers.payload != "gate"]
    times = rows.groupby(["cluster", "device", "direction"]).size()
    for who in (("B", 0), ("C", 0), ("C", 1)):
        assert times.get((*who, "downlink"), 0) <= 1
        assert (*who, "uplink") not in times
    assert times["B", 1, "downlink"] >= 4 and times["B", 1, "uplink"] >= 3


@pytest.mark.parametrize(
    ("stop_s", "computed_s", "air_s", "rounds"),
    [
        (4, (4, 4), 0, 0),  # in the first round of both
        (25, (20, 25), 0, 2),  # the fast one waits, the slow one goes on
        (50, (20, 40), 20, 4),  # half of the upload, which begins at 40 s
        (100, (20, 40), 40, 4),  # all is through at 60 s
        (125, (45, 65), 40, 7),  # disconnected: the third and fourth are open
    ],
)
def test_energy_is_power_times_time_up_to_any_end(stop_s, computed_s, air_s, rounds):
    """Two devices with rounds of 10 and 20 s and 8 bit/s, in a session of 100 s after a second.

    They train two rounds in it and upload 20 bytes, then train on.
    """

    def script(me):
        yield ask.NextContact()
        yield Train(COST, rounds=2)
        yield upload(20.0)[0]
        yield ask.TrainUntilContact(COST)

    windows = "satellite,site,rise_utc,set_utc\nS,A,2026-08-22T00:00:01Z,2026-08-22T00:01:41Z\n"
    said = {
        "orbit": {"source": "contacts", "windows": windows},
        "stop": {"days": (stop_s + 1) / 86400},
    }
    [row] = play(scenarios.from_dict(ENERGY | said), script).manifest["energy"]
    wanted = {
        "computed_s": sum(computed_s),
        "training_j": 3 * computed_s[0] + 5 * computed_s[1],
        "air_s": air_s,
        "transmit_j": air_s,
    }
    assert {key: row[key] for key in wanted} == pytest.approx(wanted, rel=1e-5, abs=1e-9)
    assert (row["devices"], row["device_rounds"]) == (2, rounds)


@pytest.mark.wide
def test_a_target_costs_what_a_run_that_stops_there_costs(tmp_path):
    how = {"method": "synchronous", "step_size": 0.5, "steps_per_round": 8, "batch_size": 32}
    how["pretraining"] = {"backbone_steps": 60, "expert_steps": 60, "gate_steps": 60}
    base = scenario.slots(stop={"cycles": 10}, compute={"power_w": 10}, learning=how)
    whole = sim.run(base, tmp_path / "whole").summary
    name, reached = [item for item in whole["targets"].items() if item[1] is not None][-1]
    stop = base.stop.model_copy(update={"accuracy": float(name)})
    there = sim.run(base.model_copy(update={"stop": stop})).summary
    assert 0 < reached["hours"] == there["hours"] < whole["hours"]
    assert reached["device_rounds"] == there["device_rounds"] > 0
    assert reached["gradient_steps"] == there["gradient_steps"] == 8 * there["device_rounds"]
    assert reached["energy_j"] == pytest.approx(there["energy_j"], rel=1e-9)


def test_an_evaluation_amid_a_chain_counts_what_was_computed_by_then():
    """Energy counts to the second, rounds when a device has trained all that were asked of it."""
    learning = {"method": "synchronous", "rounds": {"per_contact": 2}, "evaluate_every_hours": 0.04}
    # An upload takes minutes: the chain goes on.
    link = scenario.fixed(uplink=1e-4)
    run = sim.run(scenario.slots(compute={"power_w": 20.0}, link=link, learning=learning))
    spent = run.manifest["spent"]
    at_s = np.array(spent["time_s"])[:, None]
    begun_s, ended_s = (
        run.events[run.events.kind == kind].sort_values(["cluster", "device", "time_s"]).time_s
        for kind in ("train_start", "train_end")
    )
    computed_s = np.clip(at_s - begun_s.to_numpy(), 0.0, (ended_s - begun_s.to_numpy()).to_numpy())
    assert spent["device_rounds"] == (2 * (at_s >= ended_s.to_numpy()).sum(axis=1)).tolist()
    assert spent["training_j"] == pytest.approx(20.0 * computed_s.sum(axis=1))


ENERGY = {
    "start": "2026-08-22T00:00:00Z",
    "ground": {"clusters": [{"name": "A", "kinds": [
        {"devices": 1, "seconds_per_round": 10, "power_w": 3},
        {"devices": 1, "seconds_per_round": 20, "power_w": 5},
    ]}]},
    "link": {
        "preset": "paper",
        "uplink": {"rate": "fixed", "fixed_rate_mbps": 8e-6, "tx_power_dbm": 30, "tx_gain_dbi": 0},
    },
    "learning": SCRIPTED,
}  # fmt: skip
