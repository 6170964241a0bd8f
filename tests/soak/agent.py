"""An agent that plays one episode: ``python agent.py agent SCENARIO -o FOLDER``.

What it observes is written down line by line, and behind it what the run came to.
"""

import json
import sys
from pathlib import Path

import numpy as np

import scenarios
from leomix import gym

OBSERVED = "observed.txt"


def main():
    """Choose at random, from one seed, until the episode is over."""
    scenario, place = Path(sys.argv[2]), Path(sys.argv[sys.argv.index("-o") + 1])
    place.mkdir(parents=True, exist_ok=True)
    env = gym.Select(scenarios.load(scenario))
    chance = np.random.default_rng(8)
    numbers, _ = env.reset(seed=3)
    over = False
    with (place / OBSERVED).open("w") as out:
        while not over:
            print(json.dumps(numbers.tolist()), file=out, flush=True)
            move = chance.integers(0, 2, env.action_space.shape).astype(np.int8)
            numbers, reward, over, _, _ = env.step(move)
            print(reward, file=out, flush=True)
        assert env.result is not None
        print(env.result.manifest["trace_sha256"], file=out)


if __name__ == "__main__":
    main()
