"""FedAvg in a loop of plain PyTorch, and the same rounds through a satellite.

    python tests/truth/notebook.py [rounds] [every]

The scenario is ``plain-fedavg``: twenty devices in four cities, a small CNN, labels that differ per
device. The loop is what a notebook holds: every round takes every client, and there is no orbit.
It trains on the samples, the batches and the initial weights of the simulated run, in double
precision, so both must give the same accuracy after the same number of rounds. The run measures
its model at complete cycles; a round has no accuracy where two end within one cycle. One round of
``every`` is printed.
"""

import copy
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import scenarios
import sim

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from learning.training.sgd import rows_of_round
from sim.world.world import World
from tests.kit.worlds import learner_of

NAME = "plain-fedavg"
TARGET = 0.90
DAY_S = 86400.0


def in_a_loop(scenario, rounds):
    """Return the test accuracy before the first round of FedAvg, and after each one."""
    learner = learner_of(World(scenario))
    config, task = learner.config, learner.task
    server = copy.deepcopy(task.model(learner.force(learner.start())))
    tests = {id(samples): samples for samples in task.test.values()}.values()
    accuracies = [accuracy(server, tests)]
    for number in range(rounds):
        total, weighted = 0, dict[str, Tensor]()
        for cluster, devices in zip(config.clusters, config.devices, strict=True):
            shards = task.shards[cluster]
            for device in range(devices):
                client = copy.deepcopy(server)
                optimiser = torch.optim.Adam(client.parameters(), lr=config.step_size)
                for rows in torch.from_numpy(rows_of_round(task, cluster, [device], [number])[0]):
                    optimiser.zero_grad()
                    logits = client(shards.samples.x[rows])
                    nn.functional.cross_entropy(logits, shards.samples.y[rows]).backward()
                    optimiser.step()
                samples = int(shards.sizes[device])
                total += samples
                for name, tensor in client.state_dict().items():
                    weighted[name] = weighted.get(name, torch.zeros(())) + samples * tensor
        server.load_state_dict({name: tensor / total for name, tensor in weighted.items()})
        accuracies.append(accuracy(server, tests))
    return accuracies


@torch.no_grad()
def accuracy(model, tests):
    """Return the share of all test samples that a model gets right."""
    model.eval()
    right = sum(int((model(samples.x).argmax(1) == samples.y).sum()) for samples in tests)
    model.train()
    return right / sum(len(samples.y) for samples in tests)


def main(rounds=12, every=4):
    """Print both, one round of ``every``."""
    keys = {"stop.rounds": rounds, "stop.days": 30, "learning.precision": "float64"}
    scenario = scenarios.load(NAME, keys)
    result = sim.run(scenario)
    ends_s = [0.0, *result.events.query("kind == 'aggregate'").time_s]
    measured = result.metrics.query("scope == 'global'").groupby("version").accuracy.first()
    loop = in_a_loop(scenario, rounds)
    print("round  in a loop  simulated  ends on day")
    for number in range(0, rounds + 1, every):
        simulated = f"{measured[number]:.3f}" if number in measured.index else "-"
        end = f"{ends_s[number] / DAY_S:.2f}"
        print(f"{number:5}  {loop[number]:9.3f}  {simulated:>9}  {end:>11}")
    reached = next((n for n, value in enumerate(loop) if value >= TARGET), None)
    if reached is not None:
        round_s = scenario.compute.seconds_per_round
        assert round_s is not None
        minutes = reached * round_s / 60
        days = ends_s[reached] / DAY_S
        print(f"{TARGET:.0%} after {reached} rounds: a device trains for {minutes:.0f} minutes,")
        print(f"and through one satellite that takes {days:.2f} days")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
