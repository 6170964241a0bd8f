"""What chance decides, against the tables it is drawn from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.channel import (
    CLEAR_PATH,
    Environment,
    Path,
    draw_paths,
    excess_loss_db,
    line_of_sight,
    rician_k_linear,
)

DEVICES = 40_000
ANGLES = np.array([5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0])
SIGHT = {
    "dense_urban": [0.282, 0.282, 0.331, 0.398, 0.468, 0.537, 0.612, 0.738, 0.820, 0.981],
    "urban": [0.246, 0.246, 0.386, 0.493, 0.613, 0.726, 0.805, 0.919, 0.968, 0.992],
    "suburban": [0.782, 0.782, 0.869, 0.919, 0.929, 0.935, 0.940, 0.949, 0.952, 0.998],
    "rural": [0.782, 0.782, 0.869, 0.919, 0.929, 0.935, 0.940, 0.949, 0.952, 0.998],
}
environments = st.builds(
    Environment,
    st.sampled_from(["dense_urban", "urban", "suburban", "rural"]),
    st.sampled_from(["S", "Ka"]),
)


@pytest.fixture(scope="module")
def paths() -> Path:
    return draw_paths(DEVICES, np.random.default_rng(20_811))


@pytest.mark.parametrize("name", sorted(SIGHT))
def test_the_share_in_sight_is_that_of_the_table_at_every_elevation(paths, name):
    seen = line_of_sight(Environment(name, "S"), ANGLES, paths)
    share = np.array(SIGHT[name])
    assert seen.shape == (DEVICES, ANGLES.size)
    assert (np.abs(seen.mean(axis=0) - share) < 4.0 * np.sqrt(share * (1 - share) / DEVICES)).all()


def test_a_device_that_sees_the_satellite_sees_it_while_it_climbs_on(paths):
    seen = line_of_sight(Environment("urban", "S"), np.linspace(1.0, 90.0, 90), paths)
    assert (np.diff(seen.astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize("elevation_deg", [5.0, 10.0, 37.0, 50.0, 90.0])
def test_a_quantile_equal_to_the_probability_is_out_of_sight(elevation_deg):
    """A share p of the quantiles lies below p, and p itself does not."""
    urban = Environment("urban", "S")
    share = float(urban.line_of_sight_probability(elevation_deg))
    equal, below = Path(share, 0.0, 0.0), Path(np.nextafter(share, 0.0), 0.0, 0.0)
    assert not line_of_sight(urban, elevation_deg, equal)
    assert line_of_sight(urban, elevation_deg, below)
    assert excess_loss_db(urban, elevation_deg, equal) == urban.clutter_loss_db(elevation_deg)
    assert excess_loss_db(urban, elevation_deg, below) == 0.0
    assert rician_k_linear(urban, elevation_deg, equal) == 0.0
    assert rician_k_linear(urban, elevation_deg, below) > 0.0


def moments(x: np.ndarray) -> tuple[float, float, float, float]:
    """Mean and deviation of a normal sample, each with its own standard error."""
    deviation = float(x.std(ddof=1))
    return float(x.mean()), deviation / np.sqrt(x.size), deviation, deviation / np.sqrt(2 * x.size)


@pytest.mark.parametrize(
    ("name", "band", "elevation_deg", "clutter_db", "hidden_db", "seen_db"),
    [
        ("dense_urban", "S", 10.0, 34.3, 15.5, 3.5),
        ("dense_urban", "Ka", 50.0, 34.6, 14.2, 2.4),
        ("urban", "Ka", 30.0, 37.5, 6.0, 4.0),
        ("suburban", "S", 20.0, 18.17, 9.08, 1.14),
        ("rural", "Ka", 40.0, 20.0, 11.6, 2.3),
    ],
)
def test_losses_have_the_mean_and_deviation_of_the_tables(
    paths, name, band, elevation_deg, clutter_db, hidden_db, seen_db
):
    environment = Environment(name, band)
    seen = line_of_sight(environment, elevation_deg, paths)
    loss_db = excess_loss_db(environment, elevation_deg, paths)
    assert loss_db.shape == (DEVICES, 1)
    for losses_db, mean_db, deviation_db in (
        (loss_db[seen], 0.0, seen_db),
        (loss_db[~seen], clutter_db, hidden_db),
    ):
        mean, mean_error, deviation, deviation_error = moments(losses_db)
        assert abs(mean - mean_db) < 4.0 * mean_error
        assert abs(deviation - deviation_db) < 4.0 * deviation_error


@pytest.mark.parametrize(
    ("name", "band", "elevation_deg", "mean_db", "deviation_db"),
    [
        ("dense_urban", "Ka", 20.0, 13.7, 6.8),
        ("urban", "S", 10.0, 31.83, 13.84),
        ("suburban", "S", 30.0, 20.8, 16.34),
        ("rural", "Ka", 90.0, 3.62, 2.28),
    ],
)
def test_k_is_normal_in_decibels_in_sight_and_zero_out_of_it(
    paths, name, band, elevation_deg, mean_db, deviation_db
):
    environment = Environment(name, band)
    seen = line_of_sight(environment, elevation_deg, paths)
    k = rician_k_linear(environment, elevation_deg, paths)
    mean, mean_error, deviation, deviation_error = moments(10.0 * np.log10(k[seen]))
    assert abs(mean - mean_db) < 4.0 * mean_error
    assert abs(deviation - deviation_db) < 4.0 * deviation_error
    assert (k[~seen] == 0.0).all()
    assert (~seen).any()


def test_sight_shadowing_and_k_are_independent(paths):
    table = np.hstack([paths.los_quantile, paths.shadowing_deviate, paths.k_deviate])
    correlation = np.corrcoef(table.T)[np.triu_indices(3, 1)]
    assert (np.abs(correlation) < 4.0 / np.sqrt(DEVICES)).all()


def test_devices_are_independent_of_each_other(paths):
    for values in (paths.los_quantile, paths.shadowing_deviate, paths.k_deviate):
        neighbours = np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]
        assert abs(neighbours) < 4.0 / np.sqrt(DEVICES)


@given(devices=st.integers(1, 50), more=st.integers(1, 50), seed=st.integers(0, 2**32))
def test_the_first_devices_do_not_notice_those_that_follow(devices, more, seed):
    few = draw_paths(devices, np.random.default_rng(seed))
    many = draw_paths(devices + more, np.random.default_rng(seed))
    for name in ("los_quantile", "shadowing_deviate", "k_deviate"):
        assert getattr(few, name).shape == (devices, 1)
        assert np.array_equal(getattr(few, name), getattr(many, name)[:devices])


class Zeros(np.random.Generator):
    """A generator that always draws the smallest uniform number there is."""

    def random(self, size):
        return np.zeros(size)


class AlmostOnes(np.random.Generator):
    """A generator that always draws the largest uniform number there is."""

    def random(self, size):
        return np.full(size, 1.0 - 2.0**-53)


@pytest.mark.parametrize("extreme", [Zeros, AlmostOnes])
def test_extreme_draws_stay_finite(extreme):
    path = draw_paths(3, extreme(np.random.PCG64(0)))
    urban = Environment("urban", "Ka")
    assert np.isfinite(excess_loss_db(urban, ANGLES, path)).all()
    assert np.isfinite(rician_k_linear(urban, ANGLES, path)).all()
    assert (np.abs(path.shadowing_deviate) < 8.5).all()


@given(environment=environments, elevation_deg=st.floats(0.0, 90.0, exclude_min=True))
def test_a_clear_path_is_in_sight_without_excess_loss_and_with_median_k(environment, elevation_deg):
    assert line_of_sight(environment, elevation_deg, CLEAR_PATH)
    assert excess_loss_db(environment, elevation_deg, CLEAR_PATH) == 0.0
    k_db = 10.0 * np.log10(rician_k_linear(environment, elevation_deg, CLEAR_PATH))
    assert k_db == pytest.approx(environment.rician_k_db(elevation_deg)[0])


def test_a_deviate_is_counted_in_standard_deviations_of_the_state():
    urban = Environment("urban", "S")
    seen, hidden = Path(0.4, 2.0, -1.0), Path(0.5, 2.0, -1.0)
    # At 30 degrees 49.3 % of the sites see the satellite.
    assert excess_loss_db(urban, 30.0, seen) == pytest.approx(2.0 * 4.0)
    assert excess_loss_db(urban, 30.0, hidden) == pytest.approx(29.0 + 2.0 * 6.0)
    assert rician_k_linear(urban, 30.0, seen) == pytest.approx(10.0 ** ((10.49 - 10.42) / 10.0))
    assert rician_k_linear(urban, 30.0, hidden) == 0.0


def test_results_broadcast_devices_against_instants():
    path = draw_paths(4, np.random.default_rng(1))
    environment = Environment("rural", "Ka")
    for elevation_deg in (ANGLES, np.tile(ANGLES, (4, 1))):
        for result in (
            line_of_sight(environment, elevation_deg, path),
            excess_loss_db(environment, elevation_deg, path),
            rician_k_linear(environment, elevation_deg, path),
        ):
            assert result.shape == (4, ANGLES.size)


@pytest.mark.parametrize("devices", [-1, 2.5, "many", None])
def test_a_number_of_devices_that_is_none_is_refused(devices):
    with pytest.raises(ValueError, match="devices is"):
        draw_paths(devices, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ((-0.1, 0.0, 0.0), "los_quantile"),
        ((1.0, 0.0, 0.0), "los_quantile"),
        ((np.nan, 0.0, 0.0), "los_quantile"),
        ((0.5, np.inf, 0.0), "shadowing_deviate"),
        ((0.5, 0.0, np.nan), "k_deviate"),
    ],
)
def test_paths_outside_their_ranges_are_refused(fields, name):
    with pytest.raises(ValueError, match=f"{name} is"):
        Path(*fields)
