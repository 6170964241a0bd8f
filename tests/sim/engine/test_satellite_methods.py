"""FedSat, FedSpace and Select against loops in plain PyTorch over the same windows, in double."""

from collections import Counter

import numpy as np
import pytest

import scenarios
import sim
from learning.methods.fedspace import FedSpace
from learning.requests import Decision
from tests.kit.plain_loop import PlainLoop, compare, small_model

PASSES = [
    ("A1", 100, 200), ("B1", 160, 300), ("C1", 1000, 1100), ("A1", 1300, 1400), ("A1", 1550, 1600),
    ("B1", 1700, 1800), ("A1", 2500, 2600), ("C1", 2900, 3000), ("B1", 3100, 3200),
    ("A1", 3900, 4000), ("C1", 4100, 4200), ("A1", 5000, 5100), ("B1", 5300, 5400),
    ("A1", 5600, 5650), ("C1", 6100, 6200), ("B1", 6400, 6500), ("A1", 7300, 7400),
]  # fmt: skip
"""Satellite, rise and set; some see both stations, and some come back sooner than others."""
SLOT_S, ROUND_S, MOST = 600, 100, 3


def scenario(method, options=None, train=True):
    rows = [
        f"{name},{('Kiruna', 'Bern')[number % 2]},{np.datetime64(rise, 's')}Z,{set_ - rise}"
        for number, (name, rise, set_) in enumerate(PASSES)
    ]
    text = "\n".join(["satellite,site,rise_utc,duration_s", *rows])
    learning = small_model(method, options, train) | {
        "rounds": {"per_gap_max": MOST}, "data": {"split": {"kind": "quantity", "alpha": 2.0}}
    }  # fmt: skip
    fast = {"rate": "fixed", "fixed_rate_mbps": 1000}
    return scenarios.from_dict({
        "seed": 3, "start": "1970-01-01T00:00:00Z", "stop": {"days": 7500 / 86400},
        "orbit": {"source": "contacts", "windows": text},
        "roles": {"server": "stations", "clients": "satellites"},
        "ground": {"stations": [{"name": "Kiruna"}, {"name": "Bern"}]},
        "link": {"preset": "paper", "uplink": fast, "downlink": fast},
        "compute": {"seconds_per_round": ROUND_S}, "learning": learning,
    })  # fmt: skip


class Loop(PlainLoop):
    """Satellites in contact, one pass after the other."""

    def gap(self, name, start, parted_s, now_s):
        """What a satellite makes of a model between two passes."""
        return self.train(start, (name, 0), min((now_s - parted_s) // ROUND_S, MOST))


def fedsat(loop, plus):
    x = loop.x
    base = {}
    last = {}
    visits = Counter()
    for name, rise, set_ in PASSES:
        if name in base:
            last[name] = loop.gap(name, *base[name], rise)
            visits[name] += 1
            mean = sum(visits.values()) / len(last)
            own = {k: loop.p[k, 0] * (mean / visits[k] if plus else 1) for k in last}
            n = sum(own.values())
            x = {t: sum(own[k] / n * last[k][t] for k in last) for t in x}
        base[name] = x, set_
    return x


def fedspace(loop, plan):
    """The buffer holds (version, change); who trains does so since a set, from a version."""
    x = loop.x
    version = 0
    held = {}
    trains = {}
    buffer = []
    worth = 0.0
    for slot in range(7500 // SLOT_S):
        for name, rise, set_ in PASSES:
            if rise // SLOT_S != slot:
                continue
            if name in trains:
                of, start, parted_s = trains.pop(name)
                model = loop.gap(name, start, parted_s, rise)
                buffer.append((of, {t: model[t] - start[t] for t in x}))
            if held.get(name, -1) < version:
                held[name] = version
                trains[name] = version, x, set_
        if plan[slot % len(plan)] and buffer:
            c = [(1 + version - of) ** -0.5 for of, _ in buffer]
            both = list(zip(c, buffer, strict=True))
            x = {t: x[t] + sum(a * g[t] for a, (_, g) in both) / sum(c) for t in x}
            version = version + 1
            buffer = []
            worth = worth + sum(c)
    return x, version, worth


def select(loop, moves):
    """A job is a version, the start and since when it trains; a move who is chosen, and whether."""
    x = loop.x
    version = 0
    everybody = sorted({name for name, _, _ in PASSES})
    moves = iter(moves)

    def chosen_now(move):
        return {n for n, bit in zip(everybody, move[:-1], strict=True) if bit} or set(everybody)

    chosen = chosen_now(next(moves))
    jobs = dict.fromkeys(chosen, (0, x, 0))
    buffer = {}
    stale = []
    for name, rise, set_ in PASSES:
        if name in jobs:
            of, start, parted_s = jobs.pop(name)
            model = loop.gap(name, start, parted_s, rise)
            buffer[name] = of, {t: model[t] - start[t] for t in x}
            move = next(moves)
            if move[-1] or not (chosen | set(jobs)) - set(buffer):
                n = sum(loop.p[k, 0] for k in buffer)
                scale = {
                    k: loop.p[k, 0] / n * (1 + version - of) ** -0.5
                    for k, (of, _) in buffer.items()
                }
                x = {t: x[t] + sum(scale[k] * g[t] for k, (_, g) in buffer.items()) for t in x}
                stale += [version - of for of, _ in buffer.values()]
                version = version + 1
                buffer = {}
                chosen = chosen_now(move)
        if name in chosen and name not in jobs and name not in buffer:
            jobs[name] = version, x, set_
    return x, version, stale


MOVES = []


def moving(clusters, seed):
    """An agent that makes the moves of a test."""
    moves = iter(MOVES)

    def decide(seen):
        *clients, aggregate = next(moves)
        return Decision(np.array(clients), aggregate)

    return decide


class Planned(FedSpace):
    """FedSpace with given candidates."""

    plans = np.zeros((1, 6), bool)

    def drawn(self, rng):
        return self.plans


@pytest.fixture
def planned(monkeypatch):
    def of(plans, train=True):
        monkeypatch.setattr(Planned, "plans", np.array(plans, bool))
        options = {"slot_s": float(SLOT_S), "horizon": len(plans[0])}
        return scenario(f"{__name__}:Planned", options, train)

    return of


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.quick(1)
def test_fedsat_is_the_mean_of_the_models_that_came_last(tmp_path, plus):
    said = scenario("fedsat", {"plus": plus})
    loop = Loop(said)
    assert len(set(loop.p.values())) == 3
    told = compare(tmp_path, said, fedsat(loop, plus))
    assert len(told) == len(PASSES) - 3
    known = told.detail.str.extract(r"models:(\d)")[0].astype(int).tolist()
    assert known == [1, 1, 2, 2] + 10 * [3]


PLANS = {"every slot": [1] * 6, "some slots": [0, 1, 0, 0, 1, 1], "no slot": [0] * 6}


@pytest.mark.parametrize("case", PLANS)
def test_fedspace_aggregates_its_buffer_in_the_slots_of_its_plan(tmp_path, planned, case):
    said = planned([PLANS[case]])
    loop = Loop(said)
    wanted, versions, _ = fedspace(loop, PLANS[case])
    told = compare(tmp_path, said, wanted)
    assert len(told) == versions and (versions == 0) == (case == "no slot")
    assert (told.time_s % SLOT_S == 0).all() and told.cluster.isna().all()


@pytest.mark.parametrize("draw", range(5))
@pytest.mark.quick(2)
def test_select_aggregates_what_has_arrived_when_its_agent_says(tmp_path, draw):
    MOVES[:] = (np.random.default_rng(draw).random((20, 4)) < (0.8, 0.8, 0.8, 0.6)).tolist()
    said = scenario("select", {"agent": f"{__name__}:moving", "trains": "gaps"})
    wanted, versions, stale = select(Loop(said), MOVES)
    told = compare(tmp_path, said, wanted)
    assert len(told) == versions > 4
    updates = sim.load(tmp_path / "run").updates
    assert sorted(updates.staleness) == sorted(stale) and max(stale) > 0


def test_fedspace_takes_the_plan_that_is_worth_most(planned):
    """Of plans for the whole run: what each is worth is what a run with it alone uses."""
    plans = np.random.default_rng(1).random((5, 12)) < [[1.0], [0.0], [0.2], [0.4], [0.6]]
    alone = []
    loop = Loop(planned([plans[0]]))
    for plan in plans:
        used = sim.run(planned([plan], train=False)).updates
        alone.append(float(((1 + used.staleness) ** -0.5).sum()))
        assert alone[-1] == pytest.approx(fedspace(loop, plan)[2])
    assert len(set(alone)) > 3 and alone[1] == 0
    run = sim.run(planned(plans, train=False))
    assert ((1 + run.updates.staleness) ** -0.5).sum() == pytest.approx(max(alone))


def worth_nothing_when_old(staleness, weights):
    return float((staleness == 0).sum())


def undecided(staleness, weights):
    return float("nan")


def test_a_utility_of_ones_own_decides_and_the_seed_draws(tmp_path):
    how = {"slot_s": float(SLOT_S), "horizon": 12, "candidates": 300}
    said = scenario("fedspace", how, train=False)
    own = scenario("fedspace", how | {"utility": f"{__name__}:worth_nothing_when_old"}, train=False)
    fresh = [(run.updates.staleness == 0).sum() for run in (sim.run(said), sim.run(own))]
    assert fresh[1] > fresh[0]
    with pytest.raises(sim.SimulationError, match=r"undecided' says nan; it must return a finite"):
        sim.run(scenario("fedspace", {"utility": f"{__name__}:undecided"}, train=False))
