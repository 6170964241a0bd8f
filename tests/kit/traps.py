"""A folder of somebody else's, in which any file that is imported leaves its name."""

from __future__ import annotations

from pathlib import Path

GROUPS = ["agents", "datasets", "exports", "gates", "methods", "metrics", "models", "policies"]
GROUPS += ["utilities"]
OTHERS = ("torch.backends", "fsspec.specs", "dask.backends", "pandas_dataframe_backends")
"""Groups of entry points that libraries look up."""
NAMES = ["pytz", "numexpr", "bottleneck", "dill", "cuda", "pynvml", "sitecustomize", "of_theirs"]
NAMES += ["usercustomize", "pip", "fnmatch", "lazy_loader", "typer", "numpy", "pandas", "torch"]
NAMES += ["yaml"]
RAN = "ran.txt"
TRAP = f"open({RAN!r}, 'a').write(__name__ + '\\n')\n"

COMMANDS = """
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


def lay(folder: Path) -> None:
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


def ran(folder: Path) -> list[str]:
    """Return the names of the modules that were imported from a folder, each once, sorted."""
    path = folder / RAN
    return sorted(set(path.read_text().split())) if path.exists() else []
