"""Client updates a second of FedAvg, beside pfl-research's simulator for the same clients.

pfl-research is no dependency of leomix: give it an environment of its own, and say where its
Python is.

    python -m venv pfl-env
    pfl-env/bin/pip install "pfl[pytorch]" scikit-learn
    python docs/benchmarks/against_pfl.py pfl-env/bin/python

Both run in one process on one thread, and train the same network on the same images in as many
steps of the same size.
"""

from time import perf_counter

ROUNDS = 10


def pfl_side(steps, batch):
    """Simulate rounds of FedAvg, and return when they ended, the first apart."""
    import numpy as np
    import torch
    from fedavg_clients import CLIENTS, STEP_SIZE, Mlp, digits
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.callback.base import TrainingProcessCallback
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.sampling import get_user_sampler
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.metrics import Metrics
    from pfl.model.pytorch import PyTorchModel
    from torch.nn import functional

    torch.set_num_threads(1)
    data = digits()
    ends = []

    class Trainable(Mlp):
        def loss(self, x, y, is_eval=False):
            return functional.cross_entropy(self(torch.as_tensor(x)), torch.as_tensor(y))

        def metrics(self, x, y):
            return {}

    class EndOfRound(TrainingProcessCallback):
        def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
            ends.append(perf_counter())
            return False, Metrics()

    def dataset_of(index):
        # One epoch over images drawn with replacement is what the others train in a round.
        x, y = data[index]
        rows = np.random.default_rng(index).integers(0, len(y), steps * batch)
        return Dataset(raw_data=(x[rows], y[rows]))

    network = Trainable()
    server = torch.optim.SGD(network.parameters(), 1.0)
    sgd = torch.optim.SGD
    model = PyTorchModel(network, local_optimizer_create=sgd, central_optimizer=server)
    clients = FederatedDataset(dataset_of, get_user_sampler("minimize_reuse", range(CLIENTS)))
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=1 + ROUNDS, evaluation_frequency=1000,
            train_cohort_size=CLIENTS, val_cohort_size=0,
        ),
        SimulatedBackend(training_data=clients, val_data=clients),
        model,
        NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=STEP_SIZE, local_batch_size=batch
        ),
        NNEvalHyperParams(local_batch_size=batch),
        callbacks=[EndOfRound()],
    )  # fmt: skip
    return ends


if __name__ == "__main__":
    from fedavg_clients import compare

    compare("pfl-research", __file__, pfl_side)
