"""Local training of a whole cluster at once, against plain PyTorch loops.

Times of one cluster are CPU times on one thread, and a ratio is of times taken in turns.
"""

import dataclasses
import json
import os
import subprocess
from functools import partial
from statistics import median
from time import perf_counter, process_time

import numpy as np
import torch
from fedavg_clients import CLIENTS, FIVE_STEPS, LOCAL_EPOCH, MODEL, STEP_SIZE, plain_loop
from stopwatch import timed
from torch.nn import functional

from learning.clients.device_state import DeviceState
from learning.clients.updates import aggregate
from learning.learner import Learner
from learning.models import Residency
from learning.settings import LearningConfig, ModelConfig, Optimizer, Pretraining
from learning.training.local import train_rounds
from learning.training.recipe import LocalRounds, TrainedPart, Weighing
from learning.training.sgd import rows_of_round
from learning.training.start import build_task, start_model
from learning.training.state import State, flatten, of_one_model
from learning.training.sync import assembled, load
from learning.training.task import Traits, use_one_thread

DEVICES = 200
TRAINED = (1,)
REPEATS = 5
ROUNDS = 10
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}


def in_turns(*calls, clock=process_time):
    """Return the seconds of each call, REPEATS times, the calls taken in turns."""
    for call in calls:
        call()
    taken = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, seconds in zip(calls, taken, strict=True):
            seconds.append(timed(call, clock=clock)[0])
    return taken


def digits_task(batch_size):
    """Return the digits LoRA model with one cluster, and its devices after their download."""
    task = build_task(LearningConfig(0, ("a",), (DEVICES,), batch_size=batch_size))
    server = start_model(task)
    own = load(
        task, server, cluster="a", who=(True,) * DEVICES,
        experts=task.all_experts, adapter_epoch=(0,) * DEVICES,
    )  # fmt: skip
    return task, assembled(task, own, server, versions=of_one_model(task, DEVICES))


def ours(task, state, masked):
    """Train one round of every device."""
    local = LocalRounds("a", (1,) * DEVICES, (0,) * DEVICES)
    part = TrainedPart(TRAINED, gate=False, mask="-inf" if masked else None)
    return flatten(train_rounds(task, State.of(state), local, part))


def plain(task, state, masked):
    """Train one round of every device as anybody would: a module, torch's SGD, a loop.

    Experts run on the rows that chose them only.
    """
    held = TRAINED if masked else task.all_experts
    model = task.skeleton(Residency(held, TRAINED)).to_empty(device="cpu")
    tuned = {path: p for path, p in model.named_parameters() if path.endswith((".a", ".b"))}
    model.requires_grad_(False)
    for parameter in tuned.values():
        parameter.requires_grad_(True)
    results = []
    samples = task.shards["a"].samples
    for device in range(DEVICES):
        model.load_state_dict(_tensors_of(task, state, device), strict=not masked)
        optimiser = torch.optim.SGD(tuned.values(), lr=task.config.step_size)
        for rows in rows_of_round(task, "a", [device], [0])[0]:
            optimiser.zero_grad()
            loss = functional.cross_entropy(model(samples.x[rows]), samples.y[rows])
            if loss.requires_grad:  # no row may have chosen the trained expert
                loss.backward()
                optimiser.step()
        results.append({path: p.detach().clone() for path, p in tuned.items()})
    return results


def _tensors_of(task, state, device):
    """Return one device's tensors by path in a model that tunes the experts TRAINED alone."""
    tensors = dict(task.backbone)
    for name, tensor in state.items():
        stored = name.removeprefix(".base.").replace(".weight+", ".")
        frozen = stored.startswith("expert.") and int(stored.split(".")[1]) not in TRAINED
        if not name.startswith(".base.gate.") and not (frozen and "+" in name):
            tensors[stored] = tensor[device]
    return {task.names.path(name): tensor for name, tensor in tensors.items()}


def cluster_at_once():
    """Print times of a round of 200 devices: plain loop, ours one by one, and all at once."""
    print(f"digits LoRA model, a round of {DEVICES} devices (5 steps), Top-1 of 4 experts")
    for batch_size in (32, 8):
        task, state = digits_task(batch_size)
        single = dataclasses.replace(task, traits=Traits(batched=False))
        for masked in (False, True):
            calls = (
                lambda: plain(task, state, masked),  # noqa: B023
                lambda: ours(single, state, masked),  # noqa: B023
                lambda: ours(task, state, masked),  # noqa: B023
            )
            loop_s, single_s, together_s = in_turns(*calls)
            against = ratio(loop_s, together_s)
            print(
                f"batch {batch_size:2}, {'masked gate  ' if masked else 'all 4 experts'}"
                f"  plain loop {median(loop_s):6.3f} s"
                f"  ours: one by one {median(single_s):6.3f} s,"
                f" together {median(together_s):6.3f} s  {against:5.1f} x"
                f"  (largest difference {_difference(*calls):.0e})"
            )


def _difference(
    plain_call,
    _,
    our_call,
):
    """Return the largest difference between the devices' trained factors."""
    loop = plain_call()
    together = our_call()
    trained = {n: t for n, t in together.items() if n.startswith("expert.1.0.") and "+" in n}
    path = {name: name.removeprefix("expert.1.0.").replace(".weight+", ".") for name in trained}
    return max(
        float((tensor[device] - loop[device][f"moe.0.experts.1.{path[name]}"]).abs().max())
        for name, tensor in trained.items()
        for device in range(DEVICES)
    )


def ratio(reference_s, ours_s):
    """Return the median ratio of times that were taken one after the other."""
    return median(a / b for a, b in zip(reference_s, ours_s, strict=True))


MODULE = ModelConfig(kind="fedavg_clients:Mlp")
"""The peers' module itself."""


def fedavg(work, rounds, optimizer="sgd"):
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


def updates_a_second(run, work):
    """Return client updates a second, start-up apart: from the times of a short and a long run.

    Seconds are those of the clock on the wall, as peers in processes of their own are timed.
    """
    calls = (lambda: run(work, 1), lambda: run(work, 1 + ROUNDS))
    short_s, long_s = in_turns(*calls, clock=perf_counter)
    return CLIENTS * ROUNDS / (median(long_s) - median(short_s))


def beside_peer(peer, script, python):
    """Print the same beside a ``peer``, whose ``script`` another environment's ``python`` runs."""
    use_one_thread()

    def run(work):
        done = subprocess.run(
            [python, script, "--peer", *map(str, work)],
            env=os.environ | QUIET, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return float(json.loads(done.stdout.splitlines()[-1]))

    print_updates(peer, run)


def print_updates(other, updates_of_other):
    """Print client updates a second of leomix and of another."""
    print(f"\n{MODEL}: client updates a second")
    for work in (LOCAL_EPOCH, FIVE_STEPS):
        theirs = updates_of_other(work)
        print(f"{work.steps} SGD step(s) a client at batch {work.batch}")
        ours = updates_a_second(fedavg, work)
        print(f"  leomix               {ours:8,.0f}  {ours / theirs:6.1f} x")
        print(f"  {other:20} {theirs:8,.0f}")


def print_adam():
    """Print how much longer Adam takes than SGD."""
    sgd, adam = (
        updates_a_second(partial(fedavg, optimizer=kind), FIVE_STEPS) for kind in ("sgd", "adam")
    )
    print(f"  leomix with Adam     {adam:8,.0f}, {sgd / adam:.2f} times as long as SGD")


if __name__ == "__main__":
    use_one_thread()
    cluster_at_once()
    print_updates("plain loop", lambda work: updates_a_second(plain_loop, work))
    print_adam()
