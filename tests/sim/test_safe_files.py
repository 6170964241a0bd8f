"""Files that somebody else has sent: what they may name, and what is never opened."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenarios
import sim
from tests.kit import small
from tests.kit.learning import LARGEST_HEADER_BYTES, check_header, open_tensors
from tests.kit.network import Interrupted, SimulationError
from tests.kit.records import checksum

SLOTS = """\
stop: {cycles: 2}
orbit: {source: slots}
ground: {clusters: [{name: A, devices: 2}, {name: B}]}
link: {preset: paper}
compute: {seconds_per_round: 60}
learning: {train: false, data: {kind: npz, path: PATH}}
"""
ELEMENTS = """\
stop: {days: 0.1}
orbit: {source: tle, path: PATH}
ground: {clusters: [{name: A, latitude_deg: 1, longitude_deg: 2}]}
"""
CODE = """\
stop: {cycles: 2}
orbit: {source: slots}
ground: {clusters: [{name: A, devices: 2}, {name: B}]}
link: {preset: paper}
compute: {seconds_per_round: 60}
learning: {method: "of_a_stranger:Method", train: false}
"""
Leomix = Callable[..., Any]


def refused(found: Any, *words: str) -> None:
    assert found.status == 2, found
    assert found.err.count("\n") == 1
    assert all(word in found.err for word in words), found.err


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that somebody has sent, with a module in it, and a file outside of it."""
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "of_a_stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    (tmp_path / "secret.tle").write_text("nothing of theirs\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    return folder


@pytest.mark.parametrize("command", ["run", "validate", "sweep"])
def test_a_scenario_file_runs_no_code_of_its_own(
    leomix: Leomix, stranger: Path, command: str
) -> None:
    (stranger / "theirs.yaml").write_text(CODE)
    more = ["-p", "seed=1,2", "-o", "out"] if command == "sweep" else []
    found = leomix(command, "theirs.yaml", *more)
    refused(found, "theirs.yaml", "learning.method", "LEOMIX_ALLOW_CODE=1", "--set")
    assert not (stranger.parent / "ran").exists()


@pytest.mark.parametrize(
    "learning",
    [
        {"model": {"kind": "of_a_stranger:Model"}},
        {"data": {"kind": "of_a_stranger:data"}},
        {"method": "aligned", "options": {"policy": "of_a_stranger:policy"}},
        {"method": "aligned", "options": {"deep": [{"er": "of_a_stranger:x"}]}},
    ],
)
def test_nor_by_any_other_key(leomix: Leomix, stranger: Path, learning: dict[str, Any]) -> None:
    (stranger / "theirs.yaml").write_text(SLOTS.split("learning:")[0] + json.dumps(
        {"learning": {"train": False, **learning}})[1:-1])  # fmt: skip
    refused(leomix("validate", "theirs.yaml"), "names Python code")
    assert not (stranger.parent / "ran").exists()


def test_code_that_the_user_names_himself_is_run(
    leomix: Leomix, stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stranger / "theirs.yaml").write_text(CODE)
    said = leomix("validate", "theirs.yaml", "--set", "learning.method=of_a_stranger:Method")
    refused(said, "has no attribute 'Method'")
    assert (stranger.parent / "ran").exists()
    monkeypatch.setenv("LEOMIX_ALLOW_CODE", "1")
    refused(leomix("validate", "theirs.yaml"), "has no attribute 'Method'")


def test_a_manifest_runs_no_code_either(stranger: Path) -> None:
    said = scenarios.load("paper-slots").model_dump(mode="json")
    said["learning"]["model"]["kind"] = "of_a_stranger:Model"
    with pytest.raises(scenarios.ScenarioError, match=r"learning\.model\.kind: .*ALLOW_CODE"):
        scenarios.from_stored(said, {"stop.cycles": 1})
    own = scenarios.from_stored(said, {"learning.model.kind": "of_a_stranger:Model"})
    assert own.learning.model.kind == "of_a_stranger:Model"
    assert scenarios.from_dict(said).learning.model.kind == own.learning.model.kind


def test_relative_paths_stay_in_the_folder_of_their_scenario(
    leomix: Leomix, stranger: Path
) -> None:
    (stranger / "link.tle").symlink_to(stranger.parent / "secret.tle")
    (stranger / "deep").mkdir()
    (stranger / "deep" / "out").symlink_to(stranger.parent)
    for text, key in ((ELEMENTS, "orbit.path"), (SLOTS, "learning.data.path")):
        for path in ("../secret.tle", "link.tle", "deep/../../secret.tle", "deep/out/secret.tle"):
            (stranger / "theirs.yaml").write_text(text.replace("PATH", path))
            refused(leomix("validate", "theirs.yaml"), key, "leads out of", "absolute path")
    (stranger / "theirs.yaml").write_text(SLOTS.replace("npz, path: PATH", "hf, path: deep"))
    refused(leomix("validate", "theirs.yaml"), "learning.data.path", "leads out of")


def test_absolute_paths_and_the_users_own_word_may_lead_anywhere(
    leomix: Leomix, stranger: Path
) -> None:
    outside = scenarios.shipped_path("quickstart").with_name("iridium-106.tle").read_text()
    (stranger.parent / "real.tle").write_text(outside)
    (stranger / "a.yaml").write_text(ELEMENTS.replace("PATH", str(stranger.parent / "real.tle")))
    assert leomix("contacts", "a.yaml").status == 0
    (stranger / "b.yaml").write_text(ELEMENTS.replace("PATH", "../real.tle"))
    assert leomix("contacts", "b.yaml", "--set", "orbit.path=../real.tle").status == 0


@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "folder"])
@pytest.mark.parametrize("kind", ["tle", "npz", "jsonl"])
def test_what_is_no_regular_file_is_never_opened(
    leomix: Leomix, tmp_path: Path, what: str, kind: str
) -> None:
    path = tmp_path / "thing"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path = Path(what)
    text = ELEMENTS if kind == "tle" else SLOTS.replace("npz", kind).replace("false", "true")
    (tmp_path / "s.yaml").write_text(text.replace("PATH", str(path)))
    refused(leomix("validate", tmp_path / "s.yaml"), str(path))
    if kind == "tle":
        span = ["--start", "2026-08-22T00:00:00Z", "--days", 1, "--min-elevation", 5]
        refused(leomix("contacts", "--tle", path, "--site", "1,2", *span), str(path))


def bomb(path: Path, shape: tuple[int, ...], **entry: Any) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(8))
        archive.writestr("y.npy", header.getvalue())


def test_an_array_that_claims_terabytes_is_refused(leomix: Leomix, tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.npz", (10**9, 10**4))
    text = SLOTS.replace("PATH", "bomb.npz").replace("false", "true")
    (tmp_path / "s.yaml").write_text(text)
    refused(leomix("validate", tmp_path / "s.yaml"), "bomb.npz", "does not fill its")


@pytest.mark.parametrize("length", [LARGEST_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_a_header_that_claims_too_much_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match=rf"is broken \(its header would have {length} bytes"):
        open_tensors(path)


def test_a_header_with_a_million_tensors_is_refused() -> None:
    entry = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + b",".join(entry % number for number in range(100_001)) + b"}"
    with pytest.raises(ValueError, match=r"100001 tensors"):
        check_header(len(header).to_bytes(8, "little") + header)


HOSTILE = "=1+1\x1b]0;x\x07"


@pytest.mark.parametrize("form", ["tle", "omm", "windows"])
def test_names_that_a_terminal_would_obey_are_refused(
    leomix: Leomix, tmp_path: Path, form: str
) -> None:
    elements = scenarios.shipped_path("quickstart").with_name("iridium-106.tle").read_text()
    if form == "windows":
        span = "2026-01-01T00:00:00Z,2026-01-01T00:01:00Z"
        (tmp_path / "w.csv").write_text(f"satellite,site,rise_utc,set_utc\n{HOSTILE},A,{span}\n")
        text = ELEMENTS.replace("{source: tle, path: PATH}", "{source: contacts, path: w.csv}")
        (tmp_path / "s.yaml").write_text(f"{text}link: {{preset: paper}}\n")
        found = leomix("contacts", tmp_path / "s.yaml")
    else:
        path = tmp_path / "elements"
        lines = [line for line in elements.splitlines() if line[:2] in ("1 ", "2 ")][:2]
        path.write_text("\n".join([HOSTILE, *lines]))
        if form == "omm":
            path.write_text(json.dumps({"OBJECT_NAME": HOSTILE}))
        span = ["--start", "2026-08-22T00:00:00Z", "--days", 0.1, "--min-elevation", 5]
        found = leomix("contacts", "--tle", path, "--site", "1,2", *span)
    refused(found, "cannot be shown")
    assert "\x1b" not in found.err


def test_messages_within_messages_are_not_read_over_and_over(
    leomix: Leomix, tmp_path: Path
) -> None:
    depth = 20_000
    path = tmp_path / "nested.xml"
    path.write_text("<omm>" * depth + "<segment>" * depth + "</segment>" * depth + "</omm>" * depth)
    span = ["--start", "2026-08-22T00:00:00Z", "--days", 0.1, "--min-elevation", 5]
    began = time.process_time()
    refused(leomix("contacts", "--tle", path, "--site", "1,2", *span), "nested.xml")
    assert time.process_time() - began < 1  # quadratic work would take minutes


@pytest.fixture(scope="module")
def timing_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("timing") / "run"
    sim.run(small.slots(learning={"train": False}), place)
    return place


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"status"', '"x": ' + "[" * 5000 + "]" * 5000 + ', "status"'),
        ('"simulated_s": ', '"simulated_s": [], "was": '),
        ('"energy": [', '"energy": [5, '),
        ('"scenario": {', '"scenario": {"ground": 5}, "was": {'),
    ],
)
def test_a_manifest_of_another_make_is_one_line(
    leomix: Leomix, timing_run: Path, tmp_path: Path, old: str, new: str
) -> None:
    shutil.copytree(timing_run, tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    for command in (["show"], ["compare"], ["report", "-o", tmp_path / "x.html"]):
        found = leomix(command[0], tmp_path / "run", *command[1:])
        assert found.status in (0, 2)
        if found.status == 2:
            refused(found, "leomix: ")
    assert leomix("show", tmp_path / "run").status == 2


NONE = {"backbone_steps": 0, "expert_steps": 0, "gate_steps": 0}


def test_a_journal_that_holds_no_scores_is_one_line(leomix: Leomix, tmp_path: Path) -> None:
    def stop(number: int) -> None:
        if number > 8:
            raise Interrupted("enough")

    scenario = small.slots(learning={"pretraining": NONE})
    with pytest.raises(Interrupted):
        sim.run(scenario, tmp_path / "run", each_event=stop)
    journal = tmp_path / "run" / "checkpoint" / "journal.json"
    text = journal.read_text()
    assert '"accuracy": ' in text
    said = json.loads(text.replace('"accuracy": ', '"accuracy": [], "was": ', 1))
    journal.write_text(json.dumps({**said, "checksum": checksum(said)}))
    with pytest.raises(SimulationError, match=r"the journal holds no scores; start anew"):
        sim.run(scenario, tmp_path / "run", resume=True)


def test_small_factors_of_a_huge_product_are_not_multiplied(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from tests.kit.training import CONFIG, WEIGHTS, Names, read_adapter

    wide = 1 << 20  # their product would take four terabytes
    key = "base_model.model.moe.experts.0.up"
    factors = {"lora_A": torch.ones(1, wide), "lora_B": torch.ones(wide, 1)}
    save_file({f"{key}.{name}.weight": t for name, t in factors.items()}, tmp_path / WEIGHTS)
    said = {"r": 1, "lora_alpha": 1, "rank_pattern": {}, "alpha_pattern": {}}
    (tmp_path / CONFIG).write_text(json.dumps(said))
    shapes = {"expert.0.0.up.weight": (16, 16)}
    with pytest.raises(ValueError, match=r"shape \(1048576, 1048576\), which this model does not"):
        read_adapter(tmp_path, Names(("moe",)), shapes)


def test_a_table_of_contacts_holds_no_formulas(leomix: Leomix, tmp_path: Path) -> None:
    elements = scenarios.shipped_path("quickstart").with_name("iridium-106.tle").read_text()
    lines = [line for line in elements.splitlines() if line[:2] in ("1 ", "2 ")][:2]
    (tmp_path / "e.tle").write_text("\n".join(["=HYPERLINK(1)", *lines]))
    span = ["--start", "2026-08-22T00:00:00Z", "--days", 0.5, "--min-elevation", 5]
    out = tmp_path / "c.csv"
    found = leomix("contacts", "--tle", tmp_path / "e.tle", "--site", "@x=1,2", *span, "-o", out)
    assert found.status == 0
    rows = out.read_text().splitlines()[1:]

    names = {tuple(row.replace(chr(34), "").split(",")[:2]) for row in rows}
    assert names == {("'=HYPERLINK(1)", "'@x")}
