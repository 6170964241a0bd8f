"""`leomix fly` with plain functions: the same times as fedavg, the same weights as a plain loop."""

import json
import os
import subprocess
import sys
from configparser import ConfigParser
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from leomix.testing import check_method
from safetensors.numpy import load_file

import scenarios
import sim
from learning.data import load_samples
from tests.docs.pages import ROOT
from tests.kit.fly import SOFTMAX, calls
from tests.kit.inner.learning import writing
from tests.kit.inner.sim import arrays_of, check_project, learner_of, mean
from tests.kit.processes import forget
from tests.kit.small import NEAR, ORBIT, SLOTS

BASE = {key: SLOTS[key] for key in ("seed", "stop", "orbit", "ground", "link", "compute")}


@pytest.fixture
def fly(place, leomix):
    """Write a file of functions and a scenario, and fly it: an outcome of the command."""

    def call(code, *arguments, out="run", **changes):
        (place / "softmax.py").write_text(code)
        (place / "scene.yaml").write_text(yaml.safe_dump({**BASE, **changes}))
        return leomix("fly", "softmax.py", "-s", "scene.yaml", "--quiet", "-o", out, *arguments)

    return call


PLAIN = {"method": "fedavg", "model": {"kind": "vector-mlp"}}


def averaged(shards, rounds):
    """FedAvg of softmax regression, in a loop of its own."""
    w, b = np.zeros((64, 10)), np.zeros(10)
    for _ in range(rounds):
        new = zip(*(step_of((w, b), x, y) for x, y in shards), strict=True)
        w, b = (np.average(each, axis=0, weights=[len(y) for _, y in shards]) for each in new)
    return w, b


def weights(out="run"):
    return load_file(f"{out}/model/model.safetensors")


def metrics(out="run"):
    return pd.read_parquet(f"{out}/metrics.parquet")


def manifest(out="run"):
    return json.loads(Path(f"{out}/manifest.json").read_text())


def samples():
    """What functions without data of their own learn from."""
    return load_samples(learner_of(scenarios.from_dict({**BASE, "learning": PLAIN})).config)


def assert_near(found, w, b):
    assert np.allclose(found["w"], w, atol=1e-12)
    assert np.allclose(found["b[0]"], b, atol=1e-12)


def test_weights_are_those_of_a_plain_loop_over_the_same_data(fly):
    assert fly(SOFTMAX).status == 0
    given = samples()
    shards = [(part.x, part.y) for own in given.shards.values() for part in own]
    assert len(shards) == 5
    w, b = averaged(shards, rounds=3)
    assert_near(weights(), w, b)
    pooled = metrics()[metrics().scope == "global"]
    assert pooled.version.tolist() == [0, 1, 2, 3]
    tests = [given.test[name] for name in ("A", "B")]
    right = [((own.x @ w + b).argmax(axis=1) == own.y) for own in tests]
    assert pooled.accuracy.iloc[-1] == pytest.approx(np.concatenate(right).mean())
    assert pooled["first"].iloc[0] == pytest.approx(0.1)


def step_of(weights, x, y):
    """A step of softmax regression by hand, from weights w and b."""
    w, b = weights
    z = x.astype(float) @ w + b
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) - np.eye(10)[y]
    return w - 0.5 * x.T @ p / len(y), b - 0.5 * p.mean(axis=0)


@pytest.mark.parametrize(
    ("method", "said", "counts"),
    [
        ("Functions", {"aggregation": {"when": "quorum", "quorum": 0.5}}, {1.0}),
        ("SelectedFunctions", {"options.agent": "random"}, None),
        ("BufferedFunctions", {}, None),
    ],
)
def test_functions_go_by_quorum_deadline_choice_and_buffer(fly, method, said, counts):
    """The server adds the changes of its table of updates, each from the version it began with."""
    sets = {"method": f"sim.fly.functions:{method}", **said}
    pairs = [f"learning.{key}={json.dumps(value)}" for key, value in sets.items()]
    outcome = fly(
        SOFTMAX, *(part for pair in pairs for part in ("--set", pair)), stop={"cycles": 6}
    )
    assert outcome.status in (0, 4), outcome.err
    shards = samples().shards
    updates = pd.read_parquet("run/updates.parquet")
    models = [(np.zeros((64, 10)), np.zeros(10))]
    for version, used in updates.groupby("version_server"):
        assert version == len(models) - 1
        w, b = models[-1]
        for row in used.itertuples():
            part = shards[row.cluster][row.device]
            base = models[row.version_base]
            new = step_of(base, part.x, part.y)
            w, b = w + row.weight * (new[0] - base[0]), b + row.weight * (new[1] - base[1])
        models.append((w, b))
    assert len(models) > 2
    assert counts is None or set(updates.groupby("version_server").weight.sum().round(9)) == counts
    assert_near(weights(), *models[-1])


OF_SIZE = """
import numpy as np

def start(context):
    return np.zeros(context.config["size"], np.uint8)

def train(weights, data, context):
    return weights, len(data[1])

def evaluate(weights, data, context):
    return 0.5
"""


@pytest.mark.parametrize("ground", [ORBIT["ground"], {"clusters": NEAR}], ids=["orbit", "near"])
def test_times_and_bytes_are_those_of_fedavg_with_as_many_bytes(fly, ground):
    """Over passes that cut what is sent, and where clusters share one."""
    said = {key: ORBIT[key] for key in ("orbit", "link", "start", "stop")} | {"ground": ground}
    said["link"] = {**said["link"], "uplink": {"bandwidth_mhz": 0.003}}
    scenario = scenarios.from_dict({**BASE, **said, "learning": {**PLAIN, "train": False}})
    size = learner_of(scenario).architecture.upload_bytes([], gate=True)
    wanted = sim.run(scenario)
    done = fly(OF_SIZE, "--set", f"learning.options.config.size={size:.0f}", **said)
    assert done.status in (0, 4), done.err
    rows = ["cluster", "device", "toward", "payload_bytes", "delivered_bytes", "start_s", "end_s"]
    rows += ["outcome"]
    found = pd.read_parquet("run/transfers.parquet")
    assert len(found) > 10
    assert found[rows].to_dict("list") == wanted.transfers[rows].to_dict("list")
    events = pd.read_parquet("run/events.parquet")
    ends, ended = (e[e.kind == "aggregate"].time_s.tolist() for e in (events, wanted.events))
    assert ends == ended != []


def test_another_network_calls_nobody_again(fly):
    assert fly(SOFTMAX, out="one").status == 0
    assert len(calls()) == 1 + 5 * 3  # each device in each round, the first of them twice
    slower = {"slots": {"seconds": 900}, "source": "slots"}
    assert fly(SOFTMAX, out="two", orbit=slower).status == 0
    assert calls() == []
    assert np.array_equal(weights("one")["w"], weights("two")["w"])
    assert (manifest("two")["trainings"], manifest("two")["cache"]["replies_kept"]) == (0, 0)
    del sys.modules["softmax"]
    assert fly(SOFTMAX.replace("0.5 *", "0.4 *"), out="three").status == 0
    assert len(calls()) == 1 + 5 * 3


USES = """
import numpy as np
{outside}

def start(context):
    return np.zeros(4)

def data(context):
    return np.arange(8.0).reshape(2, 4) + context.client

def test_data(context):
    return np.ones((2, 4))

def train(weights, data, context):
    {inside}
    return step(weights, data), 2

def evaluate(weights, data, context):
    return {{"loss": float(weights.sum())}}
"""
NO_COPY = """
class Unlike:
    def __init__(self, x):
        self.x = x
    def __array__(self, *_, **__):
        raise TypeError("no array")
    def __deepcopy__(self, _):
        raise TypeError("no copy")
"""
HELD = {
    "dict": ("", "dict(x={})", "data['x']"),
    "tensor": ("from torch import from_numpy as T", "T({})", "data.numpy()"),
    "object": (NO_COPY, "Unlike({})", "data.x"),
}
"""What makes data of arrays, and gives the array back."""


@pytest.mark.parametrize("held", HELD)
def test_data_that_a_function_changes_are_those_of_the_next_call_unchanged(fly, place, held):
    outside, holds, taken = HELD[held]
    inside = f"data = {taken}; data *= 0.5; step = lambda w, x: w + x.mean(0)"
    code = USES.format(outside=outside, inside=inside)
    for made in ("np.arange(8.0).reshape(2, 4) + context.client", "np.ones((2, 4))"):
        code = code.replace(made, holds.format(made))
    code = code.replace("float(weights.sum())", f"float({taken}.sum())")
    code = code.replace('    return {"loss"', f'    x = {taken}; x += 1\n    return {{"loss"')
    clients = np.arange(5.0)  # of equal weight, each with the mean of its own rows
    wanted = (np.arange(8.0).reshape(2, 4).mean(0) + clients.mean()) / 2
    assert fly(code).status == 0
    rounds = pd.read_parquet("run/events.parquet").query("kind == 'aggregate'").shape[0]
    assert rounds > 1 and np.allclose(weights()["weights"], rounds * wanted, atol=1e-12)
    assert metrics().loss.unique().tolist() == [16.0]  # 2 x 4 ones, and one added to each


COMMON = "import sys; sys.path.insert(0, FOLDER)"
IMPORTED = {
    "edited package": ("lab/edited", "from edited.steps import step", "pass"),
    "late path": ("common/steps", "", f"{COMMON}; from steps import step"),
    "name": (
        "algos/steps",
        "import importlib as i",
        "step = i.import_module('algos.' + 'steps').step",
    ),
    "namespace": ("spaced/inner/steps", "from spaced.inner.steps import step", "pass"),
}
"""Where the module lies that makes a step, and how the functions come to it."""


@pytest.mark.parametrize("how", IMPORTED)
@pytest.mark.quick(1)
def test_code_that_is_edited_is_called_again_wherever_it_lies(fly, place, monkeypatch, how):
    lies, outside, inside = IMPORTED[how]
    steps = place / (f"{lies}/steps.py" if "edited" in lies else f"{lies}.py")
    steps.parent.mkdir(parents=True)
    if "edited" in lies:  # as pip installs a package that is to be edited
        (steps.parent / "__init__.py").write_text("from . import steps\nstep = steps.step\n")
        monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, EditedPackage(steps.parent)])
    code = USES.format(outside=outside, inside=inside).replace("FOLDER", repr(str(steps.parent)))

    def flown(step, out, *options):
        steps.write_text(f"def step(weights, data):\n    return weights + {step} * data.mean(0)\n")
        forget(place)
        assert fly(code, *options, out=out).status == 0
        return weights(out)["weights"]

    first, edited, again = flown(1, "one"), flown(2, "two"), flown(2, "three")
    assert np.array_equal(edited, 2 * first) and np.array_equal(again, edited)
    assert manifest("three")["trainings_reused"] > 0


class EditedPackage:
    """Finds one package in its folder, as the finder of one that is installed to be edited."""

    def __init__(self, folder):
        self.folder = folder

    def find_spec(self, name, path=None, target=None):
        if name != self.folder.name:
            return None
        init = self.folder / "__init__.py"
        return spec_from_file_location(name, init, submodule_search_locations=[str(self.folder)])


@pytest.mark.parametrize("method", ["Functions", "SelectedFunctions", "BufferedFunctions"])
@pytest.mark.quick(1)
def test_what_holds_of_every_method_holds_of_functions(place, method):
    """It is repeated and resumed to the bit, and the order of clusters does not matter."""
    (place / "regression.py").write_text(SOFTMAX)  # no name that another test imports
    sys.path.insert(0, str(place))
    findings = check_method(f"sim.fly.functions:{method}", {"code": "regression:train"})
    outcomes = {finding.name: finding.outcome for finding in findings}
    assert not [str(finding) for finding in findings if finding.outcome == "failed"]
    assert outcomes["a resumed run is the uninterrupted one"] == "ok"


OWN_RULE = (
    SOFTMAX
    + """
def data(context):
    return np.full((4, 64), context.client + 1.0), np.zeros(4, int), object()

def test_data(context):
    return np.ones((2, 64)), np.zeros(2, int)

def train(weights, data, context):
    context.memory["rounds"] = context.memory.get("rounds", 0) + 1
    value = float(data[0][0, 0]) * 1000 + context.memory["rounds"] + context.rng.random() / 2
    return {"w": np.full((64, 10), value), "b": weights["b"]}, 4

def aggregate(weights, updates, context):
    context.memory["seen"] = context.memory.get("seen", 0) + len(updates)
    names = [(one.cluster, one.device) for one in updates]
    assert names == [("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2)]
    last = updates[-1].weights["w"][0, 0]
    return {"w": np.full((64, 10), last), "b": [np.full(10, float(context.memory["seen"]))]}
"""
)


def test_own_data_memory_and_server_rule(fly):
    """Data that are no arrays are used, and their results belong to one run."""
    assert fly(OWN_RULE).status == 0
    assert int(weights()["w"][0, 0]) == 5 * 1000 + 3  # the fifth client's third round
    assert weights()["b[0]"][0] == 15
    assert pd.read_parquet("run/updates.parquet").weight.tolist() == [0.2] * 15
    # evaluations alone, of arrays: and those at the start
    assert manifest()["cache"]["replies_kept"] == 2 * 3 + 2


SPARSE = """
import numpy as np

def start(context):
    return {"w": np.zeros(50)}

def data(context):
    return np.arange(50.0) * (context.client + 1)

def test_data(context):
    return np.ones(4)

def train(weights, data, context):
    change = data - weights["w"]
    top = np.argsort(-abs(change))[:context.round + 1]
    return SENT, 1

def aggregate(weights, updates, context):
    w = weights["w"].copy()
    for one in updates:
        at, values = one.weights
        w[at] += values / len(updates)
    return {"w": w}

def evaluate(weights, data, context):
    return {"loss": float(weights["w"].sum())}
"""


def test_with_a_rule_of_its_own_the_server_gets_what_train_returns(fly):
    """Positions and values of the largest changes: other bytes in each round."""
    assert fly(SPARSE.replace("SENT", "(top.astype(np.int32), change[top])")).status == 0
    w = np.zeros(50)
    for number in (2, 3, 4):
        before = w.copy()
        for client in range(5):
            change = np.arange(50.0) * (client + 1) - before
            top = np.argsort(-abs(change))[:number]
            w[top] += change[top] / 5
    assert np.allclose(weights()["w"], w, atol=1e-12)
    moved = pd.read_parquet("run/transfers.parquet")
    up = moved[moved.toward == "server"].payload_bytes
    assert sorted(up.unique()) == [2 * 12, 3 * 12, 4 * 12]


SHAPES = {"w": (3, 2), "b": (2,), "part": {"c": (), "list": [(1,), (2, 2)]}}


def tree_of(draw, shapes, kinds):
    """Numbers of some types in the places of ``shapes``, with names in any order."""
    if isinstance(shapes, dict):
        names = draw(st.permutations(list(shapes)))
        return {name: tree_of(draw, shapes[name], kinds) for name in names}
    if isinstance(shapes, list):
        return [tree_of(draw, one, kinds) for one in shapes]
    numbers = draw(st.lists(st.integers(-9, 9), min_size=4, max_size=8))
    return np.resize(numbers, shapes).astype(draw(st.sampled_from(kinds)))


@given(st.data())
def test_a_mean_is_by_name_and_place_in_the_widest_type(data):
    kinds = [np.float16, np.float32, np.float64, np.int64]
    server, *trees = (tree_of(data.draw, SHAPES, kinds) for _ in range(4))
    shares = [0.25, 0.5, 0.25]
    found = mean(trees, shares, server)
    assert list(found) == list(server)
    for place, array in arrays_of(found).items():
        parts = [arrays_of(tree)[place] for tree in trees]
        exact = sum(share * part.astype(float) for share, part in zip(shares, parts, strict=True))
        widest = np.result_type(arrays_of(server)[place], *parts)
        assert (array.dtype, array.shape) == (widest, parts[0].shape)
        rounded = np.rint(exact) if widest == np.int64 else exact
        assert np.array_equal(array, np.asarray(rounded).astype(widest))
    turned = mean(trees[::-1], shares[::-1], server)
    assert all(np.array_equal(arrays_of(turned)[k], a) for k, a in arrays_of(found).items())


SMALL = """
import numpy as np

def start(context):
    return {"w": np.zeros((3, 2), np.float32), "b": np.zeros(2), "count": np.array(0)}

def data(context):
    return np.ones(2)

def test_data(context):
    return np.ones(10 if context.cluster == "A" else 30)

def train(weights, data, context):
    n = context.client + 1
    new = {"w": np.full((3, 2), n, np.float32), "b": np.full(2, n), "count": np.array(n)}
    ORDER
    return new, EXAMPLES

def evaluate(weights, data, context):
    return FIGURES
"""


def small(order="", examples="1", figures='{"accuracy": 0.5}'):
    code = SMALL.replace("ORDER", order).replace("EXAMPLES", examples)
    return code.replace("FIGURES", figures)


def test_code_may_go_to_another_folder_and_the_run_stays_where_it_began(fly, tmp_path):
    """As does what the code opens there by a relative path, in its next calls too."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "seen.txt").write_text("here")
    goes = f"import os; os.chdir({str(tmp_path / 'there')!r}); open('seen.txt')"
    figures = '{"accuracy": float(open("seen.txt").read() == "here")}'
    assert fly(f"{goes}\n{small(figures=figures)}").status == 0
    assert Path("run/model/model.safetensors").exists()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["seen.txt"]


def test_a_client_without_examples_takes_no_part(fly):
    done = fly(small(examples="0 if n in (1, 4) else 1"))
    assert done.status == 0
    assert np.allclose(weights()["w"], (2 + 3 + 5) / 3)
    assert len(pd.read_parquet("run/updates.parquet")) == 3 * 3
    forget(Path.cwd())
    nobody = fly(small(examples="0"), out="nobody")
    assert nobody.status == 0
    assert "every client returned 0 examples" in nobody.err
    assert not weights("nobody")["w"].any()


@pytest.mark.parametrize("value", ["np.array([0.75])", "torch.tensor(0.75)"])
def test_a_number_of_any_library_is_the_accuracy_alone(fly, value):
    assert fly("import torch\n" + small(figures=value)).status == 0
    assert (metrics().accuracy == 0.75).all()


def test_a_figure_that_a_cluster_lacks_is_an_empty_cell_and_no_part_of_the_mean(fly):
    some = '"own": None if len(data) == 10 else 2, **({"auc": 0.8} if len(data) == 10 else {})'
    some += ', "recall": float("nan") if len(data) == 10 else 0.25'
    assert fly(small(figures=f'{{"accuracy": 0.5, {some}}}')).status == 0
    of = metrics()
    pooled, own_a, own_b = of[of.cluster.isna()], of[of.cluster == "A"], of[of.cluster == "B"]
    assert (pooled.auc == 0.8).all() and (own_a.auc == 0.8).all() and own_b.auc.isna().all()
    assert (pooled.own == 2).all() and own_a.own.isna().all()
    assert (pooled.recall == 0.25).all() and own_a.recall.isna().all()
    assert (pooled.samples == 40).all()


COUNTED = {
    "(np.ones((n, 3)), np.ones(n))": True,
    "{'x': np.ones((n, 3)), 'text': ['a'] * n, 'classes': 2}": True,
    "[{'ids': np.zeros(7), 'label': 1}] * n": True,
    "pd.DataFrame({'x': np.zeros(n), 'name': ['a'] * n})": True,
    "torch.utils.data.TensorDataset(torch.zeros(n, 3), torch.zeros(n))": True,
    "torch.utils.data.DataLoader(torch.zeros(100, 3), sampler=list(range(n)))": True,
    "{'edge_index': np.zeros((2, 5)), 'x': np.zeros((n, 3))}": True,
    "{'edge_index': np.zeros((2, n)), 'edge_attr': np.zeros(n), 'y': np.zeros(n)}": True,
    "{'edge_index': np.zeros((2, 5))}": False,
    "{'x': np.zeros((n, 3)), 'adjacent': np.zeros((2, 5))}": False,
    "[(np.zeros((5, 3)), np.zeros(5))] * n": False,
    "torch.utils.data.DataLoader(Stream())": False,
}


@pytest.mark.parametrize("made", COUNTED)
def test_clusters_weigh_by_their_samples_or_it_is_said_that_they_weigh_alike(fly, made):
    """Clusters of 90 and 10 samples; where data can be read in several ways nobody guesses."""
    code = small(figures='{"accuracy": float(context.cluster == "A")}').replace(
        'return np.ones(10 if context.cluster == "A" else 30)',
        f'n = 90 if context.cluster == "A" else 10\n    return {made}',
    )
    stream = "class Stream(torch.utils.data.IterableDataset):\n    __iter__ = None"
    done = fly(f"import pandas as pd\nimport torch\n{stream}\n{code}")
    assert done.status == 0, done.err
    pooled = metrics()[metrics().scope == "global"].iloc[-1]
    wanted = (0.9, 100) if COUNTED[made] else (0.5, 2)
    assert (pooled.accuracy, pooled.samples) == pytest.approx(wanted)
    assert done.err.count("weigh alike") == (not COUNTED[made])


ADAM = """
import torch

def net(weights):
    made = torch.nn.Linear(4, 2)
    made.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
    return made

def start(context):
    return {"weight": torch.full((2, 4), 0.1), "bias": torch.zeros(2)}

def data(context):
    return torch.ones(3, 4) * (1 + context.client), torch.ones(3, 2)

def test_data(context):
    return torch.ones(3, 4)

def train(weights, data, context):
    model = net(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    if "kept" in context.memory:
        optimizer.load_state_dict(context.memory["kept"])
    ((model(data[0]) - data[1]) ** 2).mean().backward()
    optimizer.step()
    context.memory["kept"] = optimizer.state_dict()
    context.memory["said"] = {1: None, "text": ("a", True, 2**70)}
    return model.state_dict(), 3

def evaluate(weights, data, context):
    return {"accuracy": 0.5}
"""


def test_the_state_of_an_optimizer_is_remembered(fly):
    """As in a loop in which each client has an optimizer of its own."""
    one = {"clusters": [{"name": "A", "devices": 1}]}
    assert fly(ADAM, ground=one).status == 0
    model = torch.nn.Linear(4, 2)
    model.load_state_dict({"weight": torch.full((2, 4), 0.1), "bias": torch.zeros(2)})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        ((model(torch.ones(3, 4)) - 1) ** 2).mean().backward()
        optimizer.step()
    for name, tensor in model.state_dict().items():
        assert np.array_equal(weights()[name], tensor.numpy())


OF_OTHERS = {"model": {"kind": "nets_of_others:Net"}, "method": "rules_of_others:Rule"}


def test_what_of_the_learning_does_not_count_is_not_looked_at(fly):
    """Neither code that is not there, nor keys that are wrong; data are, unless it has its own."""
    assert fly(SOFTMAX, learning={**OF_OTHERS, "batch_size": -1, "step": 1}).status == 0
    others = {"data": {"kind": "data_of_others:digits"}}
    refused = fly(SOFTMAX, out="no", learning=others)
    assert (refused.status, "LEOMIX_ALLOW_CODE=1" in refused.err) == (2, True)
    forget(Path.cwd())
    assert fly(small(), out="own", learning=others).status == 0


FORKS = """
def ends():
    import multiprocessing
    import time

    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
    child.start()
    time.sleep(0.1)
    child.terminate()
    child.join(10)
    return float(child.exitcode)
"""


@pytest.mark.process
def test_processes_that_code_forks_end_when_they_are_told_to(fly, leomix, monkeypatch):
    """As they do without leomix, in a run and in a sweep: none of its handlers is theirs."""
    monkeypatch.setenv("LEOMIX_ALLOW_CODE", "1")
    code = small(figures='{"accuracy": 0.5, "ended": ends()}') + FORKS
    assert fly(code, stop={"cycles": 1}).status == 0
    assert fly(code, "--save", "saved.yaml", stop={"cycles": 1}).status == 0
    of = ("-p", "seed=4", "-j", "1")
    assert leomix("sweep", "saved.yaml", *of, "--quiet", "-o", "swept").status == 0
    ended = [pd.read_parquet(path).ended for path in Path().glob("**/metrics.parquet")]
    assert len(ended) == 2 and all((own == -15).all() for own in ended)


LINGERS = """
import threading
import time
from concurrent.futures import ThreadPoolExecutor

idle, pool = ThreadPoolExecutor(2), ThreadPoolExecutor(2, "of_a_pool")
idle.submit(int).result()
pool.submit(time.sleep, 60)
threading.Thread(target=time.sleep, args=(60,), name="uploader").start()
"""


@pytest.mark.process
def test_threads_that_code_has_left_do_not_keep_the_command(fly, place):
    assert fly(SOFTMAX, "--save", "saved.yaml").status == 0  # which writes the files
    (place / "softmax.py").write_text(LINGERS + SOFTMAX)
    program = "import sys; from sim.cli import main; main(sys.argv[1:])"
    command = ["fly", "softmax.py", "-s", "scene.yaml", "--quiet", "-o", "run"]
    line = [sys.executable, "-c", program, *command]
    done = subprocess.run(line, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert "of_a_pool_0 and uploader of custom code did not end within 3 s" in done.stderr


LATE = """
from sim.fly.user_code import Context, UserCode

try:
    UserCode("late:train", 0.2).call("start", context=Context("", None, -1, 1, 1, seed=1))
except ValueError as error:
    print(error)
import torch
print(torch.ones(2).sum().item())
"""


@pytest.mark.process
def test_a_late_call_does_not_cut_off_the_import_of_a_package(place):
    """Half of a package would stay behind, and end the process that imports it once more."""
    (place / "late.py").write_text("def start(context):\n    import torch\n")
    line = [sys.executable, "-c", f"import sys; sys.path.append({str(place)!r}){LATE}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100)
    said, works = done.stdout.splitlines()
    assert "late.py: start (round 1) did not return within 0.2 s; raise learning" in said
    assert (done.returncode, works) == (0, "2.0"), done.stderr


WRITES = {
    "np.savez('final.npz', w=1)": True,
    "torch.save(net.state_dict(), name)": True,
    "open('log.txt', 'a').write('x')": True,
    "Path('out').open('w')": True,
    "frame.to_csv('x.csv')": True,
    "open('data.csv', 'rb')": False,
    "Path('data.csv').open()": False,
    "frame.to_json()": False,
}


@pytest.mark.parametrize("call", WRITES)
def test_lines_that_write_files_are_known_by_name_and_mode(tmp_path, call):
    path = tmp_path / "code.py"
    path.write_text(f"\ndef train(weights, data, context):\n    {call}\n")
    found = writing(path)
    assert [line.startswith("code.py:3 ") for line in found] == [True] * WRITES[call]


REPEATED = """
import os, random, time
COUNT, SEEN, TABLE = 0, [], {}

def counted():
    global COUNT
    COUNT += 1
    return COUNT

def tabulated():
    TABLE[1] = TABLE[1] if 1 in TABLE else np.random.default_rng(1).normal()
    return TABLE[1]

def remembered(context):
    context.memory["count"] = context.memory.get("count", 0) + 1
    return context.memory["count"]
"""


@pytest.mark.parametrize(
    ("value", "repeats"),
    [
        ("counted()", False),
        ("(SEEN.append(1) or len(SEEN))", False),
        ("time.perf_counter()", False),
        ("np.random.default_rng().normal()", False),
        ("os.urandom(8)[0]", False),
        ("tabulated()", True),
        ("remembered(context)", True),
        ("context.rng.normal() + np.random.normal() + random.random()", True),
    ],
)
def test_a_function_that_returns_something_else_when_called_again_is_named(fly, value, repeats):
    """Of what it returns: a counter that changes nothing is not found."""
    for name, old in {"train": "p.mean(axis=0)", "evaluate": "p[0, 0]"}.items():
        outcome = fly(SOFTMAX.replace(old, f"{old} + {value}") + REPEATED, out=name)
        forget(Path.cwd())
        named = f"{name} returns something else when it is called again" in outcome.err
        assert (outcome.status, named, bool(outcome.err)) == (0, not repeats, not repeats)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("two words.py", "cannot be imported; give it a name like"),
        ("json.py", "another module is called 'json'"),
        (".", "is no Flower app" if find_spec("flwr") else '[flower]"'),
    ],
)
def test_files_that_cannot_be_flown(place, leomix, path, says):
    if path != ".":
        (place / path).write_text(SOFTMAX)
    outcome = leomix("fly", path, "-s", "quickstart")
    assert outcome.status == 2
    assert says in outcome.err


PROJECTS = {"a pipe": "is a pipe", "a huge file": "at most", "no text": "is no text in UTF-8"}
PROJECTS |= dict.fromkeys(("[", "{a="), "is nested too deeply")


@pytest.mark.parametrize("what", PROJECTS)
def test_a_project_is_looked_at_before_it_is_parsed(tmp_path, what):
    path = tmp_path / "pyproject.toml"
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "no text":
        path.write_bytes(b"\xff\xfe")
    else:
        path.write_text("" if what == "a huge file" else f"x = {what * 100_000}")
        os.truncate(path, 200_000_000 if what == "a huge file" else path.stat().st_size)
    with pytest.raises(ValueError, match=PROJECTS[what]):
        check_project(tmp_path)
    path.unlink()
    path.write_text('[tool.flwr.app.components]\nserverapp = "tiny:app"\n')
    check_project(tmp_path)


def test_a_saved_scenario_is_run_swept_and_checked(fly, leomix, monkeypatch):
    assert fly(SOFTMAX, "--save", "saved.yaml").status == 0
    assert "LEOMIX_ALLOW_CODE=1" in leomix("run", "saved.yaml", "-o", "no").err
    monkeypatch.setenv("LEOMIX_ALLOW_CODE", "1")
    shown = leomix("validate", "saved.yaml").out
    assert "a pass of median length" in shown and "payload" not in shown
    assert leomix("run", "saved.yaml", "-o", "saved", "--quiet").status == 0
    assert fly(SOFTMAX).status == 0
    assert manifest("saved")["trace_sha256"] == manifest()["trace_sha256"]
    assert leomix("compare", "saved", "run").status == 0
    assert leomix("report", "saved", "run", "-o", "both.html").status == 0


@pytest.mark.parametrize("release", ["1.40.2", "1.43.0"])
def test_versions_of_flower_that_were_not_tested_are_refused(place, leomix, monkeypatch, release):
    packages = ConfigParser()
    packages.read(ROOT / "setup.cfg")
    allowed = packages["options.extras_require"]["flower"].strip()
    for name in [name for name in sys.modules if name.startswith("sim.fly.flower")]:
        monkeypatch.delitem(sys.modules, name)
    said = f"Metadata-Version: 2.1\nName: flwr\nVersion: {release}\n"
    for name, content in {"flwr.py": "", f"flwr-{release}.dist-info/METADATA": said}.items():
        path = place / "other" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(str(place / "other"))
    Path("app").mkdir()
    outcome = leomix("fly", "app", "-s", "quickstart")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert f"app: flwr {release} is installed" in outcome.err
    assert f'pip install "{allowed}"' in outcome.err
