"""Refusals as golden_messages.yaml has them; ``--approve`` writes the messages anew."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

import learning
import scenarios
from tests.kit.every_source import CIRCULAR, ORBITS, changed
from tests.kit.fly import SOFTMAX
from tests.kit.inner.learning import METHODS
from tests.kit.mesh import CITIES, GATEWAYS
from tests.kit.small import SLOTS

ROOT = Path(__file__).parents[2]
APPROVED = ROOT / "tests" / "golden_messages.yaml"
GOLDEN = yaml.safe_load(APPROVED.read_text())
OF_FILES = [
    (command, file, *row)
    for command, files in GOLDEN["files"].items()
    for file, rows in files.items()
    for row in rows
]
WINDOWS = """\
satellite,site,rise_utc,set_utc
s1,A,2026-08-22T00:01:00Z,2026-08-22T00:09:00Z
s1,A,2026-08-22T01:30:00Z,2026-08-22T01:39:00Z
"""
ELEMENTS = {
    "OBJECT_NAME": "A", "NORAD_CAT_ID": 41917, "EPOCH": "2026-08-22T14:02:00",
    "MEAN_MOTION": 14.34, "ECCENTRICITY": 0.0002, "INCLINATION": 86.4, "RA_OF_ASC_NODE": 100,
    "ARG_OF_PERICENTER": 80, "MEAN_ANOMALY": 280, "BSTAR": 0,
}  # fmt: skip
READY = """\
stop: {}
orbit: {source: contacts, path: x.csv}
ground: {clusters: [{name: A}]}
link: {preset: paper}
"""
SPACE = """\
start: 2026-08-22T00:00:00Z
stop: {days: 0.2}
roles: {server: stations, clients: satellites}
orbit: {source: walker, altitude_km: 600, inclination_deg: 90, satellites: 4, planes: 2}
ground:
  stations:
    - {name: Kiruna, latitude_deg: 67.9, longitude_deg: 21.1}
    - {name: Quito, latitude_deg: -0.2, longitude_deg: -78.5}
link: {preset: physical}
compute: {power_w: 20}
learning: {train: false, method: fedavg}
"""
NETWORK = """\
start: 2026-08-22T00:00:00Z
stop: {days: 0.5}
roles: {server: stations, clients: satellites}
orbit: {source: walker, satellites: 8, planes: 2, altitude_km: 600, inclination_deg: 60}
ground: {stations: [{name: Bremen, latitude_deg: 53.1, longitude_deg: 8.85}]}
link: {preset: station, station: {dish_m: 5, band: X, uplink_band: S}}
"""
FAILING = """\
import learning


class Mine(learning.FedAvg):
    def __init__(self, world, options=None):
        super().__init__(world, options)

    @classmethod
    def check(cls, config):
        super().check(config)

    @classmethod
    def check_clients(cls, clusters, options):
        super().check_clients(clusters, options)
"""
HOOKS = """\
import learning


def moved(task, x, change):
    return {n: x[n] + change[n] for n in x}


def share(logits, labels):
    return 0.5




def term(step):
    return 0.0 * next(iter(step.weights.values())).sum()


class Mine(learning.FedAvg):
    def local_loss(self, me):
        return learning.LocalLoss(term)

    def server_step(self, updates):
        change, used = learning.mean_change(self.learner, self.weights, updates)
        return self.learner.make(moved, self.weights, change), used
"""
ASKS = """\
import numpy as np

import learning
from learning import requests as do


class Mine(learning.FedAvg):
    def cluster(self, me):
        yield do.NextContact()
        yield do.Wait(1.0)
"""
FLEET = [
    ELEMENTS | {"OBJECT_NAME": name, "NORAD_CAT_ID": number, "RA_OF_ASC_NODE": 100 + 5 * number}
    for number, name in enumerate("AB", 1)
]
SIZED = {key: own for key, own in SLOTS.items() if key != "learning"}
TEXTS = {
    "method": "fedavg", "model": {"kind": "text-mean", "hidden": 8, "vocabulary": 300},
    "data": {"kind": "jsonl", "path": "texts.jsonl", "tokens": 24, "trial_samples": 2},
}  # fmt: skip
ROWS = [{"text": f"t{number:03}", "label": number % 2} for number in range(40)]
LEARN = ("mine.yaml", "windows.yaml")
"""Files that are of runs that learn, and no network studies."""
FILES = {
    "mine.yaml": CIRCULAR, "space.yaml": SPACE, "fleet.json": json.dumps(FLEET),
    "windows.yaml": READY, "x.csv": WINDOWS,
    "x.json": json.dumps([ELEMENTS]),
    "x.tle": scenarios.orbit_file(scenarios.load("quickstart")).read_text(),
    "sites.csv": "name,latitude_deg,longitude_deg\nA,48.1,11.6\n",
    "net.yaml": NETWORK, "v.yaml": "a: {seed: 3}\n",
    "scene.yaml": json.dumps(SIZED), "sized.yaml": json.dumps(SIZED | {"learning": {}}),
    "cities.yaml": CITIES, "gateways.yaml": GATEWAYS,
    "roof.txt": "0 5\n90\n",
    "texts.yaml": json.dumps(SIZED | {"learning": TEXTS}),
    "texts.jsonl": "\n".join(map(json.dumps, ROWS)) + "\n",
    "tiny.yaml": json.dumps(SLOTS), "softmax.py": SOFTMAX, "failing.py": FAILING, "asks.py": ASKS,
    "hooks.py": HOOKS,
    **{f"{source}.yaml": json.dumps(changed(source, {})) for source in ORBITS},
}  # fmt: skip


def of_leomix(found):
    """A list of methods without those that other tests have registered."""
    others = set(learning.method_names()) - METHODS.shipped.keys()
    return ", ".join(name for name in found[0].split(", ") if name not in others)


@pytest.fixture
def said(leomix, tmp_path, monkeypatch):
    """What a command that is refused says, in a folder of right files but for some."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of files that are a user's code

    def line(command, **wrong):
        for name, text in (FILES | wrong).items():
            if name in LEARN and "orbit" in text and "learning" not in text:
                text += "learning: {}\n"
            Path(name).write_text(text, encoding="utf-8")
        found = leomix(*shlex.split(command))
        assert (found.status in (1, 2), found.out) == (True, ""), found
        left = {path.name for path in tmp_path.iterdir()} - {*FILES, "cache", "calls.txt"}
        assert left == ({"new"} if found.status == 1 else set())  # a run that has failed is there
        [text] = found.err.splitlines()
        text = re.sub(r"(?<=known are )[^;]*", of_leomix, text)
        text = re.sub(r"(?<=torch sees )[^;]*(?=;)", "THESE", text)
        text = re.sub(r"[\d.]+ [kMGTP]?B(?= are free)", "SOME", text)
        text = re.sub(r"(?<=makes no array \()[^;]*(?=\);)", "WHY", text)
        return text.removeprefix("leomix: ").replace(str(tmp_path), "HERE")

    return line


@pytest.mark.parametrize(("command", "file", "right", "wrong", "line"), OF_FILES)
def test_a_wrong_file_is_told_with_what_to_do(said, approved, command, file, right, wrong, line):
    assert right is None or right in FILES[file]
    text = wrong if right is None else FILES[file].replace(right, wrong, 1)
    row = "".join(f"{json.dumps(one, ensure_ascii=False)}, " for one in (right, wrong))
    approved(said(command, **{file: text}), line, APPROVED, row)


@pytest.mark.parametrize(("command", "line"), GOLDEN["commands"])
def test_a_wrong_command_is_told_with_what_to_do(said, approved, command, line):
    approved(said(command), line, APPROVED, f"{json.dumps(command, ensure_ascii=False)}, ")
