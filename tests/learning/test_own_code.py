"""Code of one's own by content: which edits make another digest, and which do not."""

import importlib
import sys

import numpy as np
import pytest

from learning import LearningConfig, ModelConfig
from learning.learner import Learner
from learning.methods.base import METHODS
from learning.own.code import code_digest
from learning.settings import Data
from tests.kit.learning_inputs import load_samples_anew

FILES = {
    "mine.py": "import math\nimport beside\nfrom pack.inner import part\n",
    "beside.py": "from deeper import VALUE\n",
    "deeper.py": "VALUE = 1\n",
    "pack/__init__.py": "",
    "pack/inner.py": "from . import sibling\nfrom .sibling import part\n",
    "pack/sibling.py": "part = 2\n",
    "unrelated.py": "y = 3\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_the_digest_is_of_a_module_and_all_that_it_imports_from_its_folder(folder, name):
    before = code_digest("mine:net")
    assert len(before) == 32 and "mine" not in sys.modules
    (folder / name).write_text((folder / name).read_text() + "# another line\n")
    assert (code_digest("mine:net") != before) == (name != "unrelated.py")


def test_what_has_no_file_has_no_digest(folder):
    names = "absent:net", "sys:net", "learning.data:digits", "absent.inner:net", "hub"
    assert list(map(code_digest, names)) == [""] * len(names)
    (folder / "broken.py").write_text("def :\n")
    assert code_digest("broken:net")


def test_a_process_runs_what_it_imported_until_it_imports_it_anew(folder):
    sys.path.append(str(folder))
    importlib.import_module("mine")
    before = code_digest("mine:net", running=True)
    assert before == code_digest("mine:net")
    (folder / "deeper.py").write_text("VALUE = 10\n")
    assert code_digest("mine:net", running=True) == before != code_digest("mine:net")
    for name in ("mine", "beside", "deeper"):
        del sys.modules[name]
    importlib.import_module("mine")
    assert code_digest("mine:net", running=True) == code_digest("mine:net") != before


BROKEN = {
    "zero": ("A = 1 / 0\n", "ZeroDivisionError: division by zero, {}.py:1); mend it there"),
    "syntax": ("A = 1\ndef :\n", "SyntaxError: invalid syntax, {}.py:2); mend it there"),
    "raises": ("\nraise KeyError('a')\n", "KeyError: 'a', {}.py:2); mend it there"),
    "ends": ("import sys\nsys.exit(4)\n", "SystemExit: 4, {}.py:2); mend it there"),
    "lacks": ("import numpyy\n", "'numpyy', {}.py:1); install numpyy, or mend the import"),
    "other": ("B = 1\n", "has no attribute 'A', read from {1}/{0}.py); name it MODULE:NAME"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_fails_while_it_is_imported_is_told_with_its_line(folder, case):
    for name, (text, _) in BROKEN.items():
        (folder / f"broken_{name}.py").write_text(text)
    module = f"broken_{case}"
    wanted = BROKEN[case][1]
    with pytest.raises(ValueError, match="cannot be imported") as refused:
        METHODS.find(f"{module}:A")
    told = str(refused.value)
    assert told.startswith(f"method '{module}:A' cannot be imported (")
    assert told.endswith(wanted.format(module, folder))
    assert "\n" not in told and ("MODULE:NAME" in told) == (case == "other")


NAMES = [
    *((name, r"cannot be imported \(.*\); name it MODULE:NAME") for name in (":A", "absent:A")),
    ("json:JSONDecoder", "'json:JSONDecoder' is no method; make it a subclass of"),
    ("learning:GlobalModelMethod", "has no method cluster; write one"),
]


@pytest.mark.parametrize(("name", "said"), NAMES)
def test_a_name_that_is_wrong_is_to_be_named_otherwise(folder, name, said):
    with pytest.raises(ValueError, match=said):
        METHODS.find(name)


def test_a_file_that_another_module_hides_is_told_by_both(folder):
    (folder / "colorsys.py").write_text("A = 1\n")
    said = r"read from /.*/colorsys\.py\); give colorsys\.py of this folder another name"
    with pytest.raises(ValueError, match=said):
        METHODS.find("colorsys:A")


WEIGHTS = """
import numpy as np
import torch
from pathlib import Path
from torch import nn

from learning.data import Dataset, Domain, Encoding, InputSpec, SampleArrays

HERE = Path(__file__).parent


class Net(nn.Linear):
    def __init__(self, spec):
        super().__init__(spec.shape[0], spec.classes)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(np.load(HERE / "weights.npy")))
        self.register_buffer("scale", torch.from_numpy(np.load(HERE / "scale.npy")), False)

    def forward(self, x):
        return super().forward(x * self.scale)


def data(config):
    x, y = np.load(HERE / "x.npy"), np.load(HERE / "y.npy")
    rows = np.arange(len(y))
    domains = [
        Domain(*(SampleArrays(part, y[part], 0 * part) for part in (own[:70], own[70:])))
        for own in np.split(rows, len(config.clusters))
    ]
    return Dataset(domains, lambda _: Encoding(InputSpec("vector", (3,), 2), lambda r: x[r]))
"""


def write_arrays(folder, changed=""):
    rng = np.random.default_rng(1)
    arrays = {
        "weights": rng.normal(size=(2, 3)).astype("f4"),
        "scale": np.ones(3, "f4"),
        "x": rng.normal(size=(200, 3)).astype("f4"),
        "y": rng.integers(0, 2, 200),
    }
    if changed:
        arrays[changed].flat[-1] += 1 - 2 * (arrays[changed].flat[-1] > 0)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@pytest.mark.parametrize(
    ("changed", "named"),
    [("weights", "weights"), ("scale", "weights"), ("x", "data"), ("y", "data"), ("", "")],
)
def test_digests_tell_apart_what_custom_code_makes_of_its_own_files(folder, changed, named):
    """Processes are told apart by what they hold in memory."""
    (folder / f"reads_{changed}.py").write_text(WEIGHTS)
    kinds = {"weights": f"reads_{changed}:Net", "data": f"reads_{changed}:data"}
    made = []
    for changes in ("", changed):
        write_arrays(folder, changes)
        config = LearningConfig(
            1, ("a", "b"), (1, 1),
            model=ModelConfig(kind=kinds["weights"]), data=Data(kind=kinds["data"]),
        )  # fmt: skip
        load_samples_anew()
        learner = Learner(config)
        assert learner.made_by_code() == {}
        learner.build()
        made.append(learner.made_by_code())
    assert made[0].keys() == {f"{what} of {kind}" for what, kind in kinds.items()}
    differ = {name for name in made[0] if made[0][name] != made[1][name]}
    assert differ == ({f"{named} of {kinds[named]}"} if named else set())
