"""Nothing in the current folder is imported, but for what the user has named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kit.small import SLOTS, merged

ROOT = Path(__file__).resolve().parents[3]
TIMED = merged(SLOTS, {"learning": {"train": False}})
KEYS = {
    "model": {"model": {"kind": "ofevil"}},
    "data": {"data": {"kind": "ofevil"}},
    "policy": {"method": "aligned", "options": {"policy": "ofevil"}},
    "agent": {"method": "select", "options": {"agent": "ofevil"}},
    "gates": {"method": "nmoe", "options": {"gate_trainer": "ofevil"}},
    "utility": {"method": "fedspace", "options": {"utility": "ofevil"}},
    "method": {"method": "ofevil"},
    "metrics": {"metrics": ["ofevil"]},
}
"""Keys of learning that may name what an installed package adds."""


# -- a folder of somebody else's, in which any file that is imported leaves its name

GROUPS = ["agents", "datasets", "exports", "gates", "methods", "metrics", "models", "policies"]
GROUPS += ["utilities"]
OTHERS = ("torch.backends", "fsspec.specs", "dask.backends", "pandas_dataframe_backends")
"""Groups of entry points that libraries look up."""
NAMES = ["pytz", "numexpr", "bottleneck", "dill", "cuda", "pynvml", "sitecustomize", "of_theirs"]
NAMES += ["usercustomize", "pip", "fnmatch", "lazy_loader", "typer", "numpy", "pandas", "torch"]
NAMES += ["yaml"]
RAN = "ran.txt"
TRAP = f"open({RAN!r}, 'a').write(__name__ + '\\n')\n"

PROCESS = """
import importlib, json, sys
from importlib.machinery import PathFinder
from pathlib import Path

HERE = Path.cwd()
OURS = {"channel", "learning", "leomix", "orbit", "scenarios", "sim", "statements"}
OURS |= sys.stdlib_module_names


class Traps:
    # Lays a trap for each module that is asked for and not installed, before it is looked for.
    def find_spec(self, name, path=None, target=None):
        if path is None and name not in OURS and not (HERE / f"{name}.py").exists():
            installed = [place for place in sys.path if place not in ("", str(HERE))]
            if PathFinder.find_spec(name, installed) is None:
                (HERE / f"{name}.py").write_text(TRAP)
                importlib.invalidate_caches()


TRAP = sys.argv[1]
sys.meta_path.insert(0, Traps())
from sim.cli.app import status

for line in json.loads(sys.argv[2]):
    print(json.dumps([status(line), line]), flush=True)
"""
"""A script that runs the lines of its second argument as commands, in one process."""


def lay(folder):
    """Put modules, and a distribution that adds to everything, into a folder."""
    for name in NAMES:
        (folder / f"{name}.py").write_text(TRAP)
    about = folder / "evil-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    groups = [*(f"leomix.{group}" for group in GROUPS), *OTHERS]
    lines = [f"[{group}]\nofevil = of_theirs:Thing\n" for group in groups]
    (about / "entry_points.txt").write_text("\n".join(lines))
    (folder / "matplotlibrc").write_text("backend: module://of_theirs\n")


def ran(folder):
    """Return the names of the modules that were imported from a folder, each once, sorted."""
    path = folder / RAN
    return sorted(set(path.read_text().split())) if path.exists() else []


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    place = tmp_path / "theirs"
    place.mkdir()
    lay(place)
    for name, mapping in {"s.yaml": SLOTS, "timed.yaml": TIMED}.items():
        (place / name).write_text(yaml.safe_dump(mapping))
    for name, change in KEYS.items():
        (place / f"{name}.yaml").write_text(yaml.safe_dump(merged(SLOTS, {"learning": change})))
    return place


def in_one_process(folder, lines):
    """Run commands in ``folder``, as the console script would; return how each has ended."""
    script = folder.with_name("bin") / "script.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(PROCESS)
    line = [sys.executable, str(script), TRAP, json.dumps(lines)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    said = [row for row in done.stdout.splitlines() if row.startswith("[") and row.endswith("]]")]
    ends = {" ".join(row): status for status, row in map(json.loads, said)}
    assert len(ends) == len(lines), {" ".join(row) for row in lines} - ends.keys()
    return ends


COMMANDS = """
list; list --schema; contacts quickstart; link quickstart; validate s.yaml
sweep s.yaml -p seed=1 --dry-run; run s.yaml -o run --quiet
run timed.yaml -o timed --quiet
compare run timed; report run
show run --json; show run
export run --to csv; export run --to perfetto; export run --to peft
new mine.yaml
sweep s.yaml --set learning.data.validation=0.2 -p learning.step_size=0.1,0.2 -o tried --quiet
report tried; compare tried --best-by validation -o chosen.yaml
"""


@pytest.mark.process
def test_no_command_imports_what_lies_in_the_current_folder(folder):
    wrong = [["validate", f"{key}.yaml"] for key in KEYS]
    wrong += [["export", "run", "--to", "ofevil"]]
    right = [line.strip() for line in COMMANDS.replace("\n", ";").split(";") if line.strip()]
    ends = in_one_process(folder, [["doctor"], *wrong, *(line.split() for line in right)])
    assert ran(folder) == []
    assert all(ends[" ".join(line)] == 2 for line in wrong)
    assert [line for line in right if ends[line]] == []


@pytest.mark.process
@pytest.mark.parametrize("start", [["-m", "leomix"], ["-m", "sim"], ["-c", "MAIN"]], ids=" ".join)
def test_nor_does_it_where_python_would_look_there_first(folder, start):
    """The names of typer and fnmatch are those of modules that leomix imports, too."""
    start = [part.replace("MAIN", "from sim.cli import main; main()") for part in start]
    if start[0] == "-c":  # here Python itself looks there before anything of leomix
        for name in {*NAMES} - {"pytz", "of_theirs"}:
            (folder / f"{name}.py").unlink()
    line = [sys.executable, *start, "validate", "method.yaml"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, ran(folder)) == (2, [])
    assert "learning.method: no method 'ofevil'; known are " in done.stderr


MINE = """
import importlib, beside

def net(config, spec):
    from torch import nn
    import later
    importlib.import_module("by_" + "name")
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.shape[0], spec.classes))
"""


@pytest.mark.process
def test_what_the_user_names_is_imported_with_what_it_imports_and_nothing_else(folder):
    for name in ("beside", "later", "by_name"):
        (folder / f"{name}.py").write_text(TRAP)
    (folder / "mine.py").write_text(MINE)
    (folder / "net.yaml").write_text(yaml.safe_dump(SLOTS | {"learning": {"method": "fedavg"}}))
    # The workers of a sweep are processes of their own.
    more = "--set learning.model.kind=mine:net --set stop.cycles=1 --quiet --no-cache"
    sweep = f"sweep net.yaml -p seed=1 -o sweep {more}".split()
    assert set(in_one_process(folder, [sweep]).values()) == {0}
    assert ran(folder) == ["beside", "by_name", "later"]


SPAWNS = """
import multiprocessing

import beside

if multiprocessing.parent_process() is None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("twice 2 is", pool.map(beside.twice, [beside.Two()]))

def net(config, spec):
    from torch import nn
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.shape[0], spec.classes))
"""
BESIDE = """
class Two:
    number = 2

def twice(two):
    import later
    return later.double(two.number)
"""


@pytest.mark.process
def test_processes_that_the_users_code_starts_find_its_modules_too(folder):
    (folder / "mine.py").write_text(SPAWNS)
    (folder / "beside.py").write_text(BESIDE)
    (folder / "later.py").write_text("def double(number): return 2 * number\n")
    (folder / "net.yaml").write_text(yaml.safe_dump(SLOTS | {"learning": {"method": "fedavg"}}))
    line = ["-m", "leomix", "validate", "net.yaml", "--set", "learning.model.kind=mine:net"]
    done = subprocess.run(
        [sys.executable, *line], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, ran(folder)) == (0, []), done.stderr
    assert "twice 2 is [4]" in done.stdout
