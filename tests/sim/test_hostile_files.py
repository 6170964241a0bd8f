"""Files that somebody else has sent: what they may name, and what is never opened."""

import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

import scenarios
from learning import files
from tests.soak import fuzz, fuzz_forms

SLOTS = """\
stop: {cycles: 2}
orbit: {source: slots}
ground: {clusters: [{name: A, devices: 2}, {name: B}]}
link: {preset: paper}
compute: {seconds_per_round: 60}
"""
DATA = SLOTS + "learning: {train: false, data: {kind: npz, path: PATH}}\n"
CODE = {"method": "of_a_stranger:Method"}
ELEMENTS = """\
stop: {days: 0.1}
orbit: {source: tle, path: PATH}
ground: {clusters: [{name: A, latitude_deg: 1, longitude_deg: 2}]}
"""
SHIPPED = scenarios.shipped_path("quickstart").with_name("iridium-106.tle")
LINES = [line for line in SHIPPED.read_text().splitlines() if line[:2] in ("1 ", "2 ")][:2]
SPAN = ["--start", "2026-08-22T00:00:00Z", "--days", 0.5, "--min-elevation", 5]


def refused(found, *words):
    assert found.status == 2, found
    assert found.err.count("\n") == 1
    assert all(word in found.err for word in words), found.err


@pytest.fixture(scope="module")
def kinds():
    return fuzz.all_kinds()


KINDS = ("timing: run/manifest.json", "timing: run/events.parquet", "timing: run/metrics.parquet")
KINDS += ("stopped: run/checkpoint/journal.json", "sweep: run/sweep.json")
KINDS += ("checkpoint", "config.json", "adapter", "adapter config", "tokenizer")
KINDS += ("stopped: run/checkpoint/values/.*safetensors",)
DAMAGES = settings().max_examples // 3
"""5 of each form, the same each time, or 166 new ones with ``--deep``."""


@pytest.mark.wide
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_accepted_or_refused_in_one_line(name, kinds, tmp_path):
    """Of a folder, or of tensors; `make soak` damages thousands of all kinds."""
    [kind, *_] = (kind for known, kind in kinds.items() if re.fullmatch(name, known))
    tally = fuzz.fuzz(name, kind, DAMAGES, 7, tmp_path)
    assert not tally.wrong
    assert tally.ends.total() >= DAMAGES


# -- code


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A folder that somebody has sent, with a module in it, and a file outside of it."""
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "of_a_stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    (tmp_path / "secret.tle").write_text("nothing of theirs\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "of_a_stranger", raising=False)
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    return folder


def theirs(folder, learning):
    said = json.dumps({"learning": {"train": False, **learning}})
    (folder / "theirs.yaml").write_text(SLOTS + said[1:-1])
    return "theirs.yaml"


CODES = [
    ("sweep", CODE),
    ("run", {"model": {"kind": "of_a_stranger:Model"}}),
    ("validate", {"data": {"kind": "of_a_stranger:data"}}),
    ("validate", {"method": "aligned", "options": {"deep": [{"er": "of_a_stranger:x"}]}}),
]


@pytest.mark.parametrize(("command", "learning"), CODES)
def test_a_scenario_file_runs_no_code_of_its_own(leomix, stranger, command, learning):
    more = ["-p", "seed=1,2", "-o", "out"] if command == "sweep" else []
    found = leomix(command, theirs(stranger, learning), *more)
    refused(found, "theirs.yaml", "learning.", "names Python code", "LEOMIX_ALLOW_CODE=1", "--set")
    assert not (stranger.parent / "ran").exists()
    if command == "sweep":  # what the user names himself is run
        said = f"learning.method={CODE['method']}"
        refused(leomix("validate", "theirs.yaml", "--set", said), "has no attribute 'Method'")
        assert (stranger.parent / "ran").exists()


def test_a_manifest_runs_no_code_either(leomix, stranger, runs, monkeypatch):
    said = scenarios.load("paper-slots").model_dump(mode="json")
    said["learning"]["data"]["kind"] = "of_a_stranger:data"
    with pytest.raises(scenarios.ScenarioError, match=r"learning\.data\.kind: .*ALLOW_CODE"):
        scenarios.from_stored(said, {"stop.cycles": 1})
    own = scenarios.from_stored(said, {"learning.data.kind": "of_a_stranger:data"})
    assert own == scenarios.from_dict(said)
    folder = sent(runs, stranger, '"kind": "vector-moe"', '"kind": "of_a_stranger:Model"', "slots")
    export = ("export", folder, "--to", "peft")
    refused(leomix(*export), "LEOMIX_ALLOW_CODE=1")
    assert not (stranger.parent / "ran").exists()
    assert str(folder) in (told := leomix(*export).err) and "--set learning" not in told
    monkeypatch.setenv("LEOMIX_ALLOW_CODE", "1")
    assert leomix(*export).status != 0
    assert (stranger.parent / "ran").exists()


# -- paths


def test_relative_paths_stay_in_the_folder_of_their_scenario(leomix, stranger):
    (stranger / "link.tle").symlink_to(stranger.parent / "secret.tle")
    (stranger / "deep").mkdir()
    (stranger / "deep" / "out").symlink_to(stranger.parent)
    said = stranger / "theirs.yaml"
    for path in ("../secret.tle", "link.tle", "deep/../../secret.tle", "deep/out/secret.tle"):
        for text, key in ((ELEMENTS, "orbit.path"), (DATA, "learning.data.path")):
            said.write_text(text.replace("PATH", path))
            is_link = path == "link.tle" or path.startswith("deep/out")
            cure = ("is a link to", "copy the file", "--set") if is_link else ("--set",)
            said_so = "leads out of", "absolute path", *cure
            refused(leomix("validate", "theirs.yaml"), key, *said_so)
    said.write_text(DATA.replace("npz, path: PATH", "hf, path: deep"))
    refused(leomix("validate", "theirs.yaml"), "learning.data.path", "leads out of")
    # Absolute paths, and the user's own word, may lead anywhere.
    real = shutil.copy(SHIPPED, stranger.parent / "real.tle")
    for path, *more in ([str(real)], ["../real.tle", "--set", "orbit.path=../real.tle"]):
        said.write_text(ELEMENTS.replace("PATH", path))
        assert leomix("contacts", "theirs.yaml", *more).status == 0


@pytest.mark.parametrize("kind", ["tle", "npz", "jsonl"])
def test_what_is_no_regular_file_is_never_opened(leomix, tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    text = ELEMENTS if kind == "tle" else DATA.replace("npz", kind).replace("false", "true")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        (tmp_path / "s.yaml").write_text(text.replace("PATH", str(path)))
        refused(leomix("validate", tmp_path / "s.yaml"), str(path))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read")
@pytest.mark.parametrize("kind", ["elements", "jsonl", "npz", "places", "windows"])
def test_a_file_that_fails_while_it_is_read_is_named(leomix, tmp_path, kind):
    path = "/proc/self/mem"
    (tmp_path / "s.yaml").write_text(NAMED[kind].replace("PATH", path))
    refused(leomix("validate", tmp_path / "s.yaml"), path, "cannot be read")


WINDOWS = ELEMENTS.replace("source: tle", "source: contacts") + "link: {preset: paper}\n"
PLACES = ELEMENTS.replace("source: tle, path: PATH", "source: circular, altitude_km: 600")
PLACES = PLACES.replace("600", "600, inclination_deg: 98") + "start: 2026-08-22T00:00:00Z\n"
PLACES = PLACES.replace("longitude_deg: 2", "longitude_deg: 2, places_path: PATH")
NAMED = {"elements": ELEMENTS, "windows": WINDOWS, "places": PLACES}
NAMED |= {kind: DATA.replace("npz", kind).replace("false", "true") for kind in ("jsonl", "npz")}


@pytest.mark.parametrize("kind", NAMED)
def test_of_a_file_that_is_something_else_an_error_quotes_sixty_characters(leomix, tmp_path, kind):
    secrets = ["".join(f"{line}{n:04d}." for n in range(100)) for line in "abc"]
    secrets += ["[" + ",".join(f'"{n:04d}"' for n in range(300)) + "]"]
    (tmp_path / "s.yaml").write_text(NAMED[kind].replace("PATH", str(tmp_path / "file")))
    for text in ("\n".join(secrets), "\n".join(reversed(secrets)), ",".join(secrets)):
        (tmp_path / "file").write_text(text)
        found = leomix("validate", tmp_path / "s.yaml")
        refused(found, str(tmp_path / "file"))
        quoted = [s for s in secrets if any(s[n : n + 12] in found.err for n in range(len(s) - 11))]
        assert len(quoted) <= 1
        assert not any(text[n : n + 61] in found.err for n in range(len(text) - 60))


@pytest.mark.parametrize("kind", ["elements", "windows", "places", "jsonl"])
def test_text_files_have_a_size_up_to_which_they_are_read(leomix, tmp_path, kind):
    path = tmp_path / "file"
    (tmp_path / "s.yaml").write_text(NAMED[kind].replace("PATH", str(path)))
    path.touch()
    os.truncate(path, 10_000_001 if kind == "jsonl" else 100_000_001)
    words = "line 1: is longer than 10000000 bytes" if kind == "jsonl" else "100"
    refused(leomix("validate", tmp_path / "s.yaml"), str(path), words)


def commands_that_read(run, place):
    yield from (["show", run], ["compare", run, run], ["report", run, "-o", place / "page.html"])
    yield ["export", run, "--to", "csv", "-o", place / "csv"]


@pytest.mark.wide
def test_a_table_of_more_rows_than_a_run_writes_is_refused_unread(
    leomix, runs, tmp_path, monkeypatch
):
    run = runs.copy("slots-timing", tmp_path)
    table = run / "transfers.parquet"
    equal = pq.read_table(table).slice(0, 1)
    while len(equal) < 2 << 20:
        equal = pa.concat_tables([equal, equal]).combine_chunks()
    varied = equal.slice(1 << 19).set_column(0, "transfer_id", pa.array(range(3 << 19)))
    for bomb, group in ((equal, 1 << 20), (varied, 3 << 19)):
        pq.write_table(bomb, table, compression="zstd", row_group_size=group)
        for command in commands_that_read(run, tmp_path):
            began = time.process_time()
            refused(leomix(*command), f"{table}: has {len(bomb)} rows in ", "which no run writes")
            assert time.process_time() - began < 1
    # The same rows, as a run would write them, are read in parts, and whole where memory allows.
    pq.write_table(varied, table, compression="zstd", row_group_size=1 << 18)
    assert leomix("show", run).status == 0
    monkeypatch.setattr("sim.trace.tables.free_bytes", lambda device: 300_000_000)
    refused(leomix(*command), f"{table}: needs about 393.22 MB of memory and 300.00 MB are free")


IN_PLACE = [
    ("stopped: .*values/.*", "a pipe"),
    ("stopped: .*values/.*", "a link to a device"),
    ("timing: run/metrics.parquet", "a pipe"),
    ("run: run/export/csv", "a link to a folder outside"),
    ("run: run/.report.html.part", "a link to a file outside"),
    ("stopped: run/checkpoint/values", "a link to a folder outside"),
    ("stopped: run/run.log", "a link to itself"),
    ("stopped: run/model", "a link to itself"),
    ("sweep: run/claims/[^/]*", "a pipe"),
    ("sweep: run/points/[^/]*", "a link to a folder outside"),
    ("sweep: run/workers.log", "a dangling link"),
    ("cache: cache/CACHEDIR.TAG", "a pipe"),
    ("cache: .*tensors", "a pipe"),
]


@pytest.mark.wide
@pytest.mark.parametrize(("place", "what"), IN_PLACE)
def test_whatever_is_in_the_place_of_a_file_no_command_hangs_or_leaves_its_folder(
    place, what, kinds, tmp_path
):
    """Some of what `make soak` puts in every place."""
    name = next(name for name in kinds if re.fullmatch(place, name))
    for read in kinds[name].reads:
        given = fuzz_forms.Input(what, fuzz_forms.OBJECTS[what])
        found = fuzz.tried(kinds[name], read, given, tmp_path, fuzz.apart)
        assert found in ("accepted", "refused"), read


@pytest.mark.parametrize("text", ["{}", "[" * 100_000 + "]" * 100_000], ids=len)
def test_a_broken_model_of_a_complete_run_leaves_its_tables(leomix, runs, tmp_path, text):
    run = runs.copy("slots", tmp_path)
    model = run / "model/model.safetensors"
    model.write_text(text)
    done = leomix("export", run, "--to", "peft")
    refused(done, f"{model}: is broken", "tables do not depend on it")
    assert leomix("show", run).status == 0


# -- claims


def test_arrays_and_headers_that_claim_too_much_are_refused(leomix, tmp_path):
    header = io.BytesIO()
    path = tmp_path / "model.safetensors"
    said = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**4)}
    np.lib.format.write_array_header_1_0(header, said)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(8))
        archive.writestr("y.npy", header.getvalue())
    (tmp_path / "s.yaml").write_text(DATA.replace("PATH", "bomb.npz").replace("false", "true"))
    refused(leomix("validate", tmp_path / "s.yaml"), "bomb.npz", "does not fill its")
    rows = 5_000_000
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((rows, 6), "f4"), y=np.zeros(rows, int))
    refused(leomix("validate", tmp_path / "s.yaml"), "bomb.npz", "times its size")
    for length in (files.LARGEST_HEADER_BYTES + 1, 2**63, 2**64 - 1):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(ValueError, match=rf"broken \(its header would have {length} bytes"):
            files.open_tensors(path)
    entry = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    many = b"{" + b",".join(entry % number for number in range(100_001)) + b"}"
    with pytest.raises(ValueError, match=r"100001 tensors"):
        files.check_header(len(many).to_bytes(8, "little") + many)


TEXTS = {
    "depth": (b"<ndm>" + b"<a>" * 33, "more than 32 elements inside"),
    "elements": (b"<omm>" + b"<a/>" * 2_500_000, "more than 100 elements for one satellite"),
    "messages": (b"<ndm>" + b"<omm/>" * 200_000, "more than 100000 entries"),
    "names": (b"<ndm>" + b"".join(b"<omm><a%d/></omm>" % n for n in range(9_000)), "1000 diff"),
    "attributes": (b"<omm " + b" ".join(b"a%d='>'" % n for n in range(900_000)), "a tag of more"),
    "field": (b"<omm><EPOCH>" + b"x" * 9_000_000, "a text of more than 16384 characters"),
    "lists": (b"[" + b"[]," * 3_000_000, "more than 100000 entries"),
    "list": (b'[{"a":[' + b"[]," * 3_000_000, "entry 1 has more than 16384 characters"),
    "cells": (b"EPOCH," + b'"\n",' * 500_000, "a row of more than 16384 characters"),
    "lines": (b"\n" * 9_000_000, "more than 5000000 lines"),
    "satellites": (b"1 25544U x\n" * 500_000, "more than 100000 entries"),
    "members": (b'{"member":[' + b"[]," * 3_000_000, "more than 100000 entries"),
    "fields": (
        b"{" + b'"a":{"b":1},' * 10 + b"".join(b'"%d":1,' % n for n in range(900_000)),
        "1000 fields",
    ),
    "objects": (b'{"a":' * 1_000_000, "more than 8 objects inside of one another"),
    "keywords": (b"A = 1\n" * 110_000, "more than 100000 entries"),
    "keys": (b"A = 1\n" + b"".join(b"A%d = 1\n" % n for n in range(50_000)), "1000 fields"),
}
SCAN = "import sys, resource, orbit; before = resource.getrusage(0).ru_maxrss\n"
SCAN += "*_, last = orbit.scan_satellites(open(sys.argv[1], encoding='utf-8').read(), 'it')\n"
SCAN += "print(last, resource.getrusage(0).ru_maxrss - before, sep='\\n')"


@pytest.mark.wide
@pytest.mark.parametrize("kind", TEXTS)
def test_elements_without_end_take_little_memory(tmp_path, kind):
    path, (text, words) = tmp_path / "e", TEXTS[kind]
    path.write_bytes(text)
    ran = subprocess.run([sys.executable, "-c", SCAN, path], capture_output=True, text=True)
    said, kb = ran.stdout.splitlines()
    assert words in said
    assert int(kb) * 1024 < 10 * max(len(text), 5_000_000)


TABLES = {
    "cells": b"," * 5_000_000,
    "names": b",".join(b"%d" % n for n in range(800_000)),
    "rows": b"satellite,site,rise_utc,set_utc\n" + b"a,b\n" * 2_000_000,
    "lines": b"\n" * 6_000_000,
    "texts": b'a,b\n"' + b"\n" * 5_000_000,
    "places": b"latitude_deg,longitude_deg\n" + b"1,2\n" * 1_200_000,
}


@pytest.mark.wide
@pytest.mark.parametrize("table", TABLES)
def test_tables_without_end_take_little_memory(table, kinds, tmp_path):
    given = fuzz_forms.Input.of(table, TABLES[table])
    for name in ("window CSV", "site CSV", "places CSV"):
        [read] = kinds[name].reads
        assert fuzz.tried(kinds[name], read, given, tmp_path, fuzz.apart) == "refused", name


@pytest.mark.wide
def test_as_many_stations_as_a_list_may_have_are_taken_from_a_file(leomix, tmp_path):
    places = [[number % 360 - 180, number % 140 - 70] for number in range(10_001)]
    features = [
        {
            "type": "Feature",
            "properties": {"name": f"S{number}"},
            "geometry": {"type": "Point", "coordinates": place},
        }
        for number, place in enumerate(places)
    ]
    path = tmp_path / "s.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    said = ["--set", "ground.stations=null", "--set", f"ground.stations_path={path}"]
    line = ["validate", "fedsat", *said, "--set", "learning.train=false"]
    began = time.process_time()
    refused(leomix(*line), f"ground.stations_path: {path} has 10001 stations", "stations_used")
    assert time.process_time() - began < 5


# -- names


def test_names_are_nothing_that_a_terminal_or_a_spreadsheet_obeys(leomix, tmp_path):
    path = tmp_path / "e.tle"
    out = tmp_path / "c.csv"
    line = ["contacts", "--tle", path, "--site", "@x=1,2", *SPAN]
    path.write_text("\n".join(["=1+1\x1b]0;x\x07", *LINES]))
    found = leomix(*line)
    refused(found, "cannot be shown")
    assert "\x1b" not in found.err
    path.write_text("\n".join(["=HYPERLINK(1)", *LINES]))
    assert leomix(*line, "-o", out).status == 0
    rows = out.read_text().replace('"', "").splitlines()[1:]
    assert {tuple(row.split(",")[:2]) for row in rows} == {("'=HYPERLINK(1)", "'@x")}


SAYING = [
    ("timing: run/manifest.json", (0, 2), fuzz_forms.MANY),  # show, compare: every text
    ("run: run/manifest.json", (-2,), 8),  # run --resume
    ("timing: run/transfers.parquet", (0, 2, 4), 6),
    ("sweep: run/sweep.json", (0, 3), 6),
    ("sweep: run/sweep.parquet", (0, 3), 6),
]


@pytest.mark.wide
@pytest.mark.parametrize(("name", "reads", "count"), SAYING)
def test_no_text_of_a_file_is_obeyed_by_a_terminal(name, reads, count, kinds, tmp_path):
    kind = replace(kinds[name], reads=tuple(kinds[name].reads[number] for number in reads))
    tally = fuzz.fuzz(name, kind, count, 7, tmp_path, ["controls"])
    assert not tally.wrong
    assert tally.ends.total() > count // 10


# -- manifests


def sent(runs, place, old, new, kind="slots-timing"):
    """A run folder of which the manifest says something else."""
    manifest = runs.copy(kind, place) / "manifest.json"
    text = json.dumps(json.loads(manifest.read_text()))
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    return manifest.parent


@pytest.fixture
def as_stranger():
    """Whoever asks has no permission for files of mode 0, as root has."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


@pytest.mark.parametrize("name", ["manifest.json", "s/sweep.parquet"])
def test_a_file_that_is_for_others_needs_a_permission(leomix, runs, request, tmp_path, name):
    """And no run that is done again."""
    place = Path(tempfile.mkdtemp())  # which strangers may enter
    place.chmod(0o755)
    if name.startswith("s/"):
        folder = place / "s"
        keys = ("--set", "learning.train=false", "--set", "stop.cycles=1", "-p", "seed=1")
        assert leomix("sweep", "paper-slots", *keys, "-o", folder).status == 0
    else:
        folder = runs.copy("slots-timing", place)
    file = folder / Path(name).name
    file.chmod(0)
    assert leomix("compare", folder).status == (0 if os.geteuid() == 0 else 2)  # and is imported
    request.getfixturevalue("as_stranger")
    refused(leomix("compare", folder), f"{file}: ", "Permission denied", "get the permission")
    assert "again" not in leomix("compare", folder).err
    assert "--resume" not in leomix("compare", folder).err


LONG = "X" * 3_000_000
SAID = {"code": "other", "severity": "note", "keys": [], "values": {"x": 1}, "remedies": []}
ODD_KEYS = {  # by its path: what stands there (...: the key is renamed), and what is said of it
    "status": (LONG, "should be complete, failed or interrupted, got 'XXX"),
    "start_utc": ("yesterday", "should be a date and time with its zone, got 'yesterday'"),
    "seed": ("1", "should be a whole number, got '1'"),
    "simulated_s": (math.nan, "should be a number, got nan"),
    "method": (..., "is missing"),
    "name": (LONG, "should be a text of at most 10000 letters, got 'XXX"),
    "energy.0.training_j": (..., "is missing"),
    "energy.0": ([], "should be a mapping, got a list"),
    "said.0": (SAID | {"code": "X" * 4000, "text": "so"}, "is no warning or note of leomix"),
    "said.1": (SAID, "is no warning or note of leomix"),
    "scenario.learning.batch_size": (..., "is missing"),
    "checks": ([{"code": "x", "key": None}], "checks.0.sentence: is missing"),
}


@pytest.mark.parametrize("path", ODD_KEYS)
def test_an_odd_manifest_is_refused_by_its_file_and_key(leomix, runs, tmp_path, path):
    file = runs.copy("slots-timing", tmp_path) / "manifest.json"
    manifest = json.loads(file.read_text())
    sound = {"text": "so", **SAID}
    manifest["said"] = [sound, sound]
    file.write_text(json.dumps(manifest))
    assert leomix("show", file.parent).status == 0
    value, said = ODD_KEYS[path]
    *above, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    held = manifest
    for key in above:
        held = held[key]
    if value is ...:
        held[f"{last}x"] = held.pop(last)
    else:
        held[last] = value
    file.write_text(json.dumps(manifest))
    line = f"leomix: {file}: {said}" if path in said else f"leomix: {file}: {path}: {said}"
    for command in ("show", "compare", "report", "export"):
        more = ["--to", "csv"] if command == "export" else []
        found = leomix(command, file.parent, *more)
        refused(found, "; the run has to be done again")
        assert found.err.startswith(line) and len(found.err) < len(line) + 150
