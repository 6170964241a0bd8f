"""Code of one's own by content: which edits make another digest, and which do not."""

import importlib
import sys

import pytest

from tests.kit.inner.learning import METHODS, code_digest

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
