"""Functions that `leomix fly` trains by; clients and the server keep something between calls."""

import numpy as np


def start(context):
    return {"w": np.zeros((64, 10))}


def train(weights, data, context):
    """Take some steps with a momentum that the client keeps, on samples that are drawn."""
    x = data[0].astype(float)
    speed = context.memory.setdefault("speed", np.zeros((64, 10)))
    for _ in range(50):
        rows = np.random.permutation(len(x))[: len(x) // 2]
        speed = 0.9 * speed + 1e-4 * x[rows].T @ np.exp(-x[rows] @ weights["w"])
        weights = {"w": weights["w"] + speed}
    context.memory["speed"] = speed
    return weights, len(x)


def aggregate(weights, updates, context):
    """Move by half, and a little at random; the server counts what it has seen."""
    context.memory["seen"] = context.memory.get("seen", 0) + len(updates)
    noise = 1e-6 * context.rng.normal(size=10) * context.memory["seen"]
    mean = np.mean([one.weights["w"] for one in updates], axis=0)
    return {"w": (weights["w"] + mean) / 2 + noise}


def evaluate(weights, data, context):
    return {"accuracy": np.tanh(np.abs(weights["w"])).mean()}
