"""Agents that choose clients and when to aggregate, against FedAvg and FedSpace.

    python docs/studies/gym_agents.py [seeds] [decisions] [agents]

It needs stable-baselines3. The scenario is fedsat (ten satellites, a station in Bremen) with a
small network on digits. PPO learns in ``leomix/Select-v0``, ``agents`` times anew, each from so
many ``decisions``: it is paid for the time until the validation accuracy is 0.85. It sees the
contacts of four days in August, and data of the seeds 101 to 116. All rows are then run on four
days in September, with the seeds from 1 on; accuracy is that on test samples.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
from by_seed import (
    SHARE,
    Measure,
    Step,
    accuracy_after,
    compared,
    print_means,
    reached,
    sent,
)

import scenarios
import sim
from leomix import gym

TARGET = 0.85
DAYS = 4
TRAINED_ON = range(101, 117)
"""Seeds of the training; results are of seeds from 1 on."""
LEARNT_FROM, PLAYED_ON = "2026-08-22T00:00:00Z", "2026-09-15T00:00:00Z"
SCENARIO = "fedsat"
ROUND_S, POWER_W = 60, 10
TASK: dict[str, Any] = {
    "compute.seconds_per_round": ROUND_S,
    "learning.model": {"kind": "vector-mlp"},
    "learning.data.kind": "digits",
    "learning.data.validation": 0.2,
    "learning.optimizer": {"kind": "sgd"},
    "learning.step_size": 0.1,
    "learning.evaluate_every_hours": 1,
}
IN_GAPS = {"learning.options.trains": "gaps"}
UNTIL_TARGET = {
    "start": LEARNT_FROM,
    "stop.accuracy": TARGET,
    "learning.evaluate_every_hours": 2,  # most of the time of such an episode
}
ASKED = {"learning.method": "select", **IN_GAPS}
SHIPPED: dict[str, dict[str, Any]] = {
    "fedavg": {"learning.method": "fedavg", **IN_GAPS},
    "fedspace": {"learning.method": "fedspace", "learning.options": {}},
    "everyone": {**ASKED, "learning.options.agent": "everyone"},
    "random": {**ASKED, "learning.options.agent": "random"},
    "soonest": {**ASKED, "learning.options.agent": "soonest"},
}
AT_ONCE = "all, at once"

Policy = Callable[[np.ndarray], np.ndarray]
"""Returns the action for an observation, both as numbers."""


def trained_kj(run: sim.Result) -> float:
    """Return the energy of all training until the target, with so many watts for each device."""
    rounds = (one.device_rounds for one in run.evaluations if one.is_at(TARGET))
    return float(next(rounds, None) or math.inf) * ROUND_S * POWER_W / 1e3


TESTED = (
    Measure(f"hours to {TARGET}", reached(TARGET, "hours"), "{:.1f}", ratios=True),
    Measure("after a day", accuracy_after(1), "{:.3f}", SHARE),
    Measure(f"after {DAYS} days", accuracy_after(DAYS), "{:.3f}", SHARE),
)
COSTS = (
    Measure(f"MB up to {TARGET}", lambda run: 1e3 * sent(TARGET, "uplink")(run), "{:.2f}"),
    Measure(f"kJ to {TARGET}", trained_kj, "{:.0f}"),
    Measure("rounds", lambda run: float((run.events.kind == "aggregate").sum()), "{:.0f}"),
)


def main(seeds: str = "8", decisions: str = "4096", agents: str = "3") -> None:
    """Train the agents, play all rows, and print the tables."""
    if int(agents) and find_spec("stable_baselines3") is None:
        sys.exit("gym_agents: install stable-baselines3, or name no agents: gym_agents.py 8 0 0")
    policies: dict[str, Policy] = {AT_ONCE: lambda seen: np.ones(_bits(len(seen)), np.int8)}
    for number in range(int(agents)):
        name = f"PPO {number + 1}"
        policies[name] = learnt(int(decisions), TRAINED_ON[number])
    every = range(1, int(seeds) + 1)
    overrides = {**TASK, "stop.days": DAYS, "start": PLAYED_ON}
    table: dict[str, dict[str, dict[int, float]]] = {}
    digests: dict[str, list[str]] = {}

    def note(name: str, seed: int, run: sim.Result) -> None:
        own = table.setdefault(name, {})
        for measure in (*TESTED, *COSTS):
            own.setdefault(measure.head, {})[seed] = measure.of(run)
        digests.setdefault(name, []).append(run.manifest["trace_sha256"])

    for name, keys in SHIPPED.items():
        for seed in every:
            note(name, seed, sim.run(scenarios.load(SCENARIO, {**overrides, **keys, "seed": seed})))
    env = gymnasium.make(gym.SELECT, scenario=SCENARIO, overrides={**overrides, **ASKED})
    for name, policy in policies.items():
        for seed in every:
            note(name, seed, played(env, policy, seed))
    same = digests["everyone"] == digests["fedavg"]
    print(f"traces of `everyone` and `fedavg` are {'equal' if same else 'NOT equal'}")
    print(f"seeds 1 to {seeds}: mean [95 % interval], of hours the geometric mean\n")
    print_means(table, TESTED, 14, 24)
    print()
    print_means(table, COSTS, 14, 24)
    trained = [name for name in table if name.startswith("PPO")]
    others = [name for name in table if name not in ("fedavg", "everyone")]
    steps = [Step(table, name, "fedavg", TESTED) for name in others]
    steps += [
        Step(table, name, against, TESTED)
        for name in trained
        for against in ("fedspace", "soonest", AT_ONCE)
    ]
    cells, count = compared(steps)
    print("\nhours as a ratio, accuracy as a difference\n")
    print(" " * 24 + "".join(f"{measure.head:>40}" for measure in TESTED))
    for step, row in zip(steps, cells, strict=True):
        print(f"{step.name + ' / ' + step.against:<24}" + "".join(f"{cell:>40}" for cell in row))
    print(f"\np is corrected for all {count} tests (Holm); the intervals are not")


def learnt(decisions: int, seed: int) -> Policy:
    """Return a policy that PPO has learnt from so many decisions, with its own seed."""
    import torch
    from stable_baselines3 import PPO

    torch.set_num_threads(1)  # sums of several threads differ in the last bit
    env = gymnasium.make(
        gym.SELECT,
        scenario=SCENARIO,
        overrides={**TASK, "stop.days": DAYS, **ASKED, **UNTIL_TARGET},
        seeds=TRAINED_ON,
        reward={"hours": -0.1},
    )
    # Time until the target is not discounted.
    model = PPO(
        "MlpPolicy",
        env,
        seed=seed,
        n_steps=256,
        gamma=1.0,
        learning_rate=1e-3,
        device="cpu",
        stats_window_size=decisions,  # all episodes
    )
    model.learn(decisions)
    hours = [-10 * episode["r"] for episode in model.ep_info_buffer]
    first, last = np.mean(hours[:20]), np.mean(hours[-20:])
    print(
        f"PPO with seed {seed}: {len(hours)} episodes, {first:.1f} h to {TARGET} in the first "
        f"twenty and {last:.1f} h in the last"
    )
    return lambda seen: model.predict(seen, deterministic=True)[0]


def played(env: Any, policy: Policy, seed: int) -> sim.Result:
    """Return the result of an episode."""
    seen, _ = env.reset(seed=seed)
    over = False
    while not over:
        seen, _, over, _, _ = env.step(policy(seen))
    return env.get_wrapper_attr("result")


def _bits(numbers: int) -> int:
    """Return how many bits an action has where an observation has so many numbers."""
    return (numbers - len(gym.OVERALL)) // len(gym.FEATURES) + 1


if __name__ == "__main__":
    main(*sys.argv[1:])
