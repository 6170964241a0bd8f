"""The elements of gpconf, a public set of real and derived files with what each of them says."""

import json
from importlib.resources import files

import numpy as np
import pytest

import orbit

gpconf = pytest.importorskip("gpconf", reason="install gpconf for its files of elements")
CORPUS = files("gpconf") / "corpus"
# What a model keeps in radians, and what the records have in degrees.
ANGLES = {
    "inclo": "inclination", "nodeo": "ra_of_asc_node", "argpo": "arg_of_pericenter",
    "mo": "mean_anomaly",
}  # fmt: skip


@pytest.mark.parametrize("case", ["kvn-syntax-variants", "alpha5-tle-derived"])
def test_every_file_is_read_as_it_says(case):
    expected = json.loads((CORPUS / "fixtures" / case / "expected.json").read_text())
    place_of = {name.rpartition("/")[2]: name for name in expected["sources"]}
    records: dict[str, list] = {}
    for record in expected["records"]:
        records.setdefault(record["derived_file"], []).append(record)
    for name, told in records.items():
        text = (CORPUS / place_of[name]).read_text()
        read = orbit.parse_satellites(text, name)
        assert len(read) == len(told)
        for satellite, record in zip(read, told, strict=True):
            written = record.get("by_format", {}).get("tle", {}).get("differs_from_omm", {})
            canonical = record["canonical"] | written
            number = (
                0 if "NORAD_CAT_ID" in record.get("keywords_absent", ()) else record["norad_cat_id"]
            )
            assert satellite.norad_id == number
            model = satellite.model
            for ours, theirs in ANGLES.items():
                assert np.degrees(getattr(model, ours)) == pytest.approx(
                    float(canonical[theirs]), abs=1e-9
                )
            assert model.ecco == pytest.approx(float(canonical["eccentricity"]), abs=1e-12)
            assert model.bstar == pytest.approx(float(canonical["bstar"]), rel=1e-9, abs=1e-12)
            revolutions = float(canonical["mean_motion"])
            assert satellite.revolutions_per_day == pytest.approx(revolutions, rel=1e-12)
