"""Flower apps on the clock: weights of a plain loop, nodes, timeouts, errors, and replies known."""

import json
import os
import random
import re
import shutil
import sys
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
import yaml
from leomix.testing import check_method
from safetensors.numpy import load_file

from tests.kit.fly import calls
from tests.kit.processes import forget
from tests.kit.small import ORBIT, SLOTS

pytest.importorskip("flwr", reason="the extra leomix[flower] is not installed")

from flwr.app import Context, RecordDict
from flwr.serverapp import Grid

PROJECT = """
[project]
name = "{name}"
version = "1.0.0"
description = "an app of tests"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "tests"
[tool.flwr.app.components]
serverapp = "{name}.server_app:app"
clientapp = "{name}.client_app:app"
[tool.flwr.app.config]
rounds = 3
step = 0.1
"""
CLIENT = """
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

def data(node):
    rng = np.random.default_rng(node)
    x = rng.normal(size=(20 + node, 3))
    return x, x @ np.array([1.0, 2.0, 3.0])

@app.train()
def train(message: Message, context: Context):
    node = context.node_config["partition-id"]
    open("calls.txt", "a").write(f"{node} {message.content['config']['server-round']}\\n")
    seen = context.state.config_records.setdefault("seen", ConfigRecord({"calls": 0}))
    seen["calls"] += 1
    [w] = message.content["arrays"].to_numpy_ndarrays()
    x, y = data(node)
    w = w - context.run_config["step"] * x.T @ (x @ w - y) / len(y)
    metrics = {"num-examples": len(y), "calls": seen["calls"], "drawn": float(np.random.rand())}
    records = {"arrays": ArrayRecord([w]), "metrics": MetricRecord(metrics)}
    return Message(RecordDict(records), reply_to=message)

@app.evaluate()
def evaluate(message: Message, context: Context):
    [w] = message.content["arrays"].to_numpy_ndarrays()
    x, y = data(context.node_config["partition-id"])
    off = x @ w - y
    metrics = {"num-examples": len(y), "eval_loss": float((off**2).mean()),
               "eval_acc": float((abs(off) < 1).mean())}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
"""
SERVER = """
import numpy as np
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()

@app.main()
def main(grid: Grid, context: Context) -> None:
    FedAvg().start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(3)]),
        num_rounds=context.run_config["rounds"],
        evaluate_fn=lambda number, arrays: MetricRecord({"round": number}),
    )
"""
BASE = {key: SLOTS[key] for key in ("seed", "orbit", "ground", "link", "compute")}
NODES = 5
FOREVER = ("--set", "learning.options.timeout=none")


@pytest.fixture
def fly(place, leomix):
    """Write an app and a scenario, and fly it; what is imported from here is forgotten."""

    def call(server, client, *arguments, out="run", name="tiny", project=PROJECT, **changes):
        forget(place)
        app = place / "app" / name
        app.mkdir(parents=True, exist_ok=True)
        if project is not None:
            (app.parent / "pyproject.toml").write_text(project.format(name=name))
        (app / "__init__.py").write_text("")
        (app / "server_app.py").write_text(dedent(server))
        (app / "client_app.py").write_text(dedent(client))
        said = {**BASE, "stop": {"cycles": 20}, **changes}
        (place / "scene.yaml").write_text(yaml.safe_dump(said))
        return leomix("fly", "app", "-s", "scene.yaml", "--quiet", "-o", out, *arguments)

    return call


def averaged(rounds, step=0.1):
    """FedAvg of least squares, in a loop of its own; the last weights and the pooled loss."""
    shards = []
    for node in range(NODES):
        rng = np.random.default_rng(node)
        x = rng.normal(size=(20 + node, 3))
        shards.append((x, x @ np.array([1.0, 2.0, 3.0])))
    w = np.zeros(3)
    total = sum(len(y) for _, y in shards)
    for _ in range(rounds):
        each = [w - step * x.T @ (x @ w - y) / len(y) for x, y in shards]
        w = sum(len(y) / total * own for own, (_, y) in zip(each, shards, strict=True))
    return w, sum(((x @ w - y) ** 2).sum() for x, y in shards) / total


def manifest(out="run"):
    return json.loads(Path(out, "manifest.json").read_text())


def weights(out="run"):
    [found] = load_file(f"{out}/model/model.safetensors").values()
    return found


def assert_learnt(rounds=3, step=0.1):
    """The run has ended with the weights of the plain loop."""
    assert np.allclose(weights(), averaged(rounds, step)[0], atol=1e-12)


def table(name, out="run"):
    return pd.read_parquet(f"{out}/{name}.parquet")


def pooled(out="run"):
    """The rows of all clusters together."""
    metrics = table("metrics", out)
    return metrics[metrics.scope == "global"]


def test_an_app_learns_what_a_plain_loop_does_and_ends_the_run(fly):
    assert fly(SERVER, CLIENT, *FOREVER).status == 0
    assert_learnt()
    rows = pooled()
    assert rows.loss.iloc[-1] == pytest.approx(averaged(3)[1], rel=1e-12)
    assert rows.accuracy.iloc[-1] == rows.eval_acc.iloc[-1]
    assert rows.calls.iloc[-1] == 3  # kept in the context's state
    assert rows.server_round.iloc[-1] == 3
    ended = manifest()["ended_by_method"], manifest()["status"]
    assert ended == ("the ServerApp has ended", "complete")
    events = table("events")
    aggregates = events[events.kind == "aggregate"]
    assert aggregates.version.tolist() == [1, 2, 3]
    assert aggregates.detail.str.contains("devices:5/5").all()
    assert (events.kind == "train_end").sum() == 3 * NODES


def test_replies_are_known_in_another_network_and_after_an_interruption(fly):
    assert fly(SERVER, CLIENT, *FOREVER).status == 0
    assert len(calls()) == 3 * NODES
    slower = {"source": "slots", "slots": {"seconds": 900, "idle": 2}}
    assert fly(SERVER, CLIENT, *FOREVER, out="two", orbit=slower).status == 0
    assert calls() == []
    assert manifest("two")["simulated_s"] > manifest("run")["simulated_s"]
    assert np.array_equal(weights(), weights("two"))
    assert fly(SERVER, CLIENT, *FOREVER, "--no-cache", out="three").status == 0
    assert manifest("three")["trace_sha256"] == manifest("run")["trace_sha256"]
    assert fly(SERVER, CLIENT.replace("y) / len(y)", "y) / (1 + len(y))"), out="4").status == 0
    assert len(calls()) > 0


@pytest.mark.parametrize("late", [False, True])
def test_clients_whose_code_imports_what_was_edited_elsewhere_are_called_again(fly, late):
    shared = Path("shared/steps.py")
    shared.parent.mkdir()
    line = f"import sys; sys.path.insert(0, {str(shared.parent.resolve())!r}); import steps"
    known = "    node = context.node_config"
    client = CLIENT.replace(known, f"    {line}\n{known}", 1) if late else f"{line}\n{CLIENT}"
    client = client.replace("w = w - context.run_config", "w = w - steps.RATE * context.run_config")
    for rate, number in ((1, 3), (2, 3), (2, 0)):
        shared.write_text(f"RATE = {rate}\n")
        assert fly(SERVER, client, *FOREVER).status == 0
        assert_learnt(step=0.1 * rate)
        assert len(calls()) == NODES * number or late
        shutil.rmtree("run")


COUNTS = """
class Counted(FedAvg):
    def count(self, replies):
        replies = list(replies)
        open("counted.txt", "a").write(f"{len(replies)}\\n")
        return replies

    def aggregate_train(self, number, replies):
        return super().aggregate_train(number, self.count(replies))

    def aggregate_evaluate(self, number, replies):
        return super().aggregate_evaluate(number, self.count(replies))
"""


def test_timeouts_of_an_app_are_told_and_replies_that_it_gives_up_are_counted(fly):
    """A slot comes round after 1,800 s; counted as the app's own strategy counts what it gets."""
    server = SERVER.replace("app = ServerApp()", COUNTS + "app = ServerApp()")
    server = server.replace("FedAvg().start", "Counted().start")
    hasty = fly(server.replace("grid=grid,", "grid=grid, timeout=1000.0,"), CLIENT)
    assert "waits for replies for 17 min of simulated time" in hasty.err
    assert "messages that live for" not in hasty.err
    got = [int(line) for line in Path("counted.txt").read_text().split()]
    sent = len(got) * NODES
    assert 0 < sum(got) < sent
    counts = {"messages": sent, "replies": sum(got), "replies_lost": sent - sum(got)}
    assert manifest()["counts"] == counts
    [said, *_] = [one for one in manifest()["said"] if one["code"] == "lost_replies"]
    assert said["remedies"][0]["set"] == {"learning.options.timeout": "none"}  # as FOREVER does
    assert fly(server, CLIENT, *FOREVER, out="patient").err == ""
    assert manifest("patient")["counts"]["replies_lost"] == 0
    assert manifest("patient")["warnings"] == []


POLLS = """
import time
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()

@app.main()
def main(grid, context):
    records = {"arrays": ArrayRecord([np.zeros(3)]), "config": ConfigRecord({"server-round": 0})}
    asked = [Message(RecordDict(records), node, "train", ttl=LIVES) for node in grid.get_node_ids()]
    began_s, waiting, seen = time.time(), set(grid.push_messages(asked)), []
    while waiting:
        for reply in grid.pull_messages(waiting):
            waiting.discard(reply.metadata.reply_to_message_id)
            seen.append((time.time() - began_s, reply.has_error()))
        SLEEP
    open("seen.txt", "w").write(repr(seen))
"""


@pytest.mark.parametrize("sleep", ["time.sleep(7)", "pass"])
def test_an_app_that_polls_lives_in_simulated_time(fly, sleep):
    polls = POLLS.replace("LIVES", "None").replace("SLEEP", sleep)
    assert fly(polls, CLIENT, *FOREVER).status == 0
    seen = eval(Path("seen.txt").read_text())
    assert [failed for _, failed in seen] == [False] * NODES
    ups = table("transfers").query("toward == 'server'").end_s
    late = [when - up for (when, _), up in zip(seen, sorted(ups), strict=True)]
    assert all(-1e-5 <= one <= 7 for one in late)
    if sleep == "pass":
        assert max(late) < 1e-5


def test_messages_expire_after_their_time_to_live(fly):
    """The second cluster's slot begins after 600 s."""
    polls = POLLS.replace("LIVES", "500.0").replace("SLEEP", "time.sleep(1)")
    outcome = fly(polls, CLIENT)
    assert "messages that live for 8 min of simulated time" in outcome.err
    seen = eval(Path("seen.txt").read_text())
    assert sorted(failed for _, failed in seen) == [False] * 2 + [True] * 3
    assert [when for when, failed in seen if failed] == pytest.approx([500.0] * 3, abs=1.01)


def test_a_device_that_a_pass_does_not_reach_waits_for_the_next_one(fly):
    """The satellite rises above the mask for its cluster's centre, and not for all devices."""
    north = {**ORBIT["ground"]["clusters"][0], "devices": NODES}
    over = {key: ORBIT[key] for key in ("start", "orbit", "link")}
    over |= {"seed": 0, "ground": {"clusters": [north]}, "stop": {"days": 8}}
    one = ("--set", "learning.options.config.rounds=1")
    sleeps = SERVER.replace("    FedAvg()", f"    time.sleep({6.4 * 86400})\n    FedAvg()")
    outcome = fly("import time\n" + sleeps, CLIENT, *FOREVER, *one, "--max-wall", "20", **over)
    assert outcome.status == 0, outcome.err
    passes = table("contacts")
    low = passes[passes.rise_s > 6.4 * 86400].iloc[0]
    assert 10 < low.max_elevation_deg < 11
    downs = table("transfers").query("toward != 'server'")
    first_s = downs.groupby("device").start_s.min()
    assert first_s.min() < low.set_s < first_s.max()


def test_errors_of_clients_are_counted_and_shown_and_the_others_go_on(fly):
    """A client that has failed is called again in the next run."""
    wants = CLIENT.replace("    x, y = data(node)", "    WANTS\n    x, y = data(node)", 1)
    wants = wants.replace("WANTS", "node == 3 and open('data.txt')")
    assert fly(SERVER, wants, *FOREVER).status == 0
    [shown] = [one["sentence"] for one in manifest()["checks"] if one["code"] == "faults"]
    fails = r"3 faults: train of a client fails: .*'data.txt' \(client_app.py:\d+\)"
    assert re.fullmatch(fails, shown)
    Path("data.txt").write_text("")
    calls()
    assert fly(SERVER, wants, *FOREVER, out="mended").status == 0
    assert "3 1" in calls()


CLASSIC_SERVER = """
import numpy as np
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg

def mean(metrics):
    total = sum(number for number, _ in metrics)
    return {"acc": sum(number * own["acc"] for number, own in metrics) / total}

def server_fn(context):
    start = ndarrays_to_parameters([np.zeros(3)])
    strategy = FedAvg(
        initial_parameters=start,
        evaluate_metrics_aggregation_fn=mean,
        evaluate_fn=lambda number, arrays, config: (0.5, {"round": number}) LEAST
    )
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=3))

app = ServerApp(server_fn=server_fn)
"""
CLASSIC_CLIENT = """
import numpy as np
from flwr.client import ClientApp, NumPyClient

class Client(NumPyClient):
    def __init__(self, node, step):
        rng = np.random.default_rng(node)
        self.x = rng.normal(size=(20 + node, 3))
        self.y = self.x @ np.array([1.0, 2.0, 3.0])
        self.step = step

    def fit(self, parameters, config):
        [w] = parameters
        w = w - self.step * self.x.T @ (self.x @ w - self.y) / len(self.y)
        np.save(f"w{len(self.y)}.npy", w)
        return [w], len(self.y), {}

    def evaluate(self, parameters, config):
        off = self.x @ parameters[0] - self.y
        np.save("last.npy", parameters[0])
        return float((off**2).mean()), len(self.y), {"acc": float((abs(off) < 1).mean())}

def client_fn(context):
    return Client(context.node_config["partition-id"], context.run_config["step"]).to_client()

app = ClientApp(client_fn=client_fn)
"""


def test_an_app_of_the_classic_strategies_learns_what_a_plain_loop_does(fly):
    assert fly(CLASSIC_SERVER.replace("LEAST", ""), CLASSIC_CLIENT, *FOREVER).status == 0
    assert_learnt()
    assert np.array_equal(weights(), np.load("last.npy"))
    last = pooled().iloc[-1]
    assert last.loss == pytest.approx(averaged(3)[1], rel=1e-6)
    assert last.accuracy == last.acc
    assert (last.server_loss, last.server_round) == (0.5, 3)
    events = table("events")
    made = events[events.kind == "aggregate"].detail.tolist()
    assert made == ["replies devices:5/5 clusters:2/2"] * 3
    assert manifest()["ended_by_method"] == "the ServerApp has ended"


TWO_STEPS = CLIENT.replace(
    "    w = w - context.run_config",
    """    start = w
    mu = message.content["config"].get("proximal-mu", 0.0)
    w = w - context.run_config["step"] * x.T @ (x @ w - y) / len(y)
    w = w - mu * (w - start) - context.run_config""",
)
STRATEGIES = {
    "FedProx(proximal_mu=0.3)": "",
    "FedAdam(eta=0.05)": "",
    "MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2)": "",
    "DifferentialPrivacyServerSideAdaptiveClipping(FedAvg(), 0.1, 5)": "",
    "DifferentialPrivacyClientSideAdaptiveClipping(FedAvg(), 0.1, 5)": "adaptiveclipping_mod",
}


class AtOnce(Grid):
    """Answers each message at once, from the same clients."""

    def __init__(self, client):
        self.client = client
        self.contexts = {
            node: Context(1, node, {"partition-id": node - 2}, RecordDict(), {"step": 0.1})
            for node in range(2, 2 + NODES)
        }

    def get_node_ids(self):
        return list(self.contexts)

    def send_and_receive(self, messages, *, timeout=None):
        return [self.answer(deepcopy(message)) for message in messages]

    def answer(self, message):
        kept = np.random.get_state()
        reply = self.client(message, self.contexts[message.metadata.dst_node_id])
        np.random.set_state(kept)
        return reply

    run = set_run = create_message = push_messages = pull_messages = None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_of_flower_learn_what_they_do_without_a_network(fly, strategy):
    server = SERVER.replace("import FedAvg\n", "import *\n").replace("FedAvg()", strategy, 1)
    kept = '"saved": np.save("last.npy", *arrays.to_numpy_ndarrays()) or 0'
    server = server.replace('{"round": number}', f'{{"round": number, {kept}}}')
    mod = STRATEGIES[strategy]
    client = TWO_STEPS.replace("ClientApp()\n", f"ClientApp(mods=[{mod}])\n")
    client = client.replace(
        "import ClientApp\n", "import ClientApp\nfrom flwr.clientapp.mod import *\n"
    )
    assert fly(server, client, *FOREVER).status == 0
    random.seed(BASE["seed"])
    np.random.seed(BASE["seed"])
    config = Context(1, 0, {}, RecordDict(), {"rounds": 3})
    import_module("tiny.server_app").app(AtOnce(import_module("tiny.client_app").app), config)
    assert np.array_equal(weights(), np.load("last.npy"))


OWN_START = """
class Own(FedAvg):
    def start(self, grid, initial_arrays, evaluate_fn=None, num_rounds=1):
        assert not any(node == 1 for node in grid.get_node_ids())  # as which the server is known
        evaluate_fn(7, initial_arrays)
        super().start(grid, initial_arrays, num_rounds)
        return Result(arrays=initial_arrays)

"""


def test_a_strategy_of_the_app_may_start_in_its_own_way(fly):
    imported = "import FedAvg, Result\n" + OWN_START
    own = SERVER.replace("import FedAvg\n", imported).replace("FedAvg().start(", "Own().start(")
    assert fly(own.replace("np.zeros(3)", "np.ones(3)"), CLIENT).status == 0
    assert weights().tolist() == [1, 1, 1]


WORKFLOW_SERVER = """
import numpy as np
from flwr.common import ndarrays_to_parameters
from flwr.server import LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow

app = ServerApp()

@app.main()
def main(grid, context):
    strategy = FedAvg(
        initial_parameters=ndarrays_to_parameters([np.zeros(3)]),
        evaluate_fn=lambda number, arrays, config: (0.5, {"round": number}),
    )
    context = LegacyContext(context, config=ServerConfig(num_rounds=3), strategy=strategy)
    DefaultWorkflow(fit_workflow=SecAggPlusWorkflow(
        num_shares=3, reconstruction_threshold=2, quantization_range=2**22,
        modulus_range=2**32, max_weight=100.0))(grid, context)
"""


def test_weights_of_secure_aggregation_are_those_of_a_plain_loop(fly):
    masked = CLASSIC_CLIENT.replace("(client_fn=client_fn)", "(client_fn=client_fn, mods=[secagg])")
    masked = "from flwr.client.mod import secaggplus_mod as secagg\n" + masked
    assert fly(WORKFLOW_SERVER, masked, *FOREVER).status == 0
    assert weights() == pytest.approx(averaged(rounds=3)[0], abs=1e-3)  # numbers are rounded
    last = pooled().iloc[-1]
    assert (last.server_loss, last.server_round) == (0.5, 3)


NO_SERVER = PROJECT.replace('serverapp = "{name}.server_app:app"\n', "")


def asking(line):
    """A server that does something before it starts."""
    return SERVER.replace("    FedAvg()", f"    {line}\n    FedAvg()"), CLIENT


def training(line):
    """Clients that do something before they train."""
    return SERVER, CLIENT.replace("    x, y = data(node)", f"    {line}", 1)


BAD = {
    "is no Flower app": (SERVER, CLIENT, NO_SERVER),
    "is no Flower app: FileNotFoundError": (SERVER, CLIENT, None),
    "tiny.server_app:application cannot be loaded": (
        SERVER,
        CLIENT,
        PROJECT.replace("server_app:app", "server_app:application"),
    ),
    "cannot import name 'Gird' from 'flwr.serverapp'": (
        SERVER.replace("import Grid", "import Gird"),
        CLIENT,
    ),
    "cannot be loaded: SystemExit: 3 (client_app.py:": (SERVER, "raise SystemExit(3)\n" + CLIENT),
    "waits for more nodes than the 5 that the scenario has": (
        SERVER.replace("FedAvg()", "FedAvg(min_available_nodes=7)"),
        CLIENT,
    ),
    "more nodes than the 5 that the scenario has (it waits for 9 nodes)": (
        CLASSIC_SERVER.replace("LEAST", ", min_available_clients=9"),
        CLASSIC_CLIENT,
    ),
    "the ServerApp fails: ZeroDivisionError: division by zero (server_app.py:": asking("1 / 0"),
    "the ServerApp waits, and has sent no message": asking(
        "while True: __import__('time').sleep(1)"
    ),
    "the ServerApp did not wait in simulated time, or end, within 0.5 s": asking(
        "while True: pass"
    ),
    "the ClientApp did not return within 0.5 s (node": training("while True: pass"),
    "no client that was tried answers: ConnectionError: cannot reach the hub (client_app.py:": (
        training("raise ConnectionError('cannot reach the hub')")
    ),
    "no client that was tried answers: ModuleNotFoundError: No module named 'torchvisian'": (
        training("import torchvisian")
    ),
    "replies to train with num-examples nan, which is no number of samples; let it": (
        SERVER,
        CLIENT.replace('"num-examples": len(y)', "\"num-examples\": float('nan')", 1),
    ),
    "replies to train with share -0.5, which is no number of samples; let it give how many": (
        SERVER.replace("FedAvg()", 'FedAvg(weighted_by_key="share")'),
        CLIENT.replace('"calls": seen', '"share": -0.5, "calls": seen'),
    ),
}
REMEDIES = {
    "import name 'Gird'": "the app is for another version of flwr than 1.4",
    "ConnectionError": "get the data that the app wants to download before",
    "answers: ModuleNotFoundError": "install what the app needs: pip install -e ",
}


@pytest.mark.parametrize("says", BAD)
def test_apps_that_cannot_fly_are_told_in_one_line(fly, says):
    server, client, project = (*BAD[says], PROJECT)[:3]
    limit = ("--set", "learning.options.call_limit_s=0.5") if "within 0.5 s" in says else ()
    outcome = fly(server, client, *limit, project=project)
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1), outcome.err
    assert says in outcome.err
    assert all(cure in outcome.err for kind, cure in REMEDIES.items() if kind in says)
    assert not Path("run").exists()


def test_what_knows_nothing_of_simulated_time_is_named(fly):
    late = "import datetime\nBEGAN = datetime.datetime.now()\n" + CLIENT
    outcome = fly(SERVER, late, *FOREVER)
    assert outcome.status == 0
    assert "client_app.py:2: datetime.datetime.now takes the time of day" in outcome.err


ONCE = """    from datetime import datetime
    from pathlib import Path
    Path("made").mkdir()
    STARTED.append(1)
    open("started.txt", "a").write(f"{len(STARTED)} ")
    FedAvg().start("""


def test_the_server_starts_once_and_sleeps_before_it_sends(fly):
    """It makes a folder that may not be there; that of the rehearsal is that of the run."""
    once = SERVER.replace("app = ServerApp()", "import time\n\nSTARTED = []\napp = ServerApp()")
    once = once.replace("    FedAvg().start(", f"    time.sleep(500)\n{ONCE}")
    outcome = fly(once, CLIENT, *FOREVER)
    assert outcome.status == 0, outcome.err
    assert Path("started.txt").read_text() == "1 "
    assert len(calls()) == 3 * NODES
    assert_learnt()
    assert table("transfers").query("toward != 'server'").start_s.min() >= 500
    again = fly(once, CLIENT, *FOREVER, out="again")
    assert (again.status, len(again.err.splitlines())) == (2, 1)
    assert "FileExistsError" in again.err and "download" not in again.err


MEASURES = (
    CLIENT.replace(
        '"num-examples": len(y), "calls"', '"num-examples": 1 + 9 * (node == 4), "calls"'
    )
    .replace('"eval_acc": float((abs(off) < 1).mean())', '"eval_acc": node / 10, **OWN[node]')
    .replace(
        '    x, y = data(context.node_config["partition-id"])',
        '    node = context.node_config["partition-id"]\n    x, y = data(node)',
    )
)
WEIGHTS = [20, 21, 22, 23, 24]


def measures(own=({},) * NODES):
    """An app of which clients measure what is their ``own``."""
    return f"OWN = {list(own)}\n{MEASURES}"


def last():
    """The last row of all clusters, and of each."""
    row = table("metrics").dropna(subset="calls").groupby("cluster", dropna=False).last()
    return [row.loc[name] for name in (np.nan, "A", "B")]


LOOKS_AT_NONE = """
class Own(FedAvg):
    def aggregate_evaluate(self, number, replies):
        return None

"""


def test_figures_weigh_by_their_own_replies_and_over_those_that_have_them(fly):
    """Node 4 trains on ten times the examples of the others; some do not measure the area."""
    own = [{}, {"auc": 0.5}, {"auc": 0.8}, {}, {}]
    server = SERVER.replace("app = ServerApp()", LOOKS_AT_NONE + "app = ServerApp()")
    assert fly(server.replace(" FedAvg()", " Own()"), measures(own), *FOREVER).status == 0
    whole, a, b = last()
    assert whole.accuracy == pytest.approx(np.average(range(NODES), weights=WEIGHTS) / 10)
    assert (a.auc, b.auc) == (0.5, 0.8)
    assert whole.auc == pytest.approx((21 * 0.5 + 22 * 0.8) / 43)
    assert b.drawn != pytest.approx(whole.drawn)
    assert whole.drawn == pytest.approx((2 * a.drawn + 12 * b.drawn) / 14)
    assert (a.samples, b.samples, whole.samples) == (41, 69, 110)


def test_figures_weigh_by_the_metric_that_the_strategy_names(fly):
    weighs = [{"weight": w} for w in (0.0, 3.0, 1.0, 0.0, 0.0)]
    server = SERVER.replace("FedAvg()", 'FedAvg(weighted_by_key="weight")')
    client = measures(weighs).replace('"calls": seen', '"weight": node + 1.0, "calls": seen')
    assert fly(server, client, *FOREVER).status == 0
    whole, a, b = last()
    assert "weight" not in whole
    assert whole.accuracy == pytest.approx((3 * 0.1 + 1 * 0.2) / 4)
    assert (a.accuracy, b.accuracy) == pytest.approx((0.1, 0.2))


def test_an_accuracy_in_per_cent_is_none_and_ends_no_run(fly, leomix):
    """It has its own column; what is no share has reached no target, and is no reason to stop."""
    client = measures([{"accuracy": 20.0 * node + NODES} for node in range(NODES)])
    stop = {"cycles": 20, "accuracy": 0.5}
    done = fly(SERVER, client, *FOREVER, stop=stop, learning={"targets": [0.4, 0.8]})
    assert done.status == 0, done.err
    whole = last()[0]
    assert np.isnan(whole.accuracy)
    assert whole.client_accuracy == pytest.approx(
        5 + 20 * np.average(range(NODES), weights=WEIGHTS)
    )
    assert manifest()["ended_by_method"] == "the ServerApp has ended"
    assert done.err.count("of the app") == 1
    assert "the metric 'accuracy' of the app is 85, and an accuracy is a share from 0" in done.err
    assert "reached 0.40" not in leomix("show", "run", "--all").out


NAMES = {
    "inaccuracy": False,
    "Test-Accuracy": True,
    "balanced_accuracy": True,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_accuracy_is_what_its_last_word_calls_so(fly, name):
    client = measures().replace('"eval_acc"', f'"{name}"')
    assert fly(SERVER, client, *FOREVER).status == 0
    whole = last()[0]
    assert whole[name] == pytest.approx(np.average(range(NODES), weights=WEIGHTS) / 10)
    assert np.isnan(whole.accuracy) != NAMES[name]


SOME = """
class Some(FedAvg):
    def configure_evaluate(self, *values):
        return list(super().configure_evaluate(*values))[FIRST : FIRST + 2]

    def aggregate_evaluate(self, number, replies):
        replies = list(replies)
        found = super().aggregate_evaluate(number, replies)
        samples = sum(reply.content["metrics"]["num-examples"] for reply in replies)
        print(found["eval_acc"], samples, file=open("pooled.txt", "a"))
        return found

"""


def test_replies_of_one_round_are_pooled_as_the_strategy_does(fly):
    """In each round two other nodes evaluate."""
    server = SERVER.replace("app = ServerApp()", SOME + "app = ServerApp()")
    server = server.replace(" FedAvg()", " Some()").replace("FIRST", "values[0]")
    assert fly(server, measures(), *FOREVER).status == 0
    rows = pooled().dropna(subset="accuracy")
    rounds = np.loadtxt("pooled.txt")
    assert list(dict.fromkeys(rows.accuracy)) == pytest.approx(rounds[:, 0])
    assert list(dict.fromkeys(rows.samples)) == rounds[:, 1].tolist()
    assert last()[0].calls == 3  # of all nodes: figures of training stay those of its own round


def test_a_metric_with_the_name_of_a_column_has_one_of_its_own(fly):
    names = ["samples", "version", "time_s", "cluster"]
    outcome = fly(SERVER, measures([dict.fromkeys([*names, "loss"], 0.25)] * NODES), *FOREVER)
    assert outcome.status == 0, outcome.err
    whole = last()[0]
    assert (whole.loss, "client_loss" in whole) == (0.25, False)
    for name in names:
        assert whole[f"client_{name}"] == 0.25
        assert f"the metric '{name}' of the app is in the column client_{name}" in outcome.err


def test_updates_that_are_not_finite_are_refused(fly):
    spoilt = CLIENT.replace("ArrayRecord([w])", "ArrayRecord([w * (np.nan if node == 3 else 1)])")
    outcome = fly(SERVER, spoilt, *FOREVER)
    assert outcome.status == 0
    assert np.isfinite(weights()).all() and weights().any()
    assert (table("events").kind == "drop").sum() == 3
    assert "3 updates were not finite, and refused by the server" in outcome.out
    first = fly(SERVER, spoilt.replace("node == 3", "True"), *FOREVER, out="first")
    assert "the first client returns arrays with numbers that are not finite" in first.err


STOPS = """
class Stops(FedAvg):
    def aggregate_evaluate(self, number, replies):
        if number == 2:
            raise SystemExit
        return super().aggregate_evaluate(number, replies)

"""


def test_a_strategy_that_stops_by_an_error_leaves_what_it_sent_last(fly):
    server = SERVER.replace("app = ServerApp()", STOPS + "app = ServerApp()")
    done = fly(server.replace(" FedAvg()", " Stops()"), CLIENT, *FOREVER)
    assert done.status == 0, done.err
    assert_learnt(rounds=2)
    assert "the strategy ended by an error (SystemExit" in done.err
    assert "the run keeps the arrays that it sent last" in done.err


def test_nested_keys_of_the_configuration_are_set(fly):
    nested = PROJECT + "net.width = 3\nnet.deep.alpha = 0.25\n"
    reads = SERVER.replace(
        "    FedAvg()",
        "    open('config.txt', 'w').write(repr(dict(context.run_config)))\n    FedAvg()",
    )
    wide = ("--set", "learning.options.config.net.width=7")
    assert fly(reads, CLIENT, *FOREVER, *wide, project=nested).status == 0
    said = eval(Path("config.txt").read_text())
    assert (said["net.width"], said["net.deep.alpha"]) == (7, 0.25)
    wrong = fly(
        reads, CLIENT, "--set", "learning.options.config.net.depth=7", out="no", project=nested
    )
    assert (wrong.status, len(wrong.err.splitlines())) == (2, 1)
    assert "'net.depth'" in wrong.err and "rounds, step, net.width" in wrong.err


def test_a_server_that_exits_without_an_error_is_done(fly):
    ends = SERVER.replace("import numpy", "import sys\nimport numpy") + "    sys.exit()\n"
    assert fly(ends, CLIENT, *FOREVER).status == 0
    assert manifest()["ended_by_method"] == "the ServerApp has ended"


def test_files_that_are_not_of_the_app_are_not_read(fly):
    """Nor are they in the key of a reply, but for those that may be the app's."""
    app = Path("app")
    for name in ("template.py", "old/two.py", ".venv/lib/new.py", "env/lib/new.py"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(app / "pipe.py")
    (app / "template.py").write_text("def {{ name }}():")
    (app / "old" / "two.py").write_bytes(b"print 1\0")
    (app / "env" / "pyvenv.cfg").write_text("")
    (app / ".venv" / "lib" / "new.py").write_text("import datetime; datetime.datetime.now()")
    assert fly(SERVER, CLIENT, *FOREVER).status == 0
    assert len(calls()) == 3 * NODES
    for place in (".venv", "env"):
        (app / place / "lib" / "new.py").write_text("changed = True")
    again = fly(SERVER, CLIENT, *FOREVER, out="again")
    assert (again.status, again.err, calls()) == (0, "", [])


def test_an_app_is_repeated_and_resumed_to_the_bit(fly):
    assert fly(SERVER, CLIENT, *FOREVER).status == 0
    named = {"app": str(Path("app").resolve()), "timeout": "none"}
    findings = check_method("sim.fly.flower.method:Flower", named)
    outcomes = {finding.name: finding.outcome for finding in findings}
    assert "failed" not in outcomes.values()
    for name in ("a run is repeated to the bit", "a resumed run is the uninterrupted one"):
        assert outcomes[name] == "ok"


@pytest.mark.process
def test_points_of_an_app_share_a_process_and_the_folder_that_it_writes_into(
    fly, leomix, monkeypatch
):
    """One worker runs both; what has been edited is run anew."""
    monkeypatch.setenv("LEOMIX_ALLOW_CODE", "1")
    server = SERVER + "    np.savez('final.npz', 1)\n"
    assert fly(server, CLIENT, *FOREVER, "--save", "saved.yaml").status == 0
    monkeypatch.setattr(sys, "path", [one for one in sys.path if not one.endswith("/app")])
    varied = ("-p", "learning.options.config.step=0.1,0.2", "-j", "1", "--quiet", "-o", "swept")
    swept = leomix("sweep", "saved.yaml", *varied)
    assert swept.status == 0, swept.err
    [said] = [line for line in swept.err.splitlines() if "overwrite" in line]
    assert "client_app.py:16 open" in said and "server_app.py:17 np.savez" in said
    assert len(list(Path("swept/points").iterdir())) == 2
    client = Path("app/tiny/client_app.py")
    client.write_text(client.read_text().replace("y) / len(y)", "y) / (1 + len(y))"))
    assert leomix("sweep", "saved.yaml", *varied, "--resume").status == 0
    assert len(list(Path("swept/points").iterdir())) == 4


@pytest.mark.parametrize(("clients", "nodes"), [("satellites", 20), ("planes", 2)])
def test_satellites_or_planes_are_nodes_and_stations_the_server(fly, leomix, clients, nodes):
    assert fly(SERVER, CLIENT, "--save", "unused.yaml").status == 0  # which writes the app
    few = ("--set", "orbit.use.planes=2", "--set", "stop.days=0.5")
    roles = ("--set", f"roles.clients={clients}", "--quiet", "-o", "run")
    outcome = leomix("fly", "app", "-s", "flystack", *FOREVER, *few, *roles)
    assert outcome.status == 0, outcome.err
    transfers = table("transfers")
    assert transfers.cluster.nunique() == nodes
    up = transfers[transfers.toward == "server"]
    assert set(up.direction) == {"downlink"}
    assert (up.outcome == "delivered").sum() == 3 * 2 * nodes  # rounds of training and evaluation
