"""Client updates a second of FedAvg by leomix, beside those of a peer."""

import json
import os
import subprocess
from statistics import median
from time import perf_counter

import numpy as np
from fedavg_clients import CLIENTS, FIVE_STEPS, LOCAL_EPOCH, MODEL, STEP_SIZE

from learning.clients.device_state import DeviceState
from learning.clients.updates import aggregate
from learning.learner import Learner
from learning.settings import LearningConfig, ModelConfig, Pretraining
from learning.training.recipe import LocalRounds, TrainedPart, Weighing
from learning.training.task import use_one_thread

REPEATS = 5
ROUNDS = 10
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}


def fedavg(work, rounds):
    """Run rounds of FedAvg over one cluster through the learner, with the peers' module."""
    learner = Learner(
        LearningConfig(
            0, ("a",), (CLIENTS,), ModelConfig(kind="fedavg_clients:Mlp"),
            pretraining=Pretraining(0, 0, 0),
            step_size=STEP_SIZE, steps_per_round=work.steps, batch_size=work.batch,
            trains_backbone=True,
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


def updates_per_s(work):
    """Return client updates per second, start-up apart: from the times of short and long runs.

    The two are timed in turns, after each has run once.
    """
    taken_s = {1: [], 1 + ROUNDS: []}
    for repeat in range(1 + REPEATS):
        for rounds, seconds in taken_s.items():
            began = perf_counter()
            fedavg(work, rounds)
            if repeat:
                seconds.append(perf_counter() - began)
    short_s, long_s = map(median, taken_s.values())
    return CLIENTS * ROUNDS / (long_s - short_s)


def compare_with_peer(peer, script, python):
    """Print updates per second beside those of a ``peer``: of ``script`` by another ``python``."""
    use_one_thread()
    print(f"{MODEL}: client updates a second")
    for work in (LOCAL_EPOCH, FIVE_STEPS):
        done = subprocess.run(
            [python, script, "--peer", *map(str, work)],
            env=os.environ | QUIET, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        theirs = float(json.loads(done.stdout.splitlines()[-1]))
        ours = updates_per_s(work)
        print(f"{work.steps} SGD step(s) a client at batch {work.batch}")
        print(f"  leomix  {ours:8,.0f}\n  {peer:8}{theirs:8,.0f}  {ours / theirs:.1f} x")
