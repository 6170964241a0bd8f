"""The verification set of SGP4 (Vallado et al., AIAA 2006-6753), through our reading of it."""

import numpy as np

import orbit
from tests.kit.skies import VERIFICATION_FILE

# The table prints eight decimals of a kilometre and nine of a kilometre a second.
HALF_A_DIGIT_KM, HALF_A_DIGIT_KM_S = 5e-9, 5e-10


def _published():
    """Catalogue number and rows (minutes, position, velocity) of each block, in file order."""
    blocks = []
    for line in VERIFICATION_FILE.with_name("tcppver.out").read_text().splitlines():
        words = line.split()
        if words[1:] == ["xx"]:
            blocks.append((int(words[0]), []))
        elif len(words) >= 7:
            blocks[-1][1].append([float(word) for word in words[:7]])
    return blocks


def test_states_are_the_published_ones_to_the_last_digit():
    published = _published()
    satellites = orbit.read_satellites(VERIFICATION_FILE, checksum="ignore")
    assert [satellite.norad_id for satellite in satellites] == [number for number, _ in published]
    checked = 0
    for satellite, (_, rows) in zip(satellites, published, strict=True):
        for minutes, *state in rows:
            error, position, velocity = satellite.model.sgp4_tsince(minutes)
            if error:
                # 33334 has no state: the table repeats the last one of the satellite before it.
                assert (satellite.norad_id, error) == (33334, 3)
                continue
            # After 1.8 million minutes (20413) a float of minutes is 1e-8 s coarse, which moves a
            # satellite at 10 km/s by 1.4e-7 km.
            slack_km = np.spacing(abs(minutes)) * 60 * np.linalg.norm(velocity)
            allowed_km = 1.01 * HALF_A_DIGIT_KM + slack_km
            assert np.abs(np.subtract(position, state[:3])).max() <= allowed_km
            assert np.abs(np.subtract(velocity, state[3:])).max() <= 1.01 * HALF_A_DIGIT_KM_S
            checked += 1
    assert checked == 666
