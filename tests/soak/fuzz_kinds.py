"""The kinds of files that leomix reads: whole ones, how they are damaged, and who reads them."""

import contextlib
import io
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import scenarios
from learning.text import tokenizer
from sim.cli.app import status
from tests.kit.folders import cut, limited, without_checksums
from tests.soak import fuzz_forms as damage

SMALL = """\
seed: 3
stop: {cycles: 2}
orbit: {source: slots, slots: {seconds: 600, idle: 1}}
ground: {clusters: [{name: A, devices: 2}, {name: B, devices: 3}]}
link: {preset: paper}
compute: {seconds_per_round: 200}
learning:
  method: emsfl
  steps_per_round: 1
  batch_size: 4
  lora: {rank: 2}
  model: {kind: vector-moe, experts: 2, hidden: 16, expert_hidden: 16}
"""
ORBIT = """\
description: "one pass: or two"
start: 2026-08-22T00:00:00Z
stop: {days: 0.2}
orbit: {source: circular, altitude_km: 600, inclination_deg: 97.8, min_elevation_deg: 5}
ground:
  clusters:
    - {name: North, latitude_deg: 60, longitude_deg: 20, altitude_m: 20, radius_km: 60,
       kinds: [{devices: 2, seconds_per_round: 60}, {devices: 1, tflops: 1e-3, memory_gib: 0.1}]}
    - {name: Pole, latitude_deg: 88.5, longitude_deg: 0,
       places: [{latitude_deg: 88.5, longitude_deg: 1}]}
link: {preset: physical, uplink: {bandwidth_mhz: 0.5, fading: rician, rate: ergodic}, downlink: {}}
compute: {seconds_per_round: 6e1}
learning:
  method: fedbuff
  train: false
  rounds: {per_contact: fill, per_gap_max: 3}
  evaluate_every_hours: 1
"""
TLE = """\
IRIDIUM 106
1 41917U 17003A   26234.58488911  .00000059  00000+0  14148-4 0  9999
2 41917  86.3915  60.7760 0002378  82.9635 277.1831 14.34217750502724
1 25544U 98067A   26234.50000000  .00016717  00000-0  10270-3 0  9009
2 25544  51.6400 208.9163 0006703 130.5360 325.0288 15.50000000    11
"""
OMM = {
    "OBJECT_NAME": "ISS (ZARYA)", "OBJECT_ID": "1998-067A", "CENTER_NAME": "EARTH",
    "REF_FRAME": "TEME", "TIME_SYSTEM": "UTC", "MEAN_ELEMENT_THEORY": "SGP4",
    "EPOCH": "2026-08-22T12:00:46.125312", "MEAN_MOTION": 15.5, "ECCENTRICITY": 0.00067,
    "INCLINATION": 51.64, "RA_OF_ASC_NODE": 208.9, "ARG_OF_PERICENTER": 130.5,
    "MEAN_ANOMALY": 325.0, "EPHEMERIS_TYPE": 0, "NORAD_CAT_ID": 25544, "BSTAR": 0.0001,
    "MEAN_MOTION_DOT": 0.0001, "MEAN_MOTION_DDOT": 0,
}  # fmt: skip
WINDOWS = """\
satellite,site,rise_utc,culminate_utc,set_utc,duration_s,max_elevation_deg,min_slant_range_km,note
S 1,A,2026-08-22T00:00:00Z,2026-08-22T00:05:00Z,2026-08-22T00:10:00Z,600,45.5,800,x
S 1,B,2026-08-22T01:00:00Z,,2026-08-22T01:10:00Z,600.0,,nan,"a, b"
S 1,A,2026-08-22T04:00:00+02:00,,2026-08-22T02:30:00Z,,10,2000,
"""
SITES = """\
name,latitude_deg,longitude_deg,altitude_m,min_elevation_deg
Munich,48.14,11.58,520,10
"São Paulo",-23.55,-46.63,,
# a comment
Pole,90,0,0,0
"""
NEAR = "2026-08-22T00:00:00Z"
CONTACTS = ["--start", NEAR, "--days", "0.1", "--min-elevation", "10"]


@dataclass(frozen=True)
class Kind:
    """A kind of file: whole ones, the place of it, what lies beside it, and what reads it there.

    Commands work in the folder of the file, and return the exit status. Without a whole one a
    command writes there. ``share`` is how many of 20,000 inputs are of it;
    ``may_fail`` says that status 1 with its one line is right too (a run that is found to be
    another one); ``is_own`` that nobody sends it: links in it may lead anywhere.
    """

    whole: list
    reads: tuple
    share: int
    name: str = "file"
    grammar: damage.Grammar | None = None
    may_fail: bool = False
    is_own: bool = False
    beside: dict = field(default_factory=dict)

    def lay(self, folder):
        """Make ``folder`` anew with the files beside it, and return its place."""
        shutil.rmtree(folder, ignore_errors=True)
        for place, content in self.beside.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextlib.contextmanager
def in_folder(folder):
    """Work in ``folder``, where the cache is as well."""
    before = os.environ["LEOMIX_CACHE"]
    with contextlib.chdir(folder):
        os.environ["LEOMIX_CACHE"] = "cache"
        try:
            yield
        finally:
            os.environ["LEOMIX_CACHE"] = before


def leomix(*arguments, **settings):
    """Run the command line in this process, with settings by key; return its exit status."""
    said = (f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in settings.items())
    return status([*map(str, arguments), *(part for one in said for part in ("--set", one))])


def _scenario():
    """Validate a scenario; one that would be planned for long is read, and that is all."""
    try:
        if _is_long(scenarios.load("file.yaml")):
            return 0
    except scenarios.ScenarioError:
        pass
    return leomix("validate", "file.yaml")


def _is_long(scenario):
    days = scenario.stop.days or 0
    cycles = scenario.stop.cycles or 0
    orbit = scenario.orbit
    devices = sum(cluster.devices or 1 for cluster in scenario.ground.clusters)
    model = None if scenario.learning is None else scenario.learning.model
    return (
        20 < days * getattr(orbit, "satellites", 1) < 1e9
        or 2000 < cycles < 1e8
        or devices > 500
        or (scenario.orbit.source == "slots" and cycles == 0)
        or (model is not None and model.experts * model.layers > 20_000)
    )  # fmt: skip


def _data(kind):
    data = {"kind": kind, "path": "file", "trial_samples": 2}
    model = "mixtral" if kind == "jsonl" else "vector-moe"
    return leomix("validate", "small.yaml", learning__data=data, learning__model__kind=model)


def _json_rows():
    rows = [
        {"text": f"word{i} and {i % 7}", "label": ["good", "bad"][i % 2],
         "domain": "ab"[i // 2 % 2], "split": "train" if i % 5 else "test"}
        for i in range(40)
    ]  # fmt: skip
    return "\n".join(map(json.dumps, rows)).encode()


def _questions():
    rows = [
        {"question": f"what {i}", "options": ["a", "b", "c"][: 2 + i % 2], "answer": i % 2}
        for i in range(40)
    ]
    return "\n".join(map(json.dumps, rows)).encode()


def _npz():
    file = io.BytesIO()
    number = np.arange(40)
    x = np.random.default_rng(1).random((40, 6), dtype=np.float32)
    np.savez_compressed(file, x=x, y=number % 3, domain=number % 2)
    return file.getvalue()


def _omm_csv():
    return "\n".join([",".join(OMM), ",".join(map(str, OMM.values()))]).encode()


def _omm_xml():
    fields = "".join(f"<{key}>{value}</{key}>" for key, value in OMM.items())
    body = f"<body><segment><data>{fields}</data></segment></body>"
    return f'<?xml version="1.0"?><ndm><omm id="CCSDS_OMM_VERS">{body}</omm></ndm>'.encode()


TEXT_ROWS = _json_rows()


def plain_kinds():
    """Files of orbits and scenarios, and data: read without torch."""
    windows = SMALL.replace(
        "{source: slots, slots: {seconds: 600, idle: 1}}", "{source: contacts, path: file}"
    ).replace("stop: {cycles: 2}", "stop: {days: 2}")
    places = ORBIT.replace("places: [{latitude_deg: 88.5, longitude_deg: 1}]", "places_path: file")
    small = {"small.yaml": SMALL.encode()}
    tle = TLE.encode()
    scenario = [SMALL.encode(), ORBIT.encode()]
    omm = json.dumps([OMM, OMM]).encode()
    rows = [_json_rows(), _questions()]
    at = b"latitude_deg,longitude_deg\n88.6,3\n88.4,2\n"
    by_windows = {"w.yaml": windows.encode()}
    by_places = {"p.yaml": places.encode()}
    contacts = partial(leomix, "contacts")
    validate = partial(leomix, "validate")
    elements = (partial(contacts, "--tle", "file", "--site", "10,20", *CONTACTS),)
    sites = (partial(contacts, "--tle", "ok.tle", "--sites", "file", *CONTACTS),)
    listed = (partial(contacts, "w.yaml"),)
    placed = (partial(validate, "p.yaml"),)
    jsonl = (partial(_data, "jsonl"),)
    npz = (partial(_data, "npz"),)
    return {
        "scenario": Kind(scenario, (_scenario,), 4000, "file.yaml", damage.YAML),
        "TLE": Kind([tle], elements, 3000),
        "OMM JSON": Kind([omm], elements, 1500, grammar=damage.JSON),
        "OMM CSV": Kind([_omm_csv()], elements, 1200),
        "OMM XML": Kind([_omm_xml()], elements, 1500),
        "window CSV": Kind([WINDOWS.encode()], listed, 2000, beside=by_windows),
        "site CSV": Kind([SITES.encode()], sites, 1000, beside={"ok.tle": tle}),
        "places CSV": Kind([at], placed, 500, beside=by_places),
        "JSON lines": Kind(rows, jsonl, 1500, grammar=damage.LINES, beside=small),
        "npz": Kind([_npz()], npz, 800, beside=small),
    }


# Folders of runs, of a sweep and of the cache: each file in them, and each that is written.

QUIET = ("--quiet", "--no-cache")

SCENARIO = SMALL.replace("cycles: 2", "cycles: 1").replace(
    "learning:", "learning:\n  pretraining: {backbone_steps: 0, expert_steps: 0, gate_steps: 0}"
)
RUN = "run small.yaml --quiet --no-cache -o run"
SWEEP = "sweep small.yaml -p seed=1,2 --set learning.train=false --quiet --no-cache -o run"
SHOW = ("show run", "show run --json", "compare run run", "report run", "report run -o page.html")
EXPORT = ("export run --to csv", "export run --to csv -o out", "export run --to perfetto")
LEFT = ("run/model", "run/.spilled", "run/.run.lock")
TRAINED = ("export run --to tensorboard", "export run --to peft -o out", f"{RUN} --resume")


class World(NamedTuple):
    """A folder by the command that makes it, what reads it, and what else is written there."""

    made_by: str
    reads: tuple
    written: tuple = ()
    may_fail: bool = False
    is_own: bool = False


WORLDS = {
    "run": World(
        RUN,
        (*SHOW, *EXPORT, *TRAINED),
        ("page.html", "out", "run/report.html", "run/export/csv", "run/.report.html.part"),
    ),
    "timing": World(f"{RUN} --set learning.train=false", (*SHOW, *EXPORT)),
    "stopped": World("", ("show run", f"{RUN} --resume"), LEFT, True),
    "sweep": World(
        SWEEP,
        ("report run", *EXPORT[:2], f"{SWEEP} --resume", f"{SWEEP} --dry-run"),
        ("run/workers.log", "run/report.html"),
        True,
    ),
    "cache": World(
        "run small.yaml -o first --quiet",
        ("run small.yaml --quiet -o run",),
        is_own=True,
    ),
}
HASH = re.compile("[0-9a-f]{24,}")
"""In the names of files of which one stands for all."""
INPUTS = ("small.yaml", "first")


def folder_kinds():
    """Kinds of files in all folders, which are made for it, and of the folders in them."""
    kinds = {}
    for name, world in WORLDS.items():
        with tempfile.TemporaryDirectory() as folder, in_folder(folder):
            _make(world)
            found = [path for path in sorted(Path().rglob("*")) if path.parts[0] not in INPUTS]
            files = {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        reads = tuple(partial(leomix, *line.split()) for line in world.reads)
        alike = {HASH.sub("", str(path)): str(path) for path in found}
        for place in (*alike.values(), *world.written):
            kinds[f"{name}: {place}"] = Kind(
                whole=[files[place]] if place in files else [],
                reads=reads,
                share=100,
                name=place,
                grammar=damage.GRAMMARS.get(Path(place).suffix),
                may_fail=world.may_fail,
                is_own=world.is_own,
                beside={other: data for other, data in files.items() if other != place},
            )
    return kinds


def _make(world):
    """Make a world in the current folder; a run is stopped after its thirteenth event."""
    Path("small.yaml").write_text(SCENARIO, encoding="utf-8")
    if not world.made_by:
        cut(scenarios.load("small.yaml"), Path("run"), 13)
        return
    with limited(worth_keeping_s=0.0):
        assert not leomix(*world.made_by.split()), world
    if Path("run", "manifest.json").exists():
        without_checksums(Path("run"))  # so that damaged tables are read


# What torch reads: checkpoints, their config.json, adapters and tokenizers.

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

SIZES = {
    "vocab_size": 280, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 2,
    "num_experts_per_tok": 1,
}  # fmt: skip
ROWS = {"kind": "jsonl", "path": "rows.jsonl", "tokens": 8, "trial_samples": 2}
TEXT = {"learning__model": {"kind": "mixtral", "checkpoints": ["model"]}, "learning__data": ROWS}
ADAPTED = {"learning__model__adapter": "adapter"}


def tensor_kinds():
    """Kinds of files that torch and its relatives read."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _checkpoint(place / "model")
        adapter = _adapter(place)
        tokens = place / "tokenizer.json"
        tokenizer.train_bpe(["a b c", "word and word"], 280).save(str(tokens))
        weights = (place / "model" / "model.safetensors").read_bytes()
        config = (place / "model" / "config.json").read_bytes()
        factors = (adapter / WEIGHTS).read_bytes()
        about = (adapter / CONFIG).read_bytes()
        vocabulary = tokens.read_bytes()
    small = {"small.yaml": SCENARIO.encode(), "rows.jsonl": TEXT_ROWS}
    model = "model/model.safetensors"
    peft = f"adapter/{WEIGHTS}"
    sizes = "model/config.json"
    rank = f"adapter/{CONFIG}"
    words = {"model/tokenizer.json": vocabulary}
    by_model = small | words | {sizes: config}
    by_adapter = small | {rank: about}
    read = (partial(_begun, TEXT),)
    adapted = (partial(_begun, ADAPTED),)
    mixtral = {"kind": "mixtral", "tokenizer": "tokenizer.json"}
    says = {"learning__model": mixtral, "learning__data": ROWS}
    tokenized = (partial(leomix, "validate", "small.yaml", **says),)
    tensors = damage.TENSORS
    text = damage.JSON
    return {
        "checkpoint": Kind([weights], read, 1500, model, tensors, beside=by_model),
        "config.json": Kind(
            [config], read, 700, sizes, text, beside=small | words | {model: weights}
        ),
        "adapter": Kind([factors], adapted, 500, peft, tensors, beside=by_adapter),
        "adapter config": Kind([about], adapted, 300, rank, text, beside=small | {peft: factors}),
        "tokenizer": Kind([vocabulary], tokenized, 400, "tokenizer.json", text, beside=small),
    }


def _checkpoint(folder):
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    MixtralForCausalLM(MixtralConfig(**SIZES)).to(torch.bfloat16).save_pretrained(folder)


def _adapter(place):
    """An adapter of a run of the small scenario."""
    (place / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    assert not leomix("run", place / "small.yaml", "-o", place / "run", *QUIET)
    assert not leomix("export", place / "run", "--to", "peft", "-o", place / "peft")
    [found] = [path.parent for path in (place / "peft").rglob(CONFIG)]
    return found


def _begun(settings):
    """Run until the first event: the start model has been made by then, and was tried."""
    status = leomix("run", "small.yaml", "-o", "out", *QUIET, "--max-wall", "0.001s", **settings)
    return 0 if status == 130 else status
