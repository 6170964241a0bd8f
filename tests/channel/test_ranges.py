"""What lies outside its range is refused in one line that names it."""

import re
from operator import attrgetter
from types import SimpleNamespace

import numpy as np
import pytest

import channel

# Functions and their arguments: name=a good value|refused,refused,... ("_" is none, "1/2" a row).
# Not a number is refused wherever a number is. A refusal may say another name: name:other=...
RANGES = """
slant_range_m altitude_m=6e5|0,inf elevation_deg=30|-0.1,90.1 earth_radius_m=6e6|0,inf
free_space_path_loss_db distance_m=6e5|0,inf frequency_hz=2e9|0,inf
aperture_gain_dbi diameter_m=13|0,inf frequency_hz=2e9|0,inf efficiency=0.6|0,1.1
doppler_hz range_rate_km_s=1|inf frequency_hz=2e9|0
eirp_dbw tx_power_dbm=23|inf tx_gain_dbi=0|inf
g_over_t_db_k rx_gain_dbi=0|inf noise_figure_db=7|-0.1 antenna_temperature_k=290|-0.1,inf
g_over_t_db_k rx_gain_dbi=0 noise_figure_db=0 antenna_temperature_k:system=290|0
carrier_to_noise_db eirp_dbw=0|inf,loud g_over_t_db_k=0|inf bandwidth_hz=1e6|0,inf
    frequency_hz=2e9|0 slant_range_m:distance_m=6e5|0 losses_db=0|inf
beamwidth_deg gain_dbi=40|-0.6,inf
footprint_km beamwidth_deg=2|0,180 slant_range_m=6e5|0,inf
log_distance_path_loss_db distance_m=9|0,inf frequency_hz=1e9|0 exponent=3|0
    reference_distance_m:distance_m=1
Sidelink frequency_hz=1e9|0 bandwidth_hz=1e6|0 path_loss_exponent:exponent=2.5|0 tx_power_dbm=9|inf
    reference_distance_m:distance_m=1|0 noise_figure_db=0|-0.1 other_losses_db=0|-0.1,inf
ergodic_capacity snr_linear=1|-1e-9,1.001e12 k_linear=1|-1e-9
shannon_capacity snr_linear=1|-1e-9,inf
itu_attenuation latitude_deg=48|90.1,1/2 longitude_deg=11|180.1 altitude_m=500|-501,9001
    frequency_hz=2e9|0.9e9,56e9 exceedance_pct=1|9e-4,5.1
Environment name:environment=urban|forest band=S|L
propagation_scenario name=urban frequency_hz=2e9|0.9e9,6.1e9,16.9e9,40.1e9,0
city.line_of_sight_probability elevation_deg=9|0,90.1
city.clutter_loss_db elevation_deg=9|0,90.1
city.rician_k_db elevation_deg=9|0,90.1
city.shadowing_deviation_db elevation_deg=9|0,90.1 line_of_sight=1
city.scintillation_loss_db elevation_deg=9|0,90.1 frequency_hz=2e9|0.99e9,6.01e9
draw_paths devices=3|-1,2.5,none rng=rng
Path los_quantile=0|-0.1,1 shadowing_deviate=0|inf k_deviate=0|inf
SlantAttenuation elevation_deg=5/30/90|0/9/90,5/9/80,5/5/90,90/9/5,5/9/95
    gas_db=0/0/0|-0.1/0/0,inf/0/0,0/nan/0,0/0,0 rain_db=0/0/0|0/0/-0.1,0/0/nan,0/0
SlantAttenuation elevation_deg=_|empty gas_db=empty rain_db=empty
air.gas_loss_db elevation_deg=9|0,90.1
air.rain_loss_db elevation_deg=9|0,90.1
air.rain_noise_k elevation_deg=9|0,90.1
Link frequency_hz=2e9|0,inf,fast bandwidth_hz=1e6|0,inf eirp_dbw=0|inf g_over_t_db_k=0|inf
    other_losses_db=_|-0.1 zenith_attenuation_db=_|-0.1 scintillation_loss_db=_|-0.1
    shadowing_margin_db=_|-0.1,inf path_gain_db=_|0,-inf
    fading=_|lognormal rate=_|fastest,outage atmosphere=_|thin attenuation=_|3 environment=_|forest
    rician_k_linear=_|-0.1 outage_probability=_|0.2 rolloff=_|0.35 required_snr_db=_|inf
    modcods=_|dvb-s3
    duty=_|0,1.1 min_elevation_deg=_|-0.1,90.1 fixed_rate_bps=_|5e6 system_temperature_k=_|150
Link frequency_hz=2e10 bandwidth_hz=1e6 eirp_dbw=0 g_over_t_db_k=0 environment:frequency_hz=_|city
Link link rate=outage fading=rician outage_probability=_|0,1
Link link rate=modcod rolloff=_|-0.1,1.1 required_snr_db=_|3
Link link rate=fixed fixed_rate_bps=1e6|0,none
Link link environment=city shadowing_margin_db=_|3 rician_k_linear=_|3
Link link attenuation=air zenith_attenuation_db=_|0.1 atmosphere=_|inverse_elevation
Link link attenuation=air system_temperature_k=150|0,-1,inf
Link link path_gain_db=-160 environment=_|city attenuation=_|air
link_budget link=link elevation_deg=30|0,90.1,grid slant_range_m=1e6|0
received_signal link=link elevation_deg=30|-90.1,90.1 slant_range_m=1e6|0,inf
rate_state link=link elevation_deg=30|-90.1,90.1 slant_range_m=1e6|0,inf
Signal snr_db=0|inf rician_k_linear=0|-1e-9,1/2
signal_rate_bps link=link signal=signal bandwidth_hz=1e6|0,inf,wide,1e5/-1e5
LinkCurve time_s=0/1|0/nan,0/inf,soon,0,0/1/2,empty,grid rate_bps=1/1|1/-1e-9,1/nan,1/inf
LinkCurve time_s=0/1 rate_bps:time_s=1/1|1,1/1/1,grid,empty
LinkCurve time_s:step=0/1|1/0 rate_bps=1/1
curve.completion_time_s bits=1|-1e-9,inf start_s=0
curve.completion_time_s bits=1 start_s=0|nan
curve.delivered_bits time_s=0|nan,0/nan
curve.rate_at_bps time_s=0|nan,0/nan
"""
LINK = {"frequency_hz": 2e9, "bandwidth_hz": 1e6, "eirp_dbw": 0.0, "g_over_t_db_k": 0.0}
HERE = SimpleNamespace(
    **{name: getattr(channel, name) for name in channel.__all__},
    city=channel.Environment("urban", "S"),
    air=channel.SlantAttenuation([5.0, 90.0], [2.0, 0.2], [5.0, 0.5]),
    link=channel.Link(**LINK),
    signal=channel.Signal(0.0, 0.0),
    curve=channel.LinkCurve([0.0, 1.0], [1.0, 1.0]),
    empty=np.zeros(0),
    grid=np.ones((1, 1, 2)),
    none=None,
    rng=np.random.default_rng(0),
)


def value_of(text):
    try:
        row = [float(part) for part in text.split("/")]
    except ValueError:
        return getattr(HERE, text, text)
    return np.array(row) if "/" in text else row[0]


@pytest.mark.parametrize("line", re.sub("\n +", " ", RANGES).strip().splitlines())
def test_a_value_outside_its_range_is_named_in_one_line(line):
    name, *arguments = line.split()
    good = {}
    refused = []
    for argument in arguments:
        if argument == "link":
            good |= LINK
            continue
        names, _, values = argument.partition("=")
        (own, _, said), (first, *bad) = names.partition(":"), re.split("[|,]", values)
        if first != "_":
            good[own] = value_of(first)
        bad = [value_of(text) for text in bad]
        number = bad and isinstance(bad[0], float) and said not in ("system", "time_s")
        bad += [np.nan] if number else []
        refused += [(own, said or own, value) for value in bad]
    function = attrgetter(name)(HERE)
    for own, said, value in refused:
        with pytest.raises(ValueError, match=rf"^(a )?{said}\b.* (is|has shape) .*; \S") as caught:
            function(**{**good, own: value})
        assert "\n" not in str(caught.value)
