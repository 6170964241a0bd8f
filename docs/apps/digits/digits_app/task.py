"""The network, and the samples of each node."""

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

BATCH = 16
ONE_IN = 5
"""Of so many samples one is for tests."""


def network() -> nn.Module:
    """Return the network with first weights."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return all images (n, 64), and their digits (n,)."""
    found = load_digits()
    return found.data / 16.0, found.target


def samples(node: int, nodes: int, *, test: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the samples of a node, which are dealt at random: images (n, 64), and digits (n,)."""
    x, y = digits()
    own = np.random.default_rng(0).permutation(len(y))[node::nodes]
    is_test = np.arange(len(own)) % ONE_IN == 0
    rows = own[is_test == test]
    return torch.tensor(x[rows], dtype=torch.float32), torch.tensor(y[rows])


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int, step: float) -> float:
    """Train by plain SGD; return the last loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=step)
    loss = torch.zeros(())
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            loss = cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
    return loss.item()
