"""Functions that ``leomix fly`` trains by, and what they leave."""

from __future__ import annotations

from pathlib import Path

SOFTMAX = """
import numpy as np

def start(context):
    return {"w": np.zeros((64, 10)), "b": [np.zeros(10)]}

def chances(weights, x):
    z = x @ weights["w"] + weights["b"][0]
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)

def train(weights, data, context):
    open("calls.txt", "a").write(f"{context.client} {context.round}\\n")
    x, y = data
    p = chances(weights, x)
    p[np.arange(len(y)), y] -= 1
    weights["w"] -= 0.5 * x.T @ p / len(y)
    weights["b"][0] -= 0.5 * p.mean(axis=0)
    return weights, len(y)

def evaluate(weights, data, context):
    x, y = data
    p = chances(weights, x)
    return {"accuracy": (p.argmax(axis=1) == y).mean(), "first": p[0, 0]}
"""

"""Functions of softmax regression, whose steps a loop by hand can do."""


def calls() -> list[str]:
    """Return the lines that functions or clients have left since the last time."""
    path = Path("calls.txt")
    found = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return found
