"""Whole outputs of commands, as tests/approved has them; ``--approve`` writes them anew.

All runs are timing only: what is learnt moves a little between processors.
"""

import re
import shlex
from pathlib import Path

import pytest
import typer

from sim.analysis.figures import figure_listed
from sim.formatting import legend_of

APPROVED = Path(__file__).with_name("approved")
TIMING = "--set learning.train=false --set stop.cycles=3 --quiet"
MADE = [
    f"run paper-slots {TIMING} -o run",
    f"run paper-slots {TIMING} --set learning.method=synchronous -o other",
    "run three-stations --set stop.days=0.25 --quiet -o study",
    f"sweep paper-slots {TIMING} -p learning.rounds.per_contact=1,2,4 -o swept",
]
COMMANDS = (
    "run fly sweep contacts link capacity validate list show compare report export new doctor"
)
HELPS = ["--help", *(f"{name} --help" for name in COMMANDS.split())]
OLD_TYPER = int(typer.__version__.split(".")[1]) < 29 and typer.__version__.startswith("0.")
"""Whether Typer writes help otherwise than in what is approved."""
OUTPUTS = [
    *HELPS,
    *("new mine", "show run", "show study", "show nothing"),
    *("compare run other", "compare run other --all", "compare swept", "compare run study"),
    "validate circular --set stop.days=1 --set learning.train=false "
    "--set 'faults.planned=[{cluster: Munich, from_hours: 1, to_hours: 5}]'",
    "validate paper-slots --set learning.train=false --set link.uplink.fixed_rate_mbps=0.0001",
    "validate paper-slots --set learning.train=false --set learning.model.experts=3 "
    "--set 'learning.sized_as={kind: llama-3-8b-x3}'",
    "validate three-stations --set stop.days=0.25",
    *("contacts quickstart --summary", "contacts paper-slots --summary"),
    *("contacts walker --set stop.days=0.05", "contacts walker --set stop.days=0.02 --isl"),
    *("link quickstart", "link quickstart --contact 3", "link paper-slots"),
    "capacity flystack --set stop.days=0.2",
    *("capacity paper-slots", "capacity fedsat --set stop.days=1 --without Bremen"),
    "capacity three-stations --set stop.days=0.25 --without Matera",
]
VARIES = {
    r"(?<=complete; )\S+ \w+; trace \w+": "...",
    r"\b[\d.]+ [kMGT]B (?=are free)": "... ",
    r"(?<=^about )[\d.]+ MB": "...",
    r"(?<=sha256)( +)[0-9a-f]{16}": r"\1...",
    r"(?<=:\d\d:\d\d)\.\d{3}Z": ".ooo",
    r"Version [\w.]+\.$": "Version ...",
}
"""What another machine or another day changes, and what stands in its place."""


@pytest.fixture
def place(runs, monkeypatch, leomix, tmp_path):
    """A folder with the runs and the sweep; what a command writes goes to a copy."""

    def make(folder):
        folder.mkdir()
        monkeypatch.chdir(folder)
        for line in MADE:
            assert leomix(*shlex.split(line)).status == 0, line

    made = runs.made("approved", make)
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", OUTPUTS)
def test_a_command_says_what_is_approved(line, place, leomix, approved, monkeypatch):
    if OLD_TYPER and line in HELPS:
        pytest.skip("help is approved with Typer 0.29")
    monkeypatch.setenv("COLUMNS", "80")
    done = leomix(*shlex.split(line))
    found = f"$ leomix {line}\n{done.out}{done.err}exit {done.status}\n"
    for varies, instead in VARIES.items():
        found = re.sub(varies, instead, found, flags=re.MULTILINE)
    path = APPROVED / (re.sub(r"[^\w.]+", "-", line).strip("-") + ".txt")
    approved(found, path.read_text() if path.exists() else "", path)


def test_nothing_else_is_approved():
    names = {re.sub(r"[^\w.]+", "-", line).strip("-") for line in OUTPUTS}
    assert {path.stem for path in APPROVED.iterdir()} == names


@pytest.mark.parametrize("command", ["compare", "sweep"])
def test_help_explains_heads_that_the_table_prints(command):
    """Each under the key of its figure: what was renamed or left has no line."""
    for key, (head, _) in legend_of(command).items():
        column = f"{key}_0.80" if key.endswith("_to") else key
        assert figure_listed(column).head in (head, f"{head} 80 %")


def test_help_of_capacity_explains_heads_that_its_tables_print():
    tables = [
        path.read_text() for path in APPROVED.glob("capacity-*.txt") if "help" not in path.stem
    ]
    printed = {*re.findall(r"[\w%]+", " ".join(tables))}
    for head, _ in legend_of("capacity").values():
        assert {*re.findall(r"\w+", head)} <= printed
