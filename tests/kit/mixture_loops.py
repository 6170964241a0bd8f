"""What loops around mixtures of Hugging Face's models share: slots, gates, experts, the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

import scenarios
from learning import stream
from tests.kit.tiny_checkpoints import SIZES

HIDDEN, VOCABULARY = (int(SIZES[name]) for name in ("hidden_size", "vocab_size"))
PRETRAINING_STEP, PRETRAINING_STEPS, PRETRAINING_BATCH = 0.03, 5, 6
PRETRAINING = {
    "gate_steps": PRETRAINING_STEPS, "gate_batch": PRETRAINING_BATCH, "gate_loss": "origin",
}  # fmt: skip


def in_slots(
    seed: int, cycles: int, clusters: Sequence[Mapping[str, Any]], learning: Mapping[str, Any]
) -> scenarios.Scenario:
    """Return a scenario with a slot of ten minutes for each cluster, and a minute a round."""
    return scenarios.from_dict(
        {
            "seed": seed,
            "stop": {"cycles": cycles},
            "ground": {"clusters": clusters},
            "orbit": {"source": "slots", "slots": {"count": len(clusters), "seconds": 600}},
            "link": {"preset": "paper"},
            "compute": {"seconds_per_round": 60},
            "learning": learning,
        }
    )


def hashes(text: str) -> list[int]:
    """The number of each word of a text."""
    return [1 + crc32(word.encode()) % (VOCABULARY - 1) for word in text.split()]


def drawn(seed: int, path: str, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """What a tensor of the gates or of the head begins with."""
    bound = HIDDEN**-0.5
    start = stream(seed, "init", path, name).uniform(-bound, bound, shape)
    return torch.tensor(start).float().to(dtype)


def learnt_gates(
    seed: int,
    start: Mapping[str, Tensor],
    trials: Sequence[Tensor],
    given_of: Callable[[Tensor, Mapping[str, Tensor]], Sequence[Tensor]],
) -> dict[str, Tensor]:
    """Gates that have learnt, of each trial text, the experts that are at home with its cluster.

    Expert e is at home in cluster e modulo the number of clusters. ``given_of`` returns what each
    gate (E, d) is given of texts (n, T), from layers that mix all experts.
    """
    gates = {name: nn.Parameter(gate) for name, gate in start.items()}
    count = len(next(iter(gates.values())))
    trial = torch.cat([*trials])
    home = torch.tensor([[e % len(trials) == c for e in range(count)] for c in range(len(trials))])
    home = home.repeat_interleave(len(trials[0]), 0)
    adam = torch.optim.Adam(gates.values(), PRETRAINING_STEP)
    draw = stream(seed, "pretrain", "gate")
    for rows in draw.integers(0, len(trial), (PRETRAINING_STEPS, PRETRAINING_BATCH)):
        with torch.no_grad():
            given = given_of(trial[rows], gates)
        real = trial[rows] >= 0
        at_home = home[rows][:, None].expand(-1, real.shape[1], -1)[real]
        own = gates.values()
        shares = [linear(x[real], gate).softmax(-1) for x, gate in zip(given, own, strict=True)]
        adam.zero_grad()
        losses = [-(share * at_home).sum(-1).log().mean() for share in shares]
        torch.autograd.backward(losses)
        adam.step()
    return {name: gate.detach() for name, gate in gates.items()}


def experts_of_clusters(result: Any, clusters: Sequence[str]) -> dict[str, list[int]]:
    """The experts of each cluster as they were drawn before time began: each has one cluster."""
    first = result.assignments[result.assignments.time_s == 0.0]
    taken = first[first.assigned]
    assert sorted(taken.expert) == [*range(first.expert.nunique())]
    return {name: taken.expert[taken.cluster == name].tolist() for name in clusters}


def check_end(
    final: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
    backbone: Mapping[str, Tensor],
    atol: float,
    least: float,
) -> None:
    """A run's last model is that of a loop, where all has moved by ``least``, and its backbone."""
    assert set(final) == set(start) | set(backbone)
    for name, tensor in backbone.items():
        torch.testing.assert_close(final[name], tensor, rtol=0, atol=0, msg=name)
    for name, tensor in end.items():
        torch.testing.assert_close(final[name], tensor, rtol=0, atol=atol, msg=name)
        assert (tensor - start[name]).abs().max() > least, name
