"""The packages from outside: cheap to open, complete, and no dearer in use than they need to be."""

import inspect
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module, metadata
from pathlib import Path

import pytest

import leomix

PACKAGES = ("statements", "orbit", "channel", "learning", "scenarios", "sim")
HEAVY = {
    *("numpy", "scipy", "pandas", "torch", "matplotlib", "simpy", "skyfield", "sgp4", "sklearn"),
    *("transformers", "peft", "pyarrow", "pydantic", "yaml", "rich", "typer"),
}
ORBIT = """from datetime import datetime, timedelta, timezone
t = datetime(2026, 8, 22, tzinfo=timezone.utc)
s = orbit.circular_satellite('c', 600, 53, 0, 0, t)
orbit.contact_windows([s], [orbit.Site('a', 0, 0)], t, t + timedelta(days=1), 10)"""
CHANNEL = """link = channel.Link(2e9, 1e6, 0.0, 0.0, fading='rician')
channel.link_budget_terms(link, [30.0], altitude_m=6e5)"""
LEARNING = "[learning.find_method(name) for name in learning.method_names()]"
# Importing itur turns numpy's warnings off, which is undone.
ITU = """import importlib.util, numpy
before = numpy.geterr()
if importlib.util.find_spec('itur'): channel.itu_attenuation(48.0, 11.0, 500.0, 2e9, 1.0)
assert numpy.geterr() == before"""


def test_each_package_is_one_that_is_released():
    root = Path(__file__).parents[1]
    listed = ConfigParser()
    listed.read(root / "setup.cfg")
    places = (place.parent for name in PACKAGES for place in root.glob(f"{name}/**/__init__.py"))
    made = {".".join(place.relative_to(root).parts) for place in places}
    assert {*listed["options"]["packages"].split()} == made


READ_BY_WHAT_TELLS = {
    *(
        "sim.execution.folder",
        "sim.execution.model",
        "sim.execution.result",
        "sim.execution.study_text",
    ),
    *("sim.sweep.folder", "sim.sweep.points", "sim.sweep.rows"),
    *("sim.facts", "sim.process", "sim.trace"),
}
"""What pages and answers take beside each other: run folders, rows of sweeps, tables."""


def test_what_tells_of_runs_takes_what_is_listed_and_each_new_module_is_on_one_side():
    root = Path(__file__).parents[1]
    listed = ConfigParser()
    listed.read(root / "setup.cfg")
    contract = listed["importlinter:contract:telling"]
    sides = [*contract["source_modules"].split(), *contract["forbidden_modules"].split()]
    sides += sorted(READ_BY_WHAT_TELLS)
    assert len(sides) == len(set(sides))
    above = {"sim.cli"}  # it takes all
    split = {"sim.execution", "sim.sweep"}  # module by module
    packages = {f"sim.{place.parent.name}" for place in root.glob("sim/*/__init__.py")}
    modules = {
        f"{package}.{place.stem}"
        for package in split
        for place in root.glob(f"{package.replace('.', '/')}/*.py")
        if place.stem != "__init__"
    }
    assert {*sides} - {"sim.clock"} == (packages - above - split) | modules


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_there_and_documented_and_an_unknown_one_is_an_attribute_error(package):
    module = import_module(package)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        value = getattr(module, name)
        assert value.__doc__, name
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__.partition(".")[0] == package, name
    with pytest.raises(AttributeError, match=f"{package}'?.* attribute '?nothing"):
        module.nothing  # noqa: B018


@pytest.mark.process
@pytest.mark.parametrize(
    ("package", "code", "needs"),
    [
        *((package, f"dir({package}); {package}.__all__", set()) for package in PACKAGES),
        ("scenarios", "scenarios.load('quickstart')", {"pydantic", "yaml"}),
        ("channel", CHANNEL, {"numpy", "scipy"}),
        ("channel", ITU, HEAVY),
        ("orbit", ORBIT, {"numpy", "sgp4", "skyfield"}),
        ("learning", LEARNING, {"numpy", "pydantic"}),
    ],
)
def test_opening_and_using_a_package_loads_what_it_needs_and_no_other_package(package, code, needs):
    script = f"import {package}\n{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    loaded = {name.partition(".")[0] for name in modules}
    assert loaded & HEAVY <= needs
    others = {name for name in modules if name.partition(".")[0] in {*PACKAGES} - {package}}
    others = {name for name in others if name.partition(".")[0] != "statements"}  # below them all
    # Scenarios are composed of the settings of channel and learning, and of nothing else of them.
    settings = {"channel", "channel.settings", "learning", "learning.settings"}
    settings.add("learning.declarations")
    assert others <= (settings if package == "scenarios" else set())


@pytest.mark.process
def test_the_version_is_that_of_the_installation_and_takes_no_library():
    script = "import leomix, sys\nprint(leomix.__version__)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    number, modules = done.stdout.splitlines()
    assert number == metadata.version("leomix") == leomix.__version__
    assert not HEAVY & {name.partition(".")[0] for name in modules.split()}


def test_leomix_hands_on_what_a_user_needs(tmp_path):
    assert set(leomix.__all__) == set(dir(leomix)) and all(
        getattr(leomix, name) for name in dir(leomix)
    )
    scenario = leomix.load("paper-slots", {"stop.cycles": 2, "learning.train": False})
    result = leomix.run(scenario, out=tmp_path / "run")
    again = leomix.load(tmp_path / "run")
    assert again.manifest["trace_sha256"] == result.manifest["trace_sha256"]
    with pytest.raises(ValueError, match="takes no overrides"):
        leomix.load(tmp_path / "run", {"seed": 2})
    keys = {"orbit.slots.idle": [0, 1], "seed": "3,4"}
    fixed = {"stop.cycles": 2, "learning.train": False}
    swept = leomix.sweep("paper-slots", keys, tmp_path / "sweep", overrides=fixed)
    assert swept.rows.column("status").to_pylist() == ["complete"] * 4
    with pytest.raises(ValueError, match="'a,b'"):  # one value, not two
        leomix.sweep("paper-slots", {"start": ["a,b"]}, overrides=fixed)
    with pytest.raises(AttributeError, match="'leomix' has no attribute 'swep'") as unknown:
        leomix.swep  # noqa: B018
    assert (unknown.value.obj, unknown.value.name) == (leomix, "swep")  # Python names the nearest


@pytest.mark.process
def test_leomix_testing_is_imported_by_its_name_without_torch_and_pytest():
    script = "import leomix.testing as face\nfrom leomix.testing import *\nimport sys\n"
    script += "assert face.check_method is check_method and face.Finding is Finding\n"
    script += "print(*{'torch', 'pytest'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


@pytest.mark.process
@pytest.mark.parametrize("module", ["leomix", "sim"])
def test_a_module_that_is_run_is_the_command(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True)
    assert (done.returncode, done.stdout.split()[:1]) == (0, [b"leomix"]), done.stderr


@pytest.mark.process
def test_a_package_of_the_users_that_has_our_name_is_named(tmp_path):
    place = tmp_path / "sim" / "__init__.py"
    place.parent.mkdir()
    place.touch()
    script = "import leomix\nassert leomix.orbit\nleomix.run"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: import sim: comes from {place.parent}, not from leomix")
