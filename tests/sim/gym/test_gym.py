"""Runs as environments: against plain runs, tables of a run, and Gymnasium's own checker."""

import copy
import math
import pickle
import signal
import threading
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import leomix
import scenarios
import sim
from learning.requests import Decision
from leomix import gym
from tests.kit.small import SLOTS

PLAYED = {"learning.method": "select", "learning.train": False}
LEARNING = {
    "method": "select", "keep": "best", "model": {"kind": "vector-mlp", "hidden": 12},
    "steps_per_round": 2, "batch_size": 4, "step_size": 0.8,
}  # fmt: skip
LEARNS = SLOTS | {"learning": LEARNING}
"""A small model that two clusters train in slots."""
GAPS = PLAYED | {"learning.options": {"trains": "gaps"}}
BATTERY = {
    "compute.power_w": 10.0,
    "compute.battery": {"capacity_wh": 6, "charge_w": 12, "idle_w": 4, "initial": 0.5},
}


def made(name="fedsat", overrides=GAPS, **how):
    return gymnasium.make(gym.SELECT, scenario=name, overrides=overrides, **how).unwrapped


def everyone(env):
    return np.append(np.ones(len(env.clients), np.int8), 0)


def play(env, move, **how):
    """Play an episode; return what was observed, in SI units and as numbers, and paid."""
    numbers, _ = env.reset(**how)
    seen, encoded, paid = [env.observation], [numbers], []
    over = False
    while not over:
        numbers, reward, over, _, _ = env.step(move(env))
        seen.append(env.observation)
        encoded.append(numbers)
        paid.append(reward)
    return seen, encoded, paid


@pytest.mark.parametrize(
    ("name", "learning"),
    [
        ("quickstart", {"learning.train": False, "stop.days": 3}),
        (LEARNS, {"learning.options": {"trains": "gaps"}}),
    ],
    ids=["timing", "training"],
)
def test_who_chooses_all_and_waits_for_all_plays_fedavg(tmp_path, name, learning):
    """To the bit: all rows of all tables, those of metrics too, and the weights."""
    wanted, _ = (
        sim.run(
            leomix.plan(name, learning | {"learning.method": method}).scenario, tmp_path / method
        )
        for method in ("fedavg", "select")
    )
    env = made(name, learning | {"learning.method": "select"})
    play(env, everyone)
    rounds = (wanted.events.kind == "aggregate").sum()
    assert rounds > 0 and env.observation.version == rounds
    assert env.result.manifest["trace_sha256"] == wanted.manifest["trace_sha256"]
    if name is LEARNS:
        weights = [tmp_path / run / "model" / "model.safetensors" for run in ("fedavg", "select")]
        assert weights[0].read_bytes() == weights[1].read_bytes()


MOVES = []


def again(clusters, seed):
    """An agent that makes the moves of a test."""
    moves = iter(MOVES)

    def decide(seen):
        *clients, aggregate = next(moves)
        return Decision(np.array(clients, bool), bool(aggregate))

    return decide


def test_the_same_moves_are_the_same_run_in_an_environment_and_outside():
    overrides = GAPS | {"stop.cycles": 8, "learning.train": True}
    env = made(LEARNS, overrides)
    rng = np.random.default_rng(7)
    MOVES.clear()

    def move(env):
        MOVES.append(rng.integers(0, 2, env.action_space.shape).tolist())
        return np.array(MOVES[-1], np.int8)

    seen, numbers, paid = play(env, move, seed=4)
    digest = env.result.manifest["trace_sha256"]
    moves = iter(list(MOVES))
    env.reset(seed=5)  # another run, which is broken off
    env.step(everyone(env))
    _, numbers_again, paid_again = play(env, lambda _: np.array(next(moves), np.int8), seed=4)
    np.testing.assert_array_equal(numbers, numbers_again)
    assert paid == paid_again and env.result.manifest["trace_sha256"] == digest
    options = {"agent": f"{__name__}:again", "trains": "gaps"}
    said = overrides | {"seed": 4, "learning.options": options}
    plain = sim.run(leomix.plan(LEARNS, said).scenario)
    assert plain.manifest["trace_sha256"] == digest
    assert seen[-1].time_s == plain.manifest["simulated_s"]
    # what is paid is what has been gained
    assert sum(paid) == pytest.approx(seen[-1].accuracy - seen[0].accuracy)
    rows = plain.metrics[plain.metrics.scope == "global"]
    known = dict(zip(rows.version, rows.accuracy, strict=True))
    both = [(known[s.version], s.accuracy) for s in seen if s.version in known]
    assert len(known) > 3 and all(a == b for a, b in both)


def test_what_is_observed_is_what_the_plan_and_the_batteries_hold():
    changes = GAPS | BATTERY | {"learning.options.agent": "random"}
    env = made(overrides=changes)
    rng = np.random.default_rng(1)
    seen, numbers, _ = play(env, lambda env: rng.integers(0, 2, env.action_space.shape))
    sessions = leomix.plan(scenarios.load("fedsat", changes)).sessions
    charges = env.result.tables["charges"].to_pandas()
    whole = 0
    for at in seen[:-1]:
        for number, client in enumerate(env.clients):
            held = charges[charges.cluster == client]
            held = np.interp(at.time_s, held.time_s, held.charge)
            assert at.charge[number] == pytest.approx(held, abs=1e-9)
            own = sessions[(sessions.client == client) & (sessions.end_s > at.time_s)]
            if own.empty:
                assert at.wait_s[number] == math.inf and at.uplink_bytes[number] == 0
                continue
            ahead = own.iloc[0]
            assert at.wait_s[number] == pytest.approx(max(ahead.start_s - at.time_s, 0))
            begins_s = max(ahead.start_s, at.time_s)
            assert at.contact_s[number] == pytest.approx(ahead.end_s - begins_s)
            if ahead.start_s >= at.time_s:
                whole += 1
                assert at.uplink_bytes[number] == pytest.approx(ahead.to_server_bits / 8)
    assert whole > 50 and min(at.charge.min() for at in seen) < 0.3
    assert all(env.observation_space.contains(one) for one in numbers)
    assert {at.round_s.max() for at in seen} == {60.0}


def test_only_those_that_are_chosen_train_and_the_server_says_who_is_stale():
    env = made()
    first = np.zeros(len(env.clients) + 1, np.int8)
    first[2] = 1
    seen, _, _ = play(env, lambda _: first)
    transfers = env.result.transfers
    assert set(transfers.cluster) == {env.clients[2]} and len(seen) > 3
    # Before time begins, and with each update, which is aggregated at once.
    assert [at.version for at in seen[:-1]] == [0, *range(len(seen) - 2)]
    nobody = made()
    begun = [at.chosen for at in play(nobody, lambda _: first * 0)[0]]
    assert all(chosen.all() for chosen in begun[1:])  # nobody is all


def test_gymnasiums_own_checks_pass():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made())
        check_env(made(LEARNS, {"stop.cycles": 2}))


def test_environments_of_a_vector_play_different_seeds():
    how = {"scenario": "fedsat", "overrides": GAPS | {"stop.rounds": 1}, "seeds": (7, 8, 9)}
    many = gymnasium.make_vec(gym.SELECT, num_envs=3, vectorization_mode="sync", **how)
    seen, info = many.reset(seed=20)
    assert seen.shape == (3, *many.single_observation_space.shape)
    played = [info["seed"].tolist()]
    for _ in range(3):
        _, info = many.reset()
        played.append(info["seed"].tolist())
    assert played == [[20, 21, 22], [9, 7, 8], [7, 8, 9], [8, 9, 7]]
    for _ in range(30):  # beyond the end of an episode
        many.step(many.action_space.sample())
    many.close()


class Stopped(gym.Select):
    """An environment whose user presses Ctrl-C in the middle of its first episode."""

    pressed = False

    def event(self, number, time_s):
        if number == 20 and not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_a_run_is_that_of_any_program_and_the_next_episode_is_whole():
    env, whole = Stopped("fedsat", GAPS), made()
    with pytest.raises(KeyboardInterrupt):
        play(env, everyone)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(everyone(env))
    play(env, everyone)
    play(whole, everyone)
    assert env.result.manifest["trace_sha256"] == whole.result.manifest["trace_sha256"]


def test_another_thread_begins_a_run_of_its_own():
    env = made()
    env.reset(seed=1)
    found = []

    def elsewhere():
        try:
            env.step(everyone(env))
        except gymnasium.error.ResetNeeded as error:
            found.append(str(error))
        env.reset(seed=2)
        found.append(env.step(everyone(env))[-1]["seed"])

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == ["the run was begun in another thread; call reset() first", 2]
    play(env, everyone, seed=1)  # here again, after a thread that has ended
    assert env.result.manifest["trace_sha256"] is not None


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_copy_is_refused_in_one_line(make):
    with pytest.raises(TypeError, match=r"^an environment is not copied; make another one[^\n]+$"):
        make(made())


def test_time_and_energy_are_paid_for_by_their_weights():
    reward = {"merged": 2, "hours": np.float32(-0.5), "kilojoules": -0.1}
    env = made(overrides=GAPS | {"compute.power_w": 10.0}, reward=reward)
    seen, _, paid = play(env, everyone)
    ages = env.result.updates.staleness
    assert seen[-1].merged == pytest.approx(((1 + ages) ** -0.5).sum() / len(env.clients))
    spent_kj = env.result.manifest["computed_device_s"] * 10.0 / 1000
    hours = env.result.manifest["simulated_s"] / 3600
    wanted = 2.0 * seen[-1].merged - 0.5 * hours - 0.1 * spent_kj
    assert sum(paid) == pytest.approx(wanted) and spent_kj > 1


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"overrides": {}}, "learning.method: 'fedsat' asks for no decisions; set it to 'select'"),
        ({"reward": {"speed": 1}}, "reward: no figure 'speed'; known are accuracy, merged"),
        ({"reward": {"hours": math.nan}}, "reward.hours: nan is no finite number"),
        ({"reward": {"accuracy": 1}}, "reward.accuracy: is never measured"),
        ({"seeds": 5}, "seeds: 5 is no list of whole numbers from 0"),
        ({"seeds": (1, "a")}, "seeds: 'a' is no whole number from 0"),
        ({"overrides": GAPS | {"learning.aggregation.quorum": 0.5}}, "learning.aggregation"),
        ({"overrides": GAPS | {"learning.options.agent": "best"}}, "agent: no agent 'best'"),
    ],
)
def test_wrong_input_is_refused_in_one_line(how, line):
    given = {"scenario": "fedsat", "overrides": GAPS, **how}
    with pytest.raises((sim.InputError, scenarios.ScenarioError), match=r"^[^\n]+$") as caught:
        gymnasium.make(gym.SELECT, **given)
    assert line in str(caught.value)


def test_wrong_moves_are_refused_in_one_line():
    env = made()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(everyone(env))
    env.reset()
    with pytest.raises(sim.InputError, match=r"action: has shape \(3,\); it must have \(11,\)"):
        env.step(np.zeros(3, np.int8))
    for wrong, line in (
        (0.3, r"^action: holds 0\.3; each of its numbers must be 0 or 1$"),
        (math.nan, r"^action: holds nan; "),
        ([1, 2], r"^action: is no row of numbers; it must be a bit for each client and one to agg"),
    ):
        with pytest.raises(sim.InputError, match=line):
            env.step([wrong, *[0] * 10])
    env.step([1.0] + [False] * 10)  # the run stands where it stood
    with pytest.raises(sim.InputError, match=r"^options: reset\(\) has none, but got 'start'; "):
        env.reset(options={"start": "2026-08-23"})


def shapeless(clusters, seed):
    return lambda seen: seen.chosen


def test_an_agent_that_returns_no_decision_is_refused_in_one_line():
    options = {"agent": f"{__name__}:shapeless", "trains": "gaps"}
    line = r"returns a ndarray with clients of shape \(\); it must be a Decision with clients of s"
    with pytest.raises(ValueError, match=line):
        sim.run(scenarios.load("fedsat", GAPS | {"learning.options": options}))


def test_an_episode_ends_when_the_model_no_longer_improves():
    env = made(LEARNS | {"stop": {"cycles": 30, "patience": 1}}, None)
    play(env, everyone)
    summary = env.result.summary
    assert summary["ended_by"] == ["stop.patience"] and summary["cycles"] < 30
    assert summary["model_kept"]["cycle"] == summary["cycles"] - 1
