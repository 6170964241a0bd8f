"""Client updates a second of FedAvg, beside a plain PyTorch loop over the same clients."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from fedavg_clients import CLIENTS, FIVE_STEPS, LOCAL_EPOCH, MODEL, STEP_SIZE, Work, plain_loop
from stopwatch import timed

from learning.clients.state import DeviceState
from learning.clients.updates import aggregate
from learning.learner import Learner
from learning.settings import LearningConfig, ModelConfig, Optimizer, Pretraining
from learning.training.recipe import LocalRounds, TrainedPart, Weighing
from learning.training.task import use_one_thread

REPEATS = 5
ROUNDS = 10
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}


def in_turns(*calls: Callable[[], object]) -> list[list[float]]:
    """Return the seconds of each call, REPEATS times, the calls taken in turns."""
    for call in calls:
        call()
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, seconds in zip(calls, taken, strict=True):
            seconds.append(timed(call)[0])
    return taken


MODULE = ModelConfig(kind="fedavg_clients:Mlp")
"""The peers' module itself."""


def fedavg(work: Work, rounds: int, optimizer: str = "sgd") -> None:
    """Run rounds of FedAvg over one cluster through the learner, a whole model a device."""
    learner = Learner(
        LearningConfig(
            0, ("a",), (CLIENTS,), MODULE,
            pretraining=Pretraining(0, 0, 0),
            step_size=STEP_SIZE, steps_per_round=work.steps, batch_size=work.batch,
            trains_backbone=True, optimizer=Optimizer(kind=optimizer),
        )
    )  # fmt: skip
    everybody = np.ones(CLIENTS, dtype=bool)
    zero = np.zeros(CLIENTS, dtype=int)
    server = learner.start()
    experts = list(range(learner.architecture.experts))
    for number in range(rounds):
        state = DeviceState.load(learner, server, None, "a", everybody, experts, zero)
        state = state.train(
            LocalRounds("a", zero + 1, zero + number), TrainedPart(experts, gate=True)
        )
        offered = state.offer(experts, gate=True)
        server = aggregate(learner, server, offered, experts, Weighing("a", everybody), gate=True)
    learner.force(server)


def updates_a_second(run: Callable[[Work, int], None], work: Work) -> float:
    """Return client updates a second, start-up apart: from the times of a short and a long run.

    Seconds are those of the clock on the wall, as peers in processes of their own are timed.
    """
    calls = (lambda: run(work, 1), lambda: run(work, 1 + ROUNDS))
    short_s, long_s = in_turns(*calls)
    return CLIENTS * ROUNDS / (median(long_s) - median(short_s))


def beside_peer(peer: str, script: str, python: str) -> None:
    """Print the same beside a ``peer``, whose ``script`` another environment's ``python`` runs."""
    use_one_thread()

    def run(work: Work) -> float:
        done = subprocess.run(
            [python, script, "--peer", *map(str, work)],
            env=os.environ | QUIET, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return float(json.loads(done.stdout.splitlines()[-1]))

    print_updates(peer, run)


def print_updates(other: str, updates_of_other: Callable[[Work], float]) -> None:
    """Print client updates a second of leomix and of another."""
    print(f"\n{MODEL}: client updates a second")
    for work in (LOCAL_EPOCH, FIVE_STEPS):
        theirs = updates_of_other(work)
        print(f"{work.steps} SGD step(s) a client at batch {work.batch}")
        ours = updates_a_second(fedavg, work)
        print(f"  leomix               {ours:8,.0f}  {ours / theirs:6.1f} x")
        print(f"  {other:20} {theirs:8,.0f}")


def print_adam() -> None:
    """Print how much longer Adam takes than SGD."""
    sgd, adam = (
        updates_a_second(partial(fedavg, optimizer=kind), FIVE_STEPS) for kind in ("sgd", "adam")
    )
    print(f"  leomix with Adam     {adam:8,.0f}, {sgd / adam:.2f} times as long as SGD")


if __name__ == "__main__":
    use_one_thread()
    print_updates("plain loop", lambda work: updates_a_second(plain_loop, work))
    print_adam()
