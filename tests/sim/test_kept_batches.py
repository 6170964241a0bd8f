"""What frozen blocks make of texts, kept for other runs: the same bits, and computed only once."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import sim
from tests.kit import tiny_checkpoints as tiny
from tests.kit.folders import held, limited
from tests.kit.network import build
from tests.kit.records import Namespace, Shelf, size_bytes
from tests.kit.small import slots
from tests.kit.training import KeptBatches

UNTRAINED = {"gate_steps": 2, "expert_steps": 0, "backbone_steps": 0}
FILE = "model.safetensors"
SETS = 6
"""Training, trial and test texts of two clusters: a batch of each."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A BERT of three layers with a tokenizer, and pairs of texts of two clusters."""
    place = tmp_path_factory.mktemp("kept")
    tiny.bert_with_pairs(place)
    return place


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LEOMIX_CACHE", str(folder))
    with limited(embedded_least_s=0.0, embedded_least_s_per_byte=0.0):
        yield folder


def scenario(place, *, bert="bert", learning=None, model=None, **keys):
    given = {"kind": "merged-bert", "checkpoints": [str(place / bert)], "top_k": 2}
    given |= {"experts_per_checkpoint": 4, "moe_layers": 2, **(model or {})}
    given |= {"experts": 4, "hidden": 64, "expert_hidden": 64}  # what checkpoints fix
    data = {"kind": "jsonl", "path": str(place / "pairs.jsonl"), "tokens": 9, "trial_samples": 4}
    asked = {"model": given, "data": data, "trains_backbone": True, "step_size": 0.1}
    asked |= {"pretraining": UNTRAINED, **(learning or {})}
    return slots(**{"stop": {"cycles": 1}, **keys}, learning=asked)


def ran(asked, *out, cache=True):
    """A run as in a process of its own, which finds no task of another."""
    build(asked).learner.forget_tasks()
    return sim.run(asked, *out, cache=cache)


def batches(result):
    """How many batches a run has read, and how many it has kept."""
    found = result.manifest["cache"]
    return found["embedded_read"], found["embedded_kept"]


def forget_results(cache):
    """Leave batches alone: else nothing would be trained or tested, and no text embedded."""
    shutil.rmtree(cache / "results")


def kept(cache):
    return sorted((cache / "embedded").rglob("*.embedded"))


def test_bits_are_those_of_a_run_with_an_empty_a_full_and_half_a_cache(place, cache, tmp_path):
    asked = scenario(place)
    ran(asked, tmp_path / "plain", cache=False)
    wanted = held(tmp_path / "plain")

    def again(name):
        found = ran(asked, tmp_path / name)
        assert held(tmp_path / name) == wanted
        forget_results(cache)
        return batches(found)

    assert again("empty") == (0, SETS)
    assert again("full") == (SETS, 0)
    for path in kept(cache)[::2]:
        path.unlink()
    assert again("half") == (SETS - 3, 3)
    first, second, *_ = kept(cache)
    first.write_bytes(first.read_bytes()[:-20])  # cut short
    Shelf(cache).write(str(second.relative_to(cache)), b"well sealed, but no tensors")
    assert again("broken") == (SETS - 2, 2)
    assert again("mended") == (SETS, 0)


@pytest.mark.wide
def test_methods_and_settings_share_all_and_seeds_the_tests_alone(place, cache):
    first = ran(scenario(place))
    assert batches(first) == (0, SETS)
    for learning in ({"method": "synchronous"}, {"step_size": 0.05}, {"lora": {"rank": None}}):
        found = ran(scenario(place, learning=learning))
        assert found.manifest["trainings"] > 0 and batches(found)[1] == 0 < batches(found)[0]
        plain = ran(scenario(place, learning=learning), cache=False)
        assert found.manifest["trace_sha256"] == plain.manifest["trace_sha256"]
    other = ran(scenario(place, seed=4))
    assert batches(other) == (2, SETS - 2)
    plain = ran(scenario(place, seed=4), cache=False)
    assert other.manifest["trace_sha256"] == plain.manifest["trace_sha256"]


@pytest.mark.parametrize("method", ["fedavg-per-cluster", "local"])
def test_tests_of_models_of_their_own_are_run_once(place, cache, method):
    """Each evaluation is of one cluster alone; so it had run its tests again, in every cycle."""
    found = ran(scenario(place, learning={"method": method}, stop={"cycles": 3}))
    assert batches(found) == (0, SETS)


@pytest.mark.wide
def test_whatever_computes_them_names_them(place, cache):
    """Weights below the experts count, and the others do not; so do blocks, tokens and the type."""
    assert batches(ran(scenario(place))) == (0, SETS)
    for layer, read in ((0, 0), (2, SETS)):
        name = f"bert-{layer}"
        shutil.copytree(place / "bert", place / name, dirs_exist_ok=True)
        tensors = load_file(place / name / FILE)
        tensors[f"encoder.layer.{layer}.output.dense.bias"] += 0.5
        save_file(tensors, place / name / FILE, metadata={"format": "pt"})
        assert batches(ran(scenario(place, bert=name))) == (read, SETS - read)
    config = place / "bert" / "config.json"
    shutil.copytree(place / "bert", place / "eps", dirs_exist_ok=True)
    text = config.read_text()
    (place / "eps" / "config.json").write_text(text.replace("1e-12", "1e-05"))
    for keys in (
        {"bert": "eps"},
        {"model": {"moe_layers": 1}},
        {"learning": {"precision": "bfloat16"}},
    ):
        assert batches(ran(scenario(place, **keys)))[0] == 0


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_is_read_as_it_was_made_and_another_order_is_another(place, cache, dtype):
    config = tiny.bert_config(place / "bert", moe_layers=2)
    given = {"score.weight": torch.zeros(5, 32), "score.bias": torch.zeros(5)}
    given |= {f"bert.encoder.layer.{n}.intermediate.gate.weight": torch.ones(3, 32) for n in (1, 2)}
    model = tiny.loaded(config, tiny.TEXT, **given).to(dtype)
    x = torch.randint(0, 41, (6, 9))
    x[2, 4:] = -1

    def check(part, kept_now, read):
        shelf = Shelf(cache)
        batches = KeptBatches(Namespace(shelf, "embedded", "p"), config, tiny.TEXT)
        hidden, last = batches.of(model, part)
        assert hidden.dtype == dtype and torch.equal(hidden, model.before_experts(part)[0])
        assert last is part
        assert (shelf.kept_files.total(), shelf.read_files.total()) == (kept_now, read)

    check(x, 1, 0)
    check(x, 0, 1)
    (whole,) = kept(cache)
    assert whole.stat().st_size < 6 * 9 * 32 * dtype.itemsize + 500  # tokens are not kept
    check(x.flip(0), 1, 0)
    check(x[:5], 1, 0)
    for path in kept(cache):
        if path.stat().st_size < whole.stat().st_size:
            shutil.copy(whole, path)  # of another number of rows
    check(x[:5], 1, 0)


def test_toys_keep_nothing_and_a_cache_that_is_off_neither(place, cache, monkeypatch):
    with limited(embedded_least_s=60.0):
        assert batches(ran(scenario(place))) == (0, 0)
    assert not (cache / "embedded").exists()
    monkeypatch.setenv("LEOMIX_CACHE", "off")
    assert ran(scenario(place)).manifest["cache"] is None
    assert not (cache / "embedded").exists()


def test_they_count_in_the_bound_and_go_when_unused_for_longest(place, cache):
    assert batches(ran(scenario(place))) == (0, SETS)
    old = kept(cache)
    for path in old:
        os.utime(path, (0, 0))
    bound = size_bytes(cache) * 3 // 2
    assert len(old) == SETS
    with limited(cache_bytes=bound):
        ran(scenario(place, seed=4))
    assert size_bytes(cache) <= bound
    left = set(kept(cache))
    assert len(left) == SETS and len(left.intersection(old)) == 2  # what it read counts as used


def test_a_folder_that_takes_nothing_costs_a_warning(place, cache):
    plain = ran(scenario(place), cache=False).manifest
    cache.mkdir()
    (cache / "notes.txt").write_text("somebody's")
    found = ran(scenario(place)).manifest
    assert found["trace_sha256"] == plain["trace_sha256"]
    assert any("nothing more is kept" in line for line in found["warnings"])


CHILD = """
import sys
import sim
from pathlib import Path
from tests.kit.folders import limited
from tests.sim.test_kept_batches import scenario
with limited(embedded_least_s=0.0, embedded_least_s_per_byte=0.0):
    asked = scenario(Path(sys.argv[1]), learning={"method": sys.argv[2]})
    manifest = sim.run(asked, cache=True).manifest
print(manifest["trace_sha256"], *(manifest["cache"]["embedded_" + k] for k in ("read", "kept")))
"""


@pytest.mark.process
def test_processes_at_once_and_one_behind_them(place, cache):
    methods = ("emsfl", "synchronous")
    plain = [
        ran(scenario(place, learning={"method": name}), cache=False).manifest["trace_sha256"]
        for name in methods
    ]

    def begin(name):
        line = [sys.executable, "-c", CHILD, str(place), name]
        return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)

    said = [one.communicate()[0].split() for one in [*map(begin, methods)]]
    assert [line[0] for line in said] == plain
    assert len(kept(cache)) == SETS and not list(cache.rglob("*.part"))
    forget_results(cache)
    assert begin("emsfl").communicate()[0].split() == [plain[0], str(SETS), "0"]
