"""What a message costs in runs of code of the user's: of functions, and of a Flower app.

`python tests/benchmarks/bench_fly.py [NODES ...]` flies clients that do next to nothing, half of
them in each of two places, through slots and over an orbit. A message is what goes to a client,
with what comes back. The references are the same functions called in a loop, and the same app with
a grid that calls its clients at once. Seconds are of the CPU; a rehearsal calls a client more.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
from stopwatch import timed

import scenarios
import sim
from sim.fly.user_code import Context

NODES = (10, 100, 1000)
MOST_MESSAGES = 4000
SIZE = 100
FUNCTIONS = f"""
import numpy as np

def start(context):
    return np.zeros({SIZE})

def data(context):
    return np.full(3, float(context.client))

test_data = data

def train(weights, data, context):
    return weights + data.mean(), 1

def evaluate(weights, data, context):
    return float(weights.mean())
"""
PROJECT = """
[project]
name = "idle"
version = "1.0.0"
[tool.flwr.app]
publisher = "leomix"
[tool.flwr.app.components]
serverapp = "idle_app:server"
clientapp = "idle_app:client"
[tool.flwr.app.config]
rounds = 1
"""
APP = f"""
import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

server = ServerApp()
client = ClientApp()

@server.main()
def main(grid, context):
    first = ArrayRecord([np.zeros({SIZE})])
    rounds = context.run_config["rounds"]
    FedAvg(fraction_evaluate=0.0).start(grid=grid, initial_arrays=first, num_rounds=rounds)

@client.train()
def train(message, context):
    [w] = message.content["arrays"].to_numpy_ndarrays()
    metrics = MetricRecord({{"num-examples": 1}})
    records = {{"arrays": ArrayRecord([w + context.node_id]), "metrics": metrics}}
    return Message(RecordDict(records), reply_to=message)
"""
PLACES = [
    {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "radius_km": 60},
    {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "radius_km": 60},
]
NETWORKS: dict[str, dict[str, Any]] = {
    "slots": {"orbit": {"source": "slots"}, "link": {"preset": "paper"}},
    "orbit": {
        "start": "2026-08-22T00:00:00Z",
        "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
        "link": {"preset": "physical"},
    },
}
DAYS_A_ROUND = 0.4
"""What a round takes at most over the orbit: the plan shall not hold much more."""


def scenario(network: str, nodes: int, rounds: int, learning: dict[str, Any]) -> scenarios.Scenario:
    """Half of the nodes in each of two places."""
    said = NETWORKS[network]
    has_places = network != "slots"
    clusters = [
        {**(place if has_places else {"name": place["name"]}), "devices": nodes // 2}
        for place in PLACES
    ]
    stop = {"days": 1 + DAYS_A_ROUND * rounds} if has_places else {"cycles": 3 * rounds}
    rest = {"ground": {"clusters": clusters}, "compute": {"seconds_per_round": 1}, "stop": stop}
    return scenarios.from_dict({**said, **rest, "learning": learning})


def functions(network: str, nodes: int, rounds: int) -> scenarios.Scenario:
    """Rounds of the functions."""
    flown = {"method": "sim.fly.functions:Functions", "options": {"code": "idle_functions:train"}}
    found = scenario(network, nodes, rounds, flown)
    return found.model_copy(update={"stop": found.stop.model_copy(update={"rounds": rounds})})


def app(network: str, nodes: int, rounds: int) -> scenarios.Scenario:
    """Rounds of the app."""
    options = {
        "app": str(Path.cwd()),
        "server": "idle_app:server",
        "client": "idle_app:client",
        "timeout": "none",
        "config": {"rounds": rounds},
    }
    flown = {"method": "sim.fly.flower.method:Flower", "options": options}
    return scenario(network, nodes, rounds, flown)


def functions_alone(nodes: int, rounds: int) -> None:
    """Call the same functions in a loop."""
    code = import_module("idle_functions")
    weights = code.start(None)
    for number in range(rounds):
        updates = []
        for client in range(nodes):
            context = Context("", client, client, nodes, number + 1, 0)
            updates.append(code.train(weights, code.data(context), context)[0])
        weights = np.mean(updates, axis=0)


def app_alone(nodes: int, rounds: int) -> None:
    """Run the same app with a grid that calls its clients at once."""
    from flwr.app import Context as FlowerContext
    from flwr.app import Message, RecordDict

    from sim.fly.flower.grid import SimulatedGrid
    from sim.fly.flower.library import Stage

    code = import_module("idle_app")
    stage = Stage(3600.0)
    contexts = {node: FlowerContext(1, node, {}, RecordDict(), {}) for node in range(1, nodes + 1)}

    class Immediate(SimulatedGrid):
        """A grid without a network."""

        def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> list[Message]:
            replies = []
            for message in messages:
                message.metadata.__dict__["_message_id"] = "m"
                replies.append(code.client(message, contexts[message.metadata.dst_node_id]))
            return replies

    grid = Immediate(stage, list(contexts), patient=True)
    stage.begin(
        lambda: code.server(grid, FlowerContext(1, 0, {}, RecordDict(), {"rounds": rounds}))
    )
    stage.run(0.0)


FORMS = {"functions": (functions, functions_alone), "Flower": (app, app_alone)}


def measure(form: str, nodes: int) -> None:
    """Print what a message costs over each network, and in the reference."""
    make, alone = FORMS[form]
    rounds = max(2, min(40, MOST_MESSAGES // nodes // 2))
    messages = rounds * nodes
    plain_s, _ = timed(alone, nodes, rounds, clock=process_time)
    line = f"{form:<10}{nodes:>6}{messages:>10}{1000 * plain_s / messages:>9.3f} ms"
    for network in NETWORKS:
        sim.run(make(network, NODES[0], 2))  # which imports what there is
        run_s, result = timed(sim.run, make(network, nodes, rounds), clock=process_time)
        sent = int((result.transfers.toward == "server").sum())
        assert sent == messages, f"{sent} of {messages} messages"
        line += f"{1000 * run_s / messages:>9.2f} ms{run_s / plain_s:>6.0f} x"
    print(line, flush=True)


def main() -> None:
    """Print the table."""
    asked = [int(number) for number in sys.argv[1:]] or NODES
    os.environ["LEOMIX_ALLOW_CODE"] = "1"
    print(f"{'':<10}{'nodes':>6}{'messages':>10}{'by itself':>12}", end="")
    print("".join(f"{network:>12}{'':8}" for network in NETWORKS))
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        Path("idle_functions.py").write_text(FUNCTIONS)
        Path("idle_app.py").write_text(APP)
        Path("pyproject.toml").write_text(PROJECT)
        for form in FORMS:
            if form == "Flower" and find_spec("flwr") is None:
                print("Flower: needs the extra leomix[flower]")
                continue
            for nodes in asked:
                measure(form, nodes)


if __name__ == "__main__":
    main()
