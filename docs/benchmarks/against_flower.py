"""Client updates a second of FedAvg, beside Flower's simulation engine for the same clients.

Flower is no dependency of leomix: give it an environment of its own, and say where its Python is.

    python -m venv flower-env
    flower-env/bin/pip install "flwr[simulation]" torch scikit-learn
    python docs/benchmarks/against_flower.py flower-env/bin/python

leomix runs on one thread, Flower on all cores, one client at a time on each. Both train the same
network on the same images in as many steps of the same size. Flower is entered by its older door,
``start_simulation``: through ``run_simulation`` replies are polled for, and a round takes longer.
"""

from time import perf_counter

ROUNDS = 5


def flower_side(steps, batch):
    """Simulate rounds of FedAvg, and return when they ended, the first apart."""
    import numpy as np
    import torch
    from fedavg_clients import CLIENTS, Mlp, Work, digits, local_update
    from flwr.client import NumPyClient
    from flwr.common import ndarrays_to_parameters
    from flwr.server import ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.simulation import start_simulation

    data = digits()
    ends = []

    def arrays_of(model):
        return [tensor.numpy() for tensor in model.state_dict().values()]

    class Client(NumPyClient):
        def __init__(self, index):
            self.index = index

        def fit(self, parameters, config):
            torch.set_num_threads(1)
            model, (x, y) = Mlp(), data[self.index]
            names = model.state_dict()
            model.load_state_dict(dict(zip(names, map(torch.tensor, parameters), strict=True)))
            local_update(model, x, y, Work(steps, batch), np.random.default_rng(self.index))
            return arrays_of(model), len(y), {}

    def end_of_round(number, parameters, config):
        ends.append(perf_counter())

    strategy = FedAvg(
        fraction_fit=1.0, fraction_evaluate=0.0, min_available_clients=CLIENTS,
        evaluate_fn=end_of_round, initial_parameters=ndarrays_to_parameters(arrays_of(Mlp())),
    )  # fmt: skip
    start_simulation(
        client_fn=lambda context: Client(int(context.node_config["partition-id"])).to_client(),
        num_clients=CLIENTS, client_resources={"num_cpus": 1, "num_gpus": 0.0},
        config=ServerConfig(num_rounds=1 + ROUNDS), strategy=strategy,
    )  # fmt: skip
    assert len(ends) == 2 + ROUNDS  # the first is before any round
    return ends[1:]


if __name__ == "__main__":
    from fedavg_clients import compare

    compare("Flower", __file__, flower_side)
