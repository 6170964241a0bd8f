"""Every file that is no scenario is refused by name, and element files are found beside theirs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import scenarios

Write = Callable[[str | bytes], Path]
Refusal = Callable[..., str]


def refused(path: str | Path) -> str:
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.load(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_missing_file_is_told_with_the_shipped_names() -> None:
    assert refused("nowhere.yaml").startswith("nowhere.yaml: no such file; shipped scenarios: ")


@pytest.mark.parametrize("name", ["quickstrat", "quickstart.yaml", "paper-slot"])
def test_a_slip_in_a_shipped_name_is_answered_with_the_right_one(name: str) -> None:
    near = "paper-slots" if name.startswith("paper") else "quickstart"
    assert refused(name) == f"{name}: no such file; did you mean {near!r}?"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path}: is a folder; give a .yaml file in it"


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refused(tmp_path / "pipe")


def test_a_path_below_a_file_is_refused(write: Write, slots: str) -> None:
    assert "cannot be read (Not a directory)" in refused(write(slots) / "deeper.yaml")


@pytest.mark.parametrize("path", ["a\0b.yaml", "a" * 5000])
def test_a_text_that_cannot_be_a_path_is_refused_in_a_short_line(path: str) -> None:
    assert len(refused(path)) < 200


@pytest.mark.parametrize(
    "content", [b"\x00\x01\x02", b"\xff\xfea\x00", b"a: \xe9\n", b"PK\x03\x04\x00"]
)
def test_a_binary_file_is_refused(refusal: Refusal, content: bytes) -> None:
    assert refusal(content) == "mine.yaml: is not text; save the YAML file as UTF-8"


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "null\n"])
def test_an_empty_file_is_refused(refusal: Refusal, content: str) -> None:
    assert refusal(content).startswith("mine.yaml: is empty; a scenario needs at least")


@pytest.mark.parametrize("content", ["\n- a\n- b\n", "\nhello\n", "\n5\n"])
def test_a_file_that_is_no_mapping_is_refused(refusal: Refusal, content: str) -> None:
    assert refusal(content).startswith("mine.yaml:2: is not a mapping; write keys such as orbit:")


def test_a_file_over_a_megabyte_is_refused_and_one_of_a_megabyte_is_read(
    refusal: Refusal, write: Write, slots: str
) -> None:
    padding = "#" * (1_000_000 - len(slots) - 1)
    assert scenarios.load(write(f"{slots}{padding}\n")).stop.cycles == 4
    assert (
        refusal(f"{slots}{padding}#\n") == "mine.yaml: is too large; at most 1000000 bytes are read"
    )


def test_a_syntax_error_names_file_and_line(refusal: Refusal, slots: str) -> None:
    assert refusal(f"{slots}learning: [1\n").startswith("mine.yaml:9: is not valid YAML: ")


def test_a_key_given_twice_names_both_lines(refusal: Refusal, slots: str) -> None:
    line = "mine.yaml:8: stop: is given twice (first on line 1); keep one"
    assert refusal(f"{slots}stop: {{cycles: 9}}\n") == line


def test_thousands_of_errors_are_counted_in_one_short_line(refusal: Refusal) -> None:
    message = refusal("".join(f"key{n}: 1\n" for n in range(9000)))
    assert message.startswith("mine.yaml:1: key0: is not a known key; ")
    assert message.endswith(" (and 9002 more)")


def test_windows_line_ends_and_a_byte_order_mark_are_read(write: Write, slots: str) -> None:
    content = b"\xef\xbb\xbf" + slots.replace("\n", "\r\n").encode()
    assert scenarios.load(write(content)) == scenarios.from_dict(
        scenarios.load(write(slots)).model_dump(mode="json")
    )


TLE = """\
stop: {days: 1}
orbit: {source: tle, path: %s}
ground: {clusters: [{name: A, latitude_deg: 0, longitude_deg: 0}]}
"""


def test_an_element_file_is_found_from_the_folder_of_the_scenario(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = scenarios.load(write(TLE % "sets/one.tle"))
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "one.tle").write_text("elements\n")
    monkeypatch.chdir("/")
    assert scenarios.element_file(scenario).read_text() == "elements\n"


def test_a_path_from_the_root_is_taken_as_it_is(write: Write, tmp_path: Path) -> None:
    (tmp_path / "one.tle").write_text("elements\n")
    scenario = scenarios.load("quickstart", {"orbit.path": str(tmp_path / "one.tle")})
    assert scenarios.element_file(scenario) == tmp_path / "one.tle"


@pytest.mark.parametrize("name", ["none.tle", ".", "x" * 3000, '"a\\0b"'])
def test_an_element_file_that_is_not_there_is_an_error_of_its_key(write: Write, name: str) -> None:
    path = write(TLE % name)
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.element_file(scenarios.load(path))
    assert str(caught.value).startswith(f"{path}: orbit.path: no file ")
    assert str(caught.value).endswith("; relative paths count from the scenario file")


def test_a_scenario_without_an_element_file_has_none_to_find(write: Write, slots: str) -> None:
    with pytest.raises(scenarios.ScenarioError, match=r"orbit\.path: is not given"):
        scenarios.element_file(scenarios.load(write(slots)))
