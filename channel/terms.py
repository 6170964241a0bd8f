"""The losses of a link, one by one: what signals and tables sum up."""

import numpy as np
from numpy.typing import ArrayLike

from channel.arrays import Floats
from channel.atmosphere import atmospheric_attenuation_db
from channel.budget import free_space_path_loss_db
from channel.link import Link
from channel.paths import Path, excess_loss_db


def loss_terms_db(
    link: Link, elevation_deg: Floats, slant_range_m: Floats, path: Path
) -> dict[str, Floats]:
    """Every loss between the two antennas in dB, by its column of the budget and in its order.

    elevation_deg (above 0) and slant_range_m broadcast with the fields of the path; a loss that
    is one number for all of them stays a scalar. With an environment the shadowing is that of the
    path, and takes in the clutter that stands before a device out of sight.
    """
    hidden_db = link.environment and excess_loss_db(link.environment, elevation_deg, path)
    terms = {
        "free_space_path_loss_db": _path_loss_db(link, slant_range_m),
        **_atmosphere_db(link, elevation_deg),
        "scintillation_loss_db": _scintillation_db(link, elevation_deg),
        "clutter_loss_db": link.clutter_loss_db,
        "shadowing_margin_db": link.shadowing_margin_db if hidden_db is None else hidden_db,
        "other_losses_db": link.other_losses_db,
    }
    return {name: np.asarray(loss_db) for name, loss_db in terms.items()}


def total_loss_db(terms: dict[str, Floats]) -> Floats:
    """Sum of the terms, in an order that does not depend on their shapes: nor do its bits."""
    distance_db, *between_db, other_db = terms.values()
    return sum(between_db, start=distance_db + other_db)


def _path_loss_db(link: Link, slant_range_m: Floats) -> ArrayLike:
    """Free-space loss over the range, or the link's fixed large-scale fading in its place."""
    if link.path_gain_db is not None:
        return -link.path_gain_db
    return free_space_path_loss_db(slant_range_m, link.frequency_hz)


def _atmosphere_db(link: Link, elevation_deg: Floats) -> dict[str, ArrayLike]:
    if link.attenuation is None:
        gas_db = atmospheric_attenuation_db(
            link.zenith_attenuation_db, elevation_deg, link.atmosphere
        )
        return {"atmospheric_loss_db": gas_db}
    return {
        "atmospheric_loss_db": link.attenuation.gas_loss_db(elevation_deg),
        "rain_loss_db": link.attenuation.rain_loss_db(elevation_deg),
    }


def _scintillation_db(link: Link, elevation_deg: Floats) -> ArrayLike:
    if link.scintillation_loss_db is not None:
        return link.scintillation_loss_db
    if link.environment is None:
        return 0.0
    return link.environment.scintillation_loss_db(elevation_deg, link.frequency_hz)
