"""Code of one's own by content: which edits make another digest, and which do not."""

import importlib
import sys

import pytest

from tests.kit.learning import code_digest, running_code_digest

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
    (tmp_path / "mine.py").write_text(FILES["mine.py"].replace("", ""))
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
    before = running_code_digest("mine:net")
    assert before == code_digest("mine:net")
    (folder / "deeper.py").write_text("VALUE = 10\n")
    assert running_code_digest("mine:net") == before != code_digest("mine:net")
    for name in ("mine", "beside", "deeper"):
        del sys.modules[name]
    importlib.import_module("mine")
    assert running_code_digest("mine:net") == code_digest("mine:net") != before
