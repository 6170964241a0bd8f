"""Client updates a second of FedAvg, beside Flower's simulation engine for the same clients.

Flower is no dependency of leomix: give it an environment of its own, and say where its Python is.

    python -m venv flower-env
    flower-env/bin/pip install "flwr[simulation]" torch scikit-learn
    python tests/benchmarks/against_flower.py flower-env/bin/python

leomix runs on one thread, Flower on two cores: one client at a time on each, as it is meant to.
Both train the same network on the same images in as many steps of the same size. Start-up is
apart: the first round is not counted.
"""

import json
import os
import subprocess
import sys
from time import perf_counter

ROUNDS = 5
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}


def main() -> None:
    """Print both."""
    from bench_learning import compare

    compare("Flower", updates_a_second)


def updates_a_second(steps: int, batch: int) -> float:
    """Return client updates a second in the other environment."""
    done = subprocess.run(
        [sys.argv[1], __file__, "--flower", str(steps), str(batch)],
        env=os.environ | QUIET, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, check=True,
    )  # fmt: skip
    return float(json.loads(done.stdout.splitlines()[-1]))


def flower_side() -> None:
    """Simulate rounds of FedAvg in Flower, and print client updates a second."""
    import numpy as np
    import torch
    from fedavg_clients import CLIENTS, Mlp, Work, digits, local_update
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    work = Work(*map(int, sys.argv[2:]))
    data, client, server = digits(), ClientApp(), ServerApp()
    ends = []

    @client.train()
    def train(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        index = int(context.node_config["partition-id"])
        x, y = data[index]
        model = Mlp()
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        local_update(model, x, y, work, np.random.default_rng(index))
        metrics = MetricRecord({"num-examples": len(y)})
        arrays = ArrayRecord(model.state_dict())
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        def end_of_round(number: int, arrays: ArrayRecord) -> None:
            ends.append(perf_counter())

        strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=CLIENTS)
        start = ArrayRecord(Mlp().state_dict())
        strategy.start(grid, start, num_rounds=1 + ROUNDS, evaluate_fn=end_of_round)

    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server, client, CLIENTS, backend_config=resources)
    assert len(ends) == 2 + ROUNDS  # one at the start
    print(json.dumps(CLIENTS * ROUNDS / (ends[-1] - ends[1])))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flower"]:
        flower_side()
    elif len(sys.argv) == 2:
        main()
    else:
        sys.exit(__doc__)
