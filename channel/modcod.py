"""Modulation and coding of DVB-S2: what a real modem gets out of an SNR."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from channel.arrays import Floats

MODCODS: Final[tuple[tuple[str, float, float], ...]] = (
    ("QPSK 1/4", 0.490243, -2.35),
    ("QPSK 1/3", 0.656448, -1.24),
    ("QPSK 2/5", 0.789412, -0.30),
    ("QPSK 1/2", 0.988858, 1.00),
    ("QPSK 3/5", 1.188304, 2.23),
    ("QPSK 2/3", 1.322253, 3.10),
    ("QPSK 3/4", 1.487473, 4.03),
    ("QPSK 4/5", 1.587196, 4.68),
    ("QPSK 5/6", 1.654663, 5.18),
    ("QPSK 8/9", 1.766451, 6.20),
    ("QPSK 9/10", 1.788612, 6.42),
    ("8PSK 3/5", 1.779991, 5.50),
    ("8PSK 2/3", 1.980636, 6.62),
    ("8PSK 3/4", 2.228124, 7.91),
    ("8PSK 5/6", 2.478562, 9.35),
    ("8PSK 8/9", 2.646012, 10.69),
    ("8PSK 9/10", 2.679207, 10.98),
    ("16APSK 2/3", 2.637201, 8.97),
    ("16APSK 3/4", 2.966728, 10.21),
    ("16APSK 4/5", 3.165623, 11.03),
    ("16APSK 5/6", 3.300184, 11.61),
    ("16APSK 8/9", 3.523143, 12.89),
    ("16APSK 9/10", 3.567342, 13.13),
    ("32APSK 3/4", 3.703295, 12.73),
    ("32APSK 4/5", 3.951571, 13.64),
    ("32APSK 5/6", 4.119540, 14.28),
    ("32APSK 8/9", 4.397854, 15.69),
    ("32APSK 9/10", 4.453027, 16.05),
)
"""Name, bits per symbol and ideal Es/N0 in dB of the 28 modes (EN 302 307-1, table 13)."""


def modcod_thresholds_db(rolloff: float) -> Floats:
    """SNR in dB from which each mode that is ever the best one is used, rising.

    The noise bandwidth is the occupied one, (1 + rolloff) times the symbol rate, so that
    C/N = Es/N0 - 10 log10(1 + rolloff).
    """
    return _staircase(rolloff)[0]


def modcod_level(snr_db: Floats, rolloff: float) -> NDArray[np.int64]:
    """Number of thresholds that the SNR meets: 0 below the lowest, any shape."""
    return np.searchsorted(_staircase(rolloff)[0], snr_db, side="right").astype(np.int64)


def modcod_efficiency_bps_hz(snr_db: Floats, rolloff: float) -> Floats:
    """Best efficiency of the modes whose threshold is met, in bit/s per hertz occupied; else 0."""
    return np.asarray(_staircase(rolloff)[1][modcod_level(snr_db, rolloff)])


@lru_cache(maxsize=32)
def _staircase(rolloff: float) -> tuple[Floats, Floats]:
    """Thresholds (M,) and efficiencies (M + 1,) without the modes that a better one undercuts."""
    by_threshold = sorted(MODCODS, key=lambda mode: (mode[2], -mode[1]))
    best = [(0.0, -np.inf)]
    for _, bits, es_n0_db in by_threshold:
        if bits > best[-1][0]:
            best.append((bits, es_n0_db))
    bits, es_n0_db = np.array(best).T
    thresholds_db, efficiencies = (
        es_n0_db[1:] - 10.0 * np.log10(1.0 + rolloff),
        bits / (1 + rolloff),
    )
    thresholds_db.setflags(write=False)
    return thresholds_db, efficiencies
