"""The link budgets of 3GPP TR 38.821 for low orbits, against what 3GPP printed.

    python papers/link_budgets.py

Study cases SC6, SC9, SC11 and SC14 (parameter set 1, 600 and 1200 km, Ka and S band), down and up,
at 30 degrees of elevation; a row is one budget. "formula" is channel.carrier_to_noise_db with both
ends as EIRP and G/T, "link" is a channel.Link with the terminal in its parts. What was printed is
that of tables 6.1.1.1-1, 6.1.1.1-3 and 6.1.3.3-1 as public programs quote them; for 1200 km only
free-space losses were found. Exits with 1 if anything is more than 0.1 dB off.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import channel

ALLOWED_DB = 0.1
ELEVATION_DEG = 30.0


@dataclass(frozen=True)
class Band:
    """What the cases of one band share: the terminal of table 6.1.1.1-3, in its parts, and losses.

    These are at 30 degrees, in dB.
    """

    name: str
    sends: Mapping[str, float]
    receives: Mapping[str, float]
    gas_db: float
    shadowing_db: float
    scintillation_db: float


@dataclass(frozen=True)
class Case:
    """One direction of a study case; satellite_db is its EIRP in dBW (down) or G/T in dB/K (up)."""

    name: str
    direction: str
    altitude_km: float
    band: Band
    frequency_hz: float
    bandwidth_hz: float
    satellite_db: float
    printed_loss_db: float
    printed_db: float | None = None

    @property
    def range_m(self) -> float:
        """Slant range at the elevation of the budgets."""
        return float(channel.slant_range_m(self.altitude_km * 1e3, ELEVATION_DEG))

    @property
    def ends_db(self) -> tuple[float, float]:
        """EIRP of the sender, and G/T of the receiver."""
        if self.direction == "up":
            return float(channel.eirp_dbw(**self.band.sends)), self.satellite_db
        return self.satellite_db, float(channel.g_over_t_db_k(**self.band.receives))

    def free_space_db(self) -> float:
        """Free-space loss in dB."""
        return float(channel.free_space_path_loss_db(self.range_m, self.frequency_hz))

    def by_formula(self) -> float:
        """C/N in dB with both ends as single figures and all losses as one sum."""
        losses_db = self.band.gas_db + self.band.shadowing_db + self.band.scintillation_db
        place = self.bandwidth_hz, self.frequency_hz, self.range_m
        return float(channel.carrier_to_noise_db(*self.ends_db, *place, losses_db))

    def by_link(self) -> float:
        """C/N in dB of a link with each loss in its own place."""
        link = channel.Link(
            self.frequency_hz,
            self.bandwidth_hz,
            *self.ends_db,
            zenith_attenuation_db=self.band.gas_db * float(np.sin(np.radians(ELEVATION_DEG))),
            shadowing_margin_db=self.band.shadowing_db,
            scintillation_loss_db=self.band.scintillation_db,
        )
        return float(channel.snr_db(link, ELEVATION_DEG, self.range_m))

    def off_db(self) -> float:
        """Largest difference from what was printed."""
        off = [self.free_space_db() - self.printed_loss_db]
        if self.printed_db is not None:
            off += [self.by_formula() - self.printed_db, self.by_link() - self.printed_db]
        return max(abs(x) for x in off)


def receiver(gain_dbi: float, figure_db: float, temperature_k: float) -> Mapping[str, float]:
    """Return a receiver in its parts."""
    names = ("rx_gain_dbi", "noise_figure_db", "antenna_temperature_k")
    return dict(zip(names, (gain_dbi, figure_db, temperature_k), strict=True))


KA_SENDS = {"tx_power_dbm": 33.0, "tx_gain_dbi": 43.2}
S_SENDS = {"tx_power_dbm": 23.0, "tx_gain_dbi": 0.0}
KA = Band("Ka", KA_SENDS, receiver(39.7, 1.2, 150.0), 0.5, 0.0, 0.3)
S = Band("S", S_SENDS, receiver(0.0, 7.0, 290.0), 0.1, 3.0, 2.2)


def density_dbw(per_mhz_dbw: float, bandwidth_mhz: float) -> float:
    """EIRP in dBW of a density in dBW/MHz."""
    return per_mhz_dbw + 10.0 * float(np.log10(bandwidth_mhz))


CASES = (
    Case("SC6", "down", 600.0, KA, 20e9, 400e6, density_dbw(4.0, 400.0), 179.1, 8.5),
    Case("SC6", "up", 600.0, KA, 30e9, 400e6, 13.0, 182.6, 18.4),
    Case("SC9", "down", 600.0, S, 2e9, 30e6, density_dbw(34.0, 30.0), 159.1, 6.6),
    Case("SC9", "up", 600.0, S, 2e9, 0.36e6, 1.1, 159.1, 2.8),
    Case("SC11", "down", 1200.0, KA, 20e9, 400e6, density_dbw(10.0, 400.0), 184.5),
    Case("SC11", "up", 1200.0, KA, 30e9, 400e6, 13.0, 188.0),
    Case("SC14", "down", 1200.0, S, 2e9, 30e6, density_dbw(40.0, 30.0), 164.5),
    Case("SC14", "up", 1200.0, S, 2e9, 0.36e6, 1.1, 164.5),
)


def row(case: Case) -> str:
    """One line of the table; '-' where nothing was printed."""
    where = f"{case.name:<5} {case.direction:<5} {case.altitude_km:5.0f} {case.band.name:<4}"
    loss = f"{case.free_space_db():8.3f} {case.printed_loss_db:7.1f}"
    printed = "-" if case.printed_db is None else f"{case.printed_db:.1f}"
    ratio = f"{case.by_formula():8.3f} {case.by_link():8.3f} {printed:>7}"
    verdict = "" if case.off_db() <= ALLOWED_DB else "OFF"
    return f"{where} {loss} {ratio} {case.off_db():6.3f} {verdict}".rstrip()


def main() -> int:
    """Print the table; return 1 if a budget is off."""
    print("case  way      km band  loss dB printed  formula     link printed    off")
    for case in CASES:
        print(row(case))
    return int(any(case.off_db() > ALLOWED_DB for case in CASES))


if __name__ == "__main__":
    sys.exit(main())
