"""Sites from CSV: what is read, and that every mistake is named with its line."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orbit

GOOD = """\
# stations of the north
name,latitude_deg,longitude_deg,altitude_m,min_elevation_deg

Zurich,47.37,8.54,408,10
 "Svalbard, Platåberget", 78.23 ,15.39,,

  # and of "the south, with commas
Troll,-72.01,2.53,1270,5.5
"""


@pytest.fixture
def written(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "sites.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_sites_are_read_in_order_with_comments_and_blanks(written, line_end, encoding):
    path = written(GOOD.replace("\n", line_end), encoding)
    assert orbit.read_sites(path) == [
        orbit.Site("Zurich", 47.37, 8.54, 408.0, 10.0),
        orbit.Site("Svalbard, Platåberget", 78.23, 15.39),
        orbit.Site("Troll", -72.01, 2.53, 1270.0, 5.5),
    ]


def test_columns_may_come_in_any_order_and_only_two_are_needed(written):
    path = written("longitude_deg , latitude_deg\n 8.5, 47\n-0.5,+51.5\n1e1,-3")
    assert orbit.read_sites(str(path)) == [
        orbit.Site("0", 47.0, 8.5), orbit.Site("1", 51.5, -0.5), orbit.Site("2", -3.0, 10.0),
    ]  # fmt: skip


sites = st.builds(
    orbit.Site,
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
        lambda name: not name.startswith("#")
    ),
    st.floats(-90, 90),
    st.floats(-180, 360, exclude_max=True),
    st.floats(-500, 9000),
    st.none() | st.floats(0, 90, exclude_max=True),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(sites, min_size=1, max_size=8, unique_by=lambda site: site.name))
def test_what_the_csv_module_writes_is_read_back_exactly(written, places):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["name", "latitude_deg", "longitude_deg", "altitude_m", "min_elevation_deg"])
    for site in places:
        rows.writerow(
            [site.name, site.latitude_deg, site.longitude_deg, site.altitude_m,
             site.min_elevation_deg]
        )  # fmt: skip
    assert orbit.read_sites(written(text.getvalue())) == places


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no rows found; give a header line"),
        ("# only this\n\n", 1, "no rows found"),
        ("\nlatitude_deg,longitude_deg\n", 2, "no rows found"),
        ("latitude,longitude_deg\n1,2", 1, "column 'latitude' is unknown; did you mean 'latitude_"),
        (
            "latitude_deg,longitude_deg,colour\n1,2,3",
            1,
            "'colour' is unknown; there are 'name', 'lat",
        ),
        ("Latitude_deg,longitude_deg\n1,2", 1, "did you mean 'latitude_deg'"),
        ("latitude_deg,name\n1,x", 1, "column 'longitude_deg' is missing; add it"),
        ("latitude_deg,longitude_deg,latitude_deg\n1,2,1", 1, "'latitude_deg' comes twice"),
        ("latitude_deg;longitude_deg\n1;2", 1, "not separated by commas"),
        ("latitude_deg\tlongitude_deg\n1\t2", 1, "not separated by commas; save the table with"),
        ("name\tlatitude_deg\tlongitude_deg\na, b\t1\t2", 1, "not separated by commas"),
        ('name,latitude_deg,longitude_deg\n"a\nb",1,2', 3, "characters that cannot be shown"),
        ("latitude_deg,longitude_deg\n1,2\n\n91,2", 4, "latitude_deg 91.0 is outside -90 to 90"),
        ("latitude_deg,longitude_deg\n1,360", 2, "longitude_deg 360.0 is outside"),
        ("latitude_deg,longitude_deg\nnorth,2", 2, "latitude_deg 'north' is not a number"),
        ("latitude_deg,longitude_deg\n,2", 2, "latitude_deg '' is not a number"),
        ("latitude_deg,longitude_deg\nnan,2", 2, "latitude_deg 'nan' is not a number"),
        ("latitude_deg,longitude_deg\n1_0,2", 2, "latitude_deg '1_0' is not a number"),
        ("latitude_deg,longitude_deg\n1,2,3", 2, "cells in the row: 3, in the header: 2"),
        ("latitude_deg,longitude_deg\n1", 2, "cells in the row: 1, in the header: 2"),
        ("latitude_deg,longitude_deg,altitude_m\n1,2,9001", 2, "altitude_m 9001.0 is outside"),
        ("latitude_deg,longitude_deg,min_elevation_deg\n1,2,90", 2, "min_elevation_deg 90.0 is"),
        ("name,latitude_deg,longitude_deg\na,1,2\n,3,4", 3, "name is empty; give a name"),
        ("name,latitude_deg,longitude_deg\na,1,2\na,3,4", 3, "site 'a' is there already"),
        ('name,latitude_deg,longitude_deg\n"a,1,2\nb,3,4', 3, "check the quotation marks"),
    ],
)
def test_every_mistake_is_one_line_that_names_its_place(written, text, line, words):
    path = written(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}:{line}: ") as caught:
        orbit.read_sites(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_in_another_encoding_is_named(written):
    with pytest.raises(ValueError, match=r"sites.csv:1: not UTF-8 text .* save the table as CSV"):
        orbit.read_sites(written(GOOD, "latin-1"))


def test_a_binary_file_is_told_that_only_csv_is_read(tmp_path):
    path = tmp_path / "sites.csv"
    pd.DataFrame({"latitude_deg": [1.0], "longitude_deg": [2.0]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"sites.csv:1: a binary file, and only CSV is read; save"):
        orbit.read_sites(path)
    with pytest.raises(ValueError, match=r"sites.csv:1: a binary file, and only CSV is read; save"):
        orbit.read_windows(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from('name,latitude_deglongitude_deg123.5-;"#\n\r\t\x00é ')))
def test_whatever_is_written_the_mistake_is_one_line(written, text):
    path = written("latitude_deg,longitude_deg\n" + text)
    try:
        assert orbit.read_sites(path)
    except ValueError as error:
        assert re.match(rf"{re.escape(str(path))}:\d+: .*; .*$", str(error))


def test_devices_read_from_a_file_have_their_own_geometry(written, satellites, start):
    devices = orbit.read_sites(written(GOOD))
    seen = orbit.contact_geometry(satellites[8], devices, start, 0.0, 6000.0, 0.0)
    assert seen.aos_s.shape == (3,)
