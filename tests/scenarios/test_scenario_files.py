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


GROUND = "{clusters: [{name: A, latitude_deg: 0, longitude_deg: 0%s}]}"
NAMING = {
    "tle": ("orbit: {source: tle, path: %s}", ""),
    "omm": ("orbit: {source: omm, path: %s}", ""),
    "contacts": ("link: {preset: paper}\norbit: {source: contacts, path: %s}", ""),
    "places": ("orbit: {source: tle, path: x.tle}", ", places_path: %s"),
}
KEYS = dict.fromkeys(NAMING, "orbit.path") | {"places": "ground.clusters 'A': places_path"}


def text_naming(form: str, name: str) -> str:
    orbit, places = NAMING[form]
    text = f"stop: {{days: 1}}\n{orbit}\nground: {GROUND % places}\n"
    return text % name


def named_file(form: str, scenario: scenarios.Scenario) -> Path:
    if form == "places":
        return scenarios.places_file(scenario, 0)
    find = scenarios.windows_file if form == "contacts" else scenarios.element_file
    return find(scenario)


@pytest.mark.parametrize("form", NAMING)
def test_a_named_file_is_found_from_the_folder_of_the_scenario(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    scenario = scenarios.load(write(text_naming(form, "sets/one.txt")))
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "one.txt").write_text("lines\n")
    monkeypatch.chdir("/")
    assert named_file(form, scenario).read_text() == "lines\n"


@pytest.mark.parametrize("form", NAMING)
def test_a_path_from_the_root_is_taken_as_it_is(write: Write, tmp_path: Path, form: str) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "one.txt").write_text("lines\n")
    scenario = scenarios.load(write(text_naming(form, str(tmp_path / "far" / "one.txt"))))
    assert named_file(form, scenario) == tmp_path / "far" / "one.txt"


@pytest.mark.parametrize("form", NAMING)
@pytest.mark.parametrize("name", ["none.txt", ".", "x" * 3000, '"a\\0b"'])
def test_a_named_file_that_is_not_there_is_an_error_of_its_key(
    write: Write, form: str, name: str
) -> None:
    path = write(text_naming(form, name))
    with pytest.raises(scenarios.ScenarioError) as caught:
        named_file(form, scenarios.load(path))
    assert str(caught.value).startswith(f"{path}: {KEYS[form]}: no file ")
    assert str(caught.value).endswith("; relative paths count from the scenario file")


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("tle", "element file"),
        ("omm", "element file"),
        ("contacts", "window file"),
        ("places", "file of places"),
    ],
)
def test_a_scenario_that_names_no_file_has_none_to_find(
    write: Write, slots: str, form: str, kind: str
) -> None:
    path = write(slots)
    with pytest.raises(scenarios.ScenarioError) as caught:
        named_file(form, scenarios.load(path))
    key, tail = KEYS[form], f"is not given; there is no {kind} to read"
    assert str(caught.value) == f"{path}: {key}: {tail}"


def test_elements_are_no_windows_and_windows_no_elements(write: Write) -> None:
    of_contacts = scenarios.load(write(text_naming("contacts", "x.csv")))
    of_elements = scenarios.load(write(text_naming("omm", "x.json")))
    with pytest.raises(scenarios.ScenarioError, match="no element file"):
        scenarios.element_file(of_contacts)
    with pytest.raises(scenarios.ScenarioError, match="no window file"):
        scenarios.windows_file(of_elements)
