"""Places as tools write them, in tables and GeoJSON: what is read of them, and what is refused."""

import json
import os
import re

import numpy as np
import pytest

import orbit
from tests.kit.skies import refused


def _file(folder, content):
    """A file of text, or of what JSON writes: no name tells its form."""
    path = folder / "places.dat"
    path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode())
    return path


def _feature(properties, at=(11.6, 48.1), **more):
    point = {"type": "Point", "coordinates": at}
    return {"type": "Feature", "geometry": point, "properties": properties, **more}


def _features(*features):
    return {"type": "FeatureCollection", "features": features}


HIGH = (11.6, 48.1, 520.0)
HERE = orbit.Site("M", 48.1, 11.6)
DISH = orbit.Site("M", 48.1, 11.6, 520.0, 5.0)
BOTH = [orbit.Site("M", 48.1, 11.6, 500.0), orbit.Site("N", -3.0, 1.0)]
SAME = {"name": "M", "altitude_km": 0.52, "altitude": "520.0", "elmask": 5}
OTHER = {"provider": "AWS", "bands": ["S"], "altitudeMode": "clampToGround", "el_bias_deg": 0.1}
SPACED = """\
# stations of the north
longitude_deg , latitude_deg,name,altitude_m,min_elevation_deg

8.54,47.37,Zurich,408,10
15.39, 78.23 , "Svalbard, Platåberget",,
   \t
  # and of "the south, with commas
2.53,-72.01,Troll,1e3,+5.5
"""
NORTH = [
    orbit.Site("Zurich", 47.37, 8.54, 408.0, 10.0),
    orbit.Site("Svalbard, Platåberget", 78.23, 15.39),
    orbit.Site("Troll", -72.01, 2.53, 1000.0, 5.5),
]
READ = {
    "comments, blanks, signs": (SPACED, NORTH),
    "a mark, other ends of lines": ("\ufeff" + SPACED.replace("\n", "\r\n"), NORTH),
    "an old Mac's lines": (SPACED.replace("\n", "\r"), NORTH),
    "index": (",name,latitude_deg,longitude_deg,altitude_m\n0,M,48.1,11.6,500\n1,N,-3,1,\n", BOTH),
    "semicolons": ("name;latitude_deg;longitude_deg;altitude_m\nM;48,1;11,6;5e2\nN;-3;1;\n", BOTH),
    "tabs": ("Name\tLatitude_deg\tLongitude Deg\tAltitude\nM\t48.1\t11.6\t500\nN\t-3\t1\t\n", BOTH),
    "short": ("name,lat,lon,alt\nM,48.1,11.6,500\nN,-3,1,nan\n", BOTH),
    "km": ('name,lat,lng,"altitude (km)"\nM,48.1,11.6,0.5\nN,-3,1,\n', BOTH),
    "report": ("Report\n\nname  lat  lon  alt\n----  ---\nM  48.1  11.6  500\nN  -3  1  -\n", BOTH),
    "no names": ("lat,lon,alt,min_elevation_deg\n48.1,11.6,null,NaN\n48.1,11.6,,None\n",
                 [orbit.Site("0", 48.1, 11.6), orbit.Site("1", 48.1, 11.6)]),
    "features": (_features(_feature(SAME, HIGH), _feature(None, (1, -3, None))),
                 [DISH, orbit.Site("1", -3.0, 1.0)]),
    "features in a list": ([_feature({"name": "M"})], [HERE]),
    "columns of a table": (
        _feature({"Name": "M", "ALTITUDE_M": "520", "min_elevation_deg": 5, "latitude_deg": 48}),
        [DISH]),
    "other things": (
        _feature({"name": "M", "el_min_deg": 5, "el_max_deg": 85, "height": None, **OTHER}, HIGH),
        [DISH]),
    "beside the properties": (_feature({"name": "M"}, HIGH, min_elevation_deg=5), [DISH]),
    "the place again": (
        _feature({**SAME, "lat": 48.14, "lng": 371.6, "longitude": "11.6 E"}, HIGH), [DISH]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sites"), READ.values(), ids=READ)
def test_places_are_read_from_every_form(tmp_path, content, sites):
    assert orbit.read_sites(_file(tmp_path, content)) == sites


NAMES = (
    ({"name": "N", "title": "T", "id": 7}, "N"), ({"title": "T", "id": 7}, "T"),
    ({"id": 7, "station_name": "S"}, "S"), ({"id": 7}, "7"), (None, "F"),
)  # fmt: skip


@pytest.mark.parametrize(("properties", "name"), NAMES)
def test_a_feature_has_its_name_title_or_id_for_a_name(tmp_path, properties, name):
    [site] = orbit.read_sites(_file(tmp_path, _feature(properties, id="F")))
    assert site.name == name


WORDS = (
    ("minElevation", "25", "min_elevation_deg", 25.0),
    ("min_elevation", "25", "min_elevation_deg", 25.0),
    ("Elevation Mask", "25", "min_elevation_deg", 25.0),
    ("el_min_deg", "25", "min_elevation_deg", 25.0),
    ("min elevation (rad)", "0.5", "min_elevation_deg", np.degrees(0.5)),
    ("altitude", "4200", "altitude_m", 4200.0),
    ("alt", "4200.7", "altitude_m", 4200.7),
    ("altitudeKm", "4.2", "altitude_m", 4200.0),
    ("Altitude [ft]", "100", "altitude_m", 30.48),
    ("minElevation", "25 deg", "min_elevation_deg", 25.0),
    ("min_elevation_deg", "25°", "min_elevation_deg", 25.0),
    ("alt", "4.2 km", "altitude_m", 4200.0),
    ("elevation_m", "4200", "altitude_m", 4200.0),
    ("Elevation (ft)", "100", "altitude_m", 30.48),
    ("height_m", "4200", "altitude_m", 4200.0),
    ("heightKm", "4.2", "altitude_m", 4200.0),
    ("hae [km]", "4.2", "altitude_m", 4200.0),
)


@pytest.mark.parametrize(("word", "said", "column", "value"), WORDS)
def test_a_word_for_altitude_or_mask_is_read_where_it_is_clear(tmp_path, word, said, column, value):
    """Also with a unit behind it, in the cell."""
    for content in (
        _feature({"name": "M", word: said}),
        f"name,LAT,Longitude,{word}\nM,48.1°,11.6 deg,{said}\n",
    ):
        [site] = orbit.read_sites(_file(tmp_path, content))
        assert getattr(site, column) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("heights", [["1.31"], ["0.42", "1.31", "0.03"], ["", "-0.4", "3"]])
@pytest.mark.parametrize("word", ["ALT", "altitude", "Alt."])
def test_heights_without_a_unit_that_look_like_kilometres_are_questioned(tmp_path, word, heights):
    rows = [(f"s{n}", 40.0 + n, 11.6, height) for n, height in enumerate(heights)]
    table = "\n".join([f"name,lat,lon,{word}", *(",".join(map(str, row)) for row in rows)])
    points = [
        _feature({"name": name, **({word: height} if height else {})}, (lon, lat))
        for name, lat, lon, height in rows
    ]
    words = rf"'{word}' names no unit, and its heights are all below 10, like [\d.]+; call it "
    for content in (table, _features(*points)):
        refused(rf"dat:.*{words}altitude_km", orbit.read_sites, _file(tmp_path, content))
    named = table.replace(word, "altitude_km", 1)
    heights_m = [1000.0 * float(height or 0) for height in heights]
    assert [s.altitude_m for s in orbit.read_sites(_file(tmp_path, named))] == heights_m


@pytest.mark.parametrize("heights", [["3"], ["0", ""], ["1.31", "12.5"], ["408.7"]])
def test_heights_that_may_well_be_metres_are_read_as_such(tmp_path, heights):
    rows = [f"s{n},{40 + n},11.6,{height}" for n, height in enumerate(heights)]
    sites = orbit.read_sites(_file(tmp_path, "\n".join(["name,lat,lon,alt", *rows])))
    assert [site.altitude_m for site in sites] == [float(height or 0) for height in heights]


SIDES = [
    *(("31.4S", "64.2W", -31.4, -64.2), ("31.4 N", "64.2 e", 31.4, 64.2)),
    *(("S31.4", "W 64.2°", -31.4, -64.2), ("31.4°S", "64.2", -31.4, 64.2), ("31.4", "0E", 31.4, 0)),
]


@pytest.mark.parametrize(("north", "east", "latitude_deg", "longitude_deg"), SIDES)
def test_letters_say_the_side(tmp_path, north, east, latitude_deg, longitude_deg):
    for text in (f"lat,lon\n{north},{east}\n", f"lat;lon\n{north};{east}\n".replace(".", ",")):
        [site] = orbit.read_sites(_file(tmp_path, text))
        assert (site.latitude_deg, site.longitude_deg) == (latitude_deg, longitude_deg)


@pytest.mark.parametrize("text", ["31.4W", "-31.4S", "S31.4S", "31°24'S", "31 24 S"])
def test_another_letter_or_form_of_a_latitude_is_told_what_to_write(tmp_path, text):
    words = "2: latitude_deg .* give decimal degrees, north positive and south negative"
    refused(words, orbit.read_sites, _file(tmp_path, f"lat,lon\n{text},64.2\n"))


UNCLEAR = (
    ("elevation", "'min_elevation_deg' or 'altitude_m'"),
    ("ele", "'min_elevation_deg' or 'altitude_m'"),
    ("cutoff_angle", "'min_elevation_deg'"),
    ("height", "'altitude_m'"),
    ("antenna_height_m", "'altitude_m'"),
    ("min_elevaton_dgr", "'min_elevation_deg' or 'altitude_m'"),
    ("altitude (parsec)", "'altitude_m'"),
    ("Namee", "'name'"),
)


@pytest.mark.parametrize(("word", "meant"), UNCLEAR)
def test_a_word_that_may_be_altitude_or_mask_is_refused_by_name(tmp_path, word, meant):
    words = rf"'{re.escape(word)}' is unknown; did you mean {meant}\? Rename it, or leave it out"
    for content in (_feature({word: "12"}), f"lat,lon,{word}\n48.1,11.6,12\n"):
        refused(rf"dat:(1|feature:1): .*{words}", orbit.read_sites, _file(tmp_path, content))


LINE = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
NEEDS = "the header line is missing, as .* add one above it, with the columns name, latitude_deg"
SWAPPED = r"latitude_deg 118.2 is outside -90 to 90; .*, or swap it with longitude_deg 34 "
REFUSED = (
    ("# only this\n\n", "1: no rows found"),
    ("latitude_deg,name\n1,x", "1: column 'longitude_deg' is missing; add it"),
    ("latitude_deg\n1", "1: column 'longitude_deg' is missing; add it"),
    ("lat,latitude_deg,lon\n1,2,1", "1: columns 'latitude_deg' and 'lat' both say latitude_deg"),
    ("lat,lon,lat\n1,2,1", "1: column 'lat' comes twice"),
    ('name,lat,lon\n"a\nb",1,2', "2: .* characters that cannot be shown"),
    ("lat,lon\n1,x", "2: longitude_deg 'x' is not a number"),
    ("lat,lon\n1_0,2", "2: latitude_deg '1_0' is not a number"),
    ("lat,lon\n1,2,3", "2: cells in the row: 3, in the header: 2"),
    ('name,lat,lon\n"a,1,2\nb,3,4', "2: .* check the quotation marks"),
    ("lat,lon\n\0", "1: a binary file, and only CSV is read; save the table as CSV"),
    ("0,Tokyo,35.7,139.7,0\n", f"1: {NEEDS}"), ("1\n2\n", f"1: {NEEDS}"),
    ("lat,lon\n118.2,34.0\n", f"2: .*{SWAPPED}"),
    ("<?xml?>\n<GSs>\n", "1: XML or a web page instead of a table; give a table with the "),
    ("[1]", "1: no GeoJSON with a list of features"),
    ("[" * 100_000, "1: no GeoJSON with a list of features"),
    ('[{"lat": 1, "lon": 2}]', "1: a JSON list of other things than GeoJSON has; give a CSV"),
    ("\n".join([json.dumps(_feature({}))] * 2), "2: JSON lines, a value in each line; put"),
    (_features(), "1: has 0 features"),
    (_features({"geometry": None}), "feature:1: is no point"),
    (_feature({}, (8, None)), "feature:1: is no point"),
    (_feature({}, [1]), "feature:1: is no point"),
    (_features({"geometry": LINE}), "feature:1: is no point; leave lines"),
    (_feature({}, (8.5, "x")), "feature:1: latitude_deg 'x' is not a number"),
    (_feature({}, (34.0, 118.2)), f"feature:1: .*{SWAPPED}"),
    (_feature({"lat": 11.6, "lon": 48.1}), "feature:1: .*'lat' 11.6 is not that of the coord"),
    (_feature({"minElevation": "ten"}), "feature:1: min_elevation_deg 'ten' is not a number"),
    (_feature({"antenna": {"min_elevation": 5}}), "feature:1: .*'antenna min_elevation' is unkn"),
    (_feature(SAME | {"altitude": 521}, HIGH), "feature:1: altitude_m 521 is not the third coordi"),
    (_feature(SAME | {"minElevation": 6}), "feature:1: min_elevation_deg . is another property's"),
)  # fmt: skip


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_what_is_no_place_is_refused_by_its_line_or_feature(tmp_path, content, words):
    refused(rf"places\.dat:{words}", orbit.read_sites, _file(tmp_path, content))


def test_a_pipe_and_a_folder_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for read in (orbit.read_sites, orbit.read_satellites):
        refused("pipe.csv: is a pipe or a device", read, tmp_path / "pipe.csv")
        with pytest.raises(IsADirectoryError):
            read(tmp_path)


def test_further_columns_are_told_once_and_not_refused(tmp_path):
    text = 'name,country,lat,lon,band\nM,"D\nE",48.1,11.6,S\nN,F,47,2,X\n'
    told = []
    sites = orbit.read_sites(_file(tmp_path, text), on_unused=told.append)
    assert [site.name for site in sites] == ["M", "N"]
    [line] = told
    assert "dat:1: columns that say nothing of a place are left out: 'country', 'band'" in line


def test_longitudes_of_another_turn_are_the_same_site():
    for east_deg, kept_deg in ((289.25, -70.75), (-190.0, 170.0), (360.0, 0.0), (180.0, 180.0)):
        assert orbit.Site("x", 1, east_deg) == orbit.Site("x", 1, kept_deg)
        assert orbit.Site("x", 1, east_deg).longitude_deg == kept_deg


def test_sites_that_cannot_be_are_refused_in_one_line():
    for words, *asked in (
        ("site 'x': longitude_deg 360.5 is outside -360 to 360", "x", 0, 360.5),
        ("site 'x': latitude_deg '48' is not a number; give one from -90", "x", "48", 0),
        ("latitude_deg 118.2 is outside -90 to 90; give .* there$", "x", 118.2, 99),
        ("site name ' ' is no name; give text such as", " ", 1, 1),
        ("site name 'a.u2028' has a line break; write it on one line", "a\u2028", 1, 1),
    ):
        refused(words, orbit.Site, *asked)
