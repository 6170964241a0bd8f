"""Optimisers over stacked tensors: each device's steps are those of torch.optim."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learning import Learner, LearningConfig, ModelConfig
from learning.clients.device_state import DeviceState
from learning.methods.fedprox import proximal
from learning.settings import Optimizer, Schedule, Training
from learning.training import sgd
from learning.training.sgd import rows_of_round
from tests.kit.rounds import downloaded, trained

RATE = 0.02
DECAY = {"weight_decay": 0.1}
TORCHS = torch.optim
OPTIMIZERS = [
    ("sgd", TORCHS.SGD, {"momentum": 0.8, **DECAY}),
    ("adam", TORCHS.Adam, {"betas": (0.7, 0.9), "eps": 1e-6, **DECAY}),
    ("adamw", TORCHS.AdamW, DECAY),
    ("rmsprop", TORCHS.RMSprop, {"momentum": 0.5, **DECAY}),
]
"""Kinds, and the arguments of torch: ours have the same names."""


def config(optimizer, **keys):
    keys = {"batch_size": 8, "steps_per_round": 2, "precision": "float64", **keys}
    model = ModelConfig(kind="vector-mlp", hidden=6)
    own = Optimizer(**optimizer)
    return LearningConfig(1, ("a",), (2,), model=model, step_size=RATE, optimizer=own, **keys)


def by_hand(learner, device, rounds, make, clip=None, schedule=None, forgets_after=None):
    """Return the weights of a client after its local rounds, with the optimiser of torch."""
    task = learner.task
    tensors = {n: t.clone().requires_grad_() for n, t in learner.force(learner.start()).items()}
    samples = task.shards["a"].samples
    optimiser = make(tensors.values())
    plan = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule) if schedule else None
    for number in range(rounds):
        if number == forgets_after:
            optimiser = make(tensors.values())
        for rows in torch.from_numpy(rows_of_round(task, "a", [device], [number])[0]):
            optimiser.zero_grad()
            hidden = torch.relu(
                samples.x[rows] @ tensors["layers.0.weight"].T + tensors["layers.0.bias"]
            )
            logits = hidden @ tensors["head.weight"].T + tensors["head.bias"]
            torch.nn.functional.cross_entropy(logits, samples.y[rows]).backward()
            if clip:
                norm = torch.cat([tensor.grad.flatten() for tensor in tensors.values()]).norm()
                for tensor in tensors.values():
                    tensor.grad *= min(1.0, clip / float(norm))
            optimiser.step()
        if plan:
            plan.step()
    return tensors


def assert_alike(learner, state, device, expected):
    tensors = learner.force(state.whole)
    for name, tensor in expected.items():
        torch.testing.assert_close(tensors[name][device], tensor.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "torchs", "arguments"), OPTIMIZERS)
def test_each_devices_steps_are_those_of_torch_over_several_requests(kind, torchs, arguments):
    """Devices train unequal numbers of rounds in two requests; nothing comes down in between."""
    learner = Learner(config({"kind": kind, **arguments}))
    state = downloaded(learner, learner.start())
    state = trained(trained(state, [2, 0]), [1, 2], [2, 0])
    for device, rounds in enumerate((3, 2)):
        make = lambda parameters: torchs(parameters, lr=RATE, **arguments)  # noqa: E731
        assert_alike(learner, state, device, by_hand(learner, device, rounds, make))


@pytest.mark.parametrize("state", ["reset", "keep"])
def test_a_device_forgets_what_its_optimiser_knew_at_a_download_unless_it_keeps_it(state):
    learner = Learner(config({"kind": "adam", "state": state}))
    start = learner.start()
    held = trained(downloaded(learner, start), 2)
    # Device 0 downloads the model that it began with, and goes on from what it has trained itself.
    held = DeviceState.load(
        learner, start, held, "a", np.array([True, False]), [], np.zeros(2, int)
    )
    held = trained(held, 2, 2)
    for device, forgets in enumerate((2 if state == "reset" else None, None)):
        make = lambda parameters: torch.optim.Adam(parameters, lr=RATE)  # noqa: E731
        assert_alike(learner, held, device, by_hand(learner, device, 4, make, None, None, forgets))


@pytest.mark.parametrize(
    ("schedule", "rule"),
    [
        (Schedule("step", rounds=2, factor=0.5), lambda n: 0.5 ** (n // 2)),
        (Schedule("exponential", factor=0.8), lambda n: 0.8**n),
        (Schedule("linear", rounds=4, floor=0.2), lambda n: max(0.2, 1 - 0.8 * n / 4)),
        (
            Schedule("cosine", rounds=3),
            lambda n: (1 + np.cos(np.pi * min(n, 3) / 3)) / 2,
        ),
    ],
)
def test_a_schedule_counts_each_devices_own_rounds_and_gradients_are_clipped(schedule, rule):
    learner = Learner(config({"momentum": 0.5}, schedule=schedule, clip_norm=0.3))
    state = downloaded(learner, learner.start())
    state = trained(state, [5, 3])
    make = lambda parameters: torch.optim.SGD(parameters, lr=RATE, momentum=0.5)  # noqa: E731
    for device, rounds in enumerate((5, 3)):
        assert_alike(learner, state, device, by_hand(learner, device, rounds, make, 0.3, rule))


def test_what_an_optimiser_remembers_takes_memory_and_no_bytes():
    plain, adam = (Learner(config(keys)) for keys in ({}, {"kind": "adam"}))
    least, most = (learner.round_cost([], [], gate=True).memory_bytes for learner in (plain, adam))
    assert most - least == 2 * 8 * plain.architecture.parameters
    assert plain.architecture.upload_bytes([], gate=True) == adam.architecture.upload_bytes(
        [], gate=True
    )


def tiny(loss, together):
    """Two clients with a number w = 4, two batches each, one round of SGD with step size 1."""
    batches = torch.tensor([[[2.0, 4, 6], [1, 3, 5]], [[8, 10, 12], [7, 9, 11]]])
    trained = sgd.train(
        {"w": torch.full((2,), 4.0, dtype=torch.float64)},
        sgd.Problem(
            lambda devices, rounds: [(x[list(devices)].double(),) for x in batches],
            loss,
            together,
        ),
        Training(step_size=1.0, steps_per_round=2, batch_size=3),
        [1, 1],
        [0, 0],
    )
    return (4.0 - trained.tensors["w"]).tolist()


@pytest.mark.parametrize("together", [True, False])
def test_the_toy_clients_of_fedjax_come_out(together):
    """Its tests of FedAvg and FedProx state by how much w falls, to the digits of float32."""
    by_sum = lambda tensors, x: tensors["w"].square() / 2 / x.sum()  # noqa: E731
    assert tiny(by_sum, together) == pytest.approx([0.45555544, 0.5761316], rel=3e-7)

    def near(tensors, x):
        return (x * tensors["w"]).mean() + proximal(
            SimpleNamespace(weights=tensors, server={"w": 4.0}), mu=0.01
        )

    assert tiny(near, together) == pytest.approx([13.96, 11.97], rel=1e-12)
