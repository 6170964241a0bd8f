"""What adds an extra to leomix, wherever it came from, and what `doctor` says of a clone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sim

HOME = Path(sim.__file__).resolve().parents[1]
ASK = (
    "from importlib.util import module_from_spec, spec_from_file_location as spec_of; import sys;"
    "spec = spec_of('found', sys.argv[1]); found = module_from_spec(spec);"
    "spec.loader.exec_module(found); print(found.install_line(sys.argv[2]))"
)


def laid_out(place, *, as_clone):
    """A folder with the packages of leomix, empty but for the module that is asked."""
    for name in ("statements", "orbit", "channel", "learning", "scenarios", "sim"):
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").touch()
    (place / "sim/process").mkdir()
    (place / "leomix.py").touch()
    shutil.copy(HOME / "sim/process/installation.py", place / "sim/process")
    if as_clone:
        for name in ("setup.cfg", "constraints-flower.txt"):
            shutil.copy(HOME / name, place)
    return place


def line(place, extra="gym", here=None):
    """What a Python that has only this folder says, in another current folder."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", ASK, place / "sim/process/installation.py", extra],
        env={**os.environ, "PYTHONPATH": str(place)},
        cwd=here or "/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def installed(place, **told):
    """A folder as pip leaves it, with what it has noted of where leomix came from."""
    about = laid_out(place, as_clone=False) / "leomix-0.2.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: leomix\nVersion: 0.2.0\n")
    if told:
        (about / "direct_url.json").write_text(json.dumps(told))
    return place


def test_an_extra_is_installed_from_where_leomix_was(tmp_path):
    clone = laid_out(tmp_path / "my clone", as_clone=True)
    assert line(clone) == f'pip install "{clone}[gym]"'
    versions = f'-c "{clone / "constraints-flower.txt"}"'
    assert line(clone, "flower", here=clone) == f'pip install {versions} ".[flower]"'
    wheel = tmp_path / "leomix-0.2.0-py3-none-any.whl"
    wheel.touch()
    assert line(installed(tmp_path / "b", url=wheel.as_uri())) == f'pip install "{wheel}[gym]"'
    gone = installed(tmp_path / "c", url=(tmp_path / "gone").as_uri(), dir_info={})
    for place in (gone, installed(tmp_path / "d")):
        assert line(place) == 'pip install "leomix[gym]"'


@pytest.mark.parametrize("name", ["numpy.py", "sim"])
def test_doctor_knows_a_clone_of_leomix_from_files_with_its_names(
    leomix, tmp_path, monkeypatch, name
):
    clone = laid_out(tmp_path / "clone", as_clone=True)
    monkeypatch.chdir(clone)
    well = leomix("doctor")
    assert well.status == 0 and "rename" not in well.out
    assert f"{clone} is a clone of leomix" in well.out
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    if name.endswith(".py"):
        (other / name).touch()
    else:
        (other / name).mkdir()
        (other / name / "__init__.py").touch()
    unwell = leomix("doctor")
    assert unwell.status == 1 and f"{other / name}" in unwell.out and "; rename it" in unwell.out
