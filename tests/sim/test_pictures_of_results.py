"""Results in notebooks and in the terminal, and finished folders opened again."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import sim
from tests.kit import small
from tests.kit.network import InputError
from tests.kit.records import Result, load
from tests.kit.results import Spent, spent_text


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return sim.run(small.slots(), tmp_path_factory.mktemp("<i>runs") / "it")


def test_a_result_is_a_line(trained: Result) -> None:
    accuracy = trained.summary["accuracy_final"]
    wanted = f"Result(emsfl, 0.06 days, 3 cycles, accuracy {accuracy:.3f}, {trained.folder})"
    assert repr(trained) == wanted
    timing = sim.run(small.slots(learning={"train": False}))
    assert repr(timing) == "Result(emsfl, 0.06 days, 3 cycles)"
    failed = Result(timing.tables, {**timing.manifest, "status": "failed"})
    assert repr(failed) == "Result(emsfl, 0.06 days, 3 cycles, failed)"


def test_a_notebook_gets_an_escaped_table_and_the_picture(trained: Result) -> None:
    shown = trained._repr_html_()
    page = ElementTree.fromstring(shown)  # well-formed, so that nothing of a name is markup
    cells = {row[0].text: row[1].text for row in page.iter("tr")}
    assert cells["folder"] == str(trained.folder)
    assert "<i>" in cells["folder"]
    assert cells["method"] == "emsfl (seed 3, complete)"
    assert cells["critical path"] == spent_text(trained.critical_path.spent)
    image = page.find("img")
    assert image is not None
    kind, picture = image.attrib["src"].split(";base64,")
    assert kind == "data:image/svg+xml"
    svg = ElementTree.fromstring(base64.b64decode(picture))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"


def test_a_timing_only_run_shows_no_picture() -> None:
    shown = sim.run(small.slots(learning={"train": False}))._repr_html_()
    assert "<img" not in shown
    assert "accuracy" not in shown


def test_shares_of_time_are_sorted() -> None:
    spent = Spent(transmitting_s=1, queueing_s=0, training_s=25, waiting_s=74)
    assert spent_text(spent) == "74.0% waiting, 25.0% training, 1.0% transmitting, 0.0% queueing"


def test_a_folder_opened_again_is_the_same_result(trained: Result) -> None:
    assert trained.folder is not None
    again = load(str(trained.folder))
    assert again.summary == trained.summary
    assert again.critical_path == trained.critical_path
    assert repr(again) == repr(trained)
    assert again.folder == trained.folder


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: no run folder")):
        load(tmp_path)
