"""FedAvg's client in plain PyTorch, which the peers run.

It needs torch and numpy alone, for the peers live in environments of their own.
"""

import json
import sys
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CLIENTS = 100
STEP_SIZE = 0.03
IMAGES = 1370  # of 1797: as many as leomix leaves to the devices
WIDTH, CLASSES = 64, 10
MODEL = f"{CLIENTS} clients, MLP {WIDTH}-{WIDTH}-{WIDTH}-{WIDTH}-{CLASSES} on digits, all take part"


class Work(NamedTuple):
    """What a client does in a round: ``steps`` of SGD, each over ``batch`` images."""

    steps: int
    batch: int


LOCAL_EPOCH = Work(1, 14)
"""A client has some 14 images: batches of up to 32, as in Flower's example, make one step."""
FIVE_STEPS = Work(5, 32)
"""What leomix trains in a round if nothing is said."""


class Mlp(nn.Module):
    """embed -> GELU -> residual feed-forward network behind a LayerNorm -> LayerNorm -> head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(WIDTH, WIDTH)
        self.before = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, WIDTH)
        self.down = nn.Linear(WIDTH, WIDTH)
        self.after = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        """Return logits (n, classes) of pixels ``x`` (n, 64)."""
        hidden = functional.gelu(self.embed(x))
        hidden = hidden + self.down(functional.gelu(self.up(self.before(hidden))))
        return self.head(self.after(hidden))


def local_update(model, x, y, work, rng):
    """Train ``model`` on one client's data: images drawn with replacement, as leomix draws."""
    optimiser = torch.optim.SGD(model.parameters(), lr=STEP_SIZE)
    for rows in rng.integers(0, len(y), work):
        optimiser.zero_grad()
        functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimiser.step()


def shards(x, y):
    """Share the samples out evenly: (x, y) of each client."""
    parts = np.array_split(np.arange(len(y)), CLIENTS)
    return [(torch.from_numpy(x[part]), torch.from_numpy(y[part])) for part in parts]


def digits():
    """Return each client's pixels (n, 64) in 0..1 and labels (n,)."""
    from sklearn.datasets import load_digits

    x, y = (array[:IMAGES] for array in load_digits(return_X_y=True))
    return shards((x / 16).astype(np.float32), y.astype(np.int64))


def compare(peer, script, simulate):
    """Compare with a peer by its ``script``, or as the peer ``simulate`` and print its updates.

    ``simulate`` takes a client's work and returns the moments at which rounds ended, of which the
    first began to count.
    """
    if sys.argv[1:2] == ["--peer"]:
        ends = simulate(*map(int, sys.argv[2:]))
        print(json.dumps(CLIENTS * (len(ends) - 1) / (ends[-1] - ends[0])))
    elif len(sys.argv) == 2:
        from bench_learning import compare_with_peer

        compare_with_peer(peer, script, sys.argv[1])
    else:
        sys.exit(sys.modules["__main__"].__doc__)
