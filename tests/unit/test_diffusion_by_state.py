"""Conversion of small networks whose diffusion depends on the state: what it carries, what it refuses."""

# Diagnostics may lack a part, and the tests know which of them these have:
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn.conversion import Bounded, Calibrated, Direct, Population, TrainedReadout
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.errors import InputError
from ddm2snn.fidelity.spikes import NoiseShare
from ddm2snn.network import to_internal

QUICK = {"population": Population(8, tuned=False), "time_unit_s": 0.2, "seed": 3}


@pytest.fixture(scope="module")
def rate(make_rate):
    """Six units; the first factor grows along the second unit, the second along the fourth."""
    readout = np.zeros((6, 2, 2))
    readout[1, 0, 0] = readout[3, 1, 1] = 0.4
    return make_rate(diffusion_factor=np.array([[0.8, 0.0], [0.3, 0.7]]), diffusion_readout=readout)


@pytest.fixture(scope="module", params=["calibrated", "static"])
def conversion(request, rate):
    """Both ways of finding decoders that carry it."""
    decoders = Calibrated(duration=800.0) if request.param == "calibrated" else ddm2snn.Static()
    return ddm2snn.convert(rate, decoders=decoders, backend="reference", **QUICK)


def test_the_injected_tensor_follows_the_state(rate, conversion):
    z = to_internal(rate, stationary_states(rate, 0))
    wanted, ours = (f @ np.swapaxes(f, 1, 2) for f in (rate.internal_factor(z), conversion.network.internal_factor(z)))

    def apart(tensor):
        return float(np.sqrt(((tensor - wanted) ** 2).mean() / (wanted**2).mean()))

    # 48 neurons: what is left to their spikes and to the noise of the factor itself
    assert apart(ours) < 0.1
    assert apart(wanted.mean(axis=0)) > 0.2, "the control: a constant tensor"
    diffusion = conversion.diagnostics.diffusion
    assert diffusion.tensor_error < 0.05
    assert diffusion.factor_noise > 0


def test_the_filter_is_short_beside_the_time_unit(conversion):
    assert conversion.network.diffusion_filter_s == pytest.approx(0.05 * 0.2)
    assert conversion.network.diffusion_decoders.shape == (2, 2, 48)


def test_it_runs_and_comes_back_from_its_file(conversion, tmp_path):
    conversion.network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.SpikingNetwork.load(tmp_path / "snn.safetensors")
    assert loaded.fingerprint == conversion.network.fingerprint
    runs = [
        ddm2snn.simulate(n, duration=1.0, trials=2, seed=1, backend="reference") for n in (conversion.network, loaded)
    ]
    assert np.array_equal(runs[0].samples, runs[1].samples)


def test_shares_of_the_noise_are_means_over_the_states(rate, conversion):
    factor = conversion.network.internal_factor(to_internal(rate, rate.initial_latent))
    wanted = (factor @ np.swapaxes(factor, 1, 2)).mean(axis=0).diagonal() * rate.latent_scale**2
    assert np.allclose(NoiseShare.of(conversion.network).injected, wanted)


def test_a_time_unit_of_few_steps_filters_by_one_step(rate):
    made = ddm2snn.convert(rate, decoders=ddm2snn.Static(), backend="reference", **{**QUICK, "time_unit_s": 0.01})
    assert made.network.diffusion_filter_s == made.network.dt_s


def test_constant_diffusion_has_no_decoders(rate):
    still = dataclasses.replace(rate, diffusion_readout=None)
    made = ddm2snn.convert(still, decoders=ddm2snn.Static(), backend="reference", **QUICK)
    assert made.network.diffusion_decoders is made.network.diffusion_filter_s is None
    assert np.array_equal(made.network.diffusion_factor, rate.diffusion_factor)
    assert made.diagnostics.diffusion is None


@pytest.mark.parametrize("decoders", [TrainedReadout(), Direct()])
def test_decoders_that_cannot_carry_it_refuse_in_words(rate, refuses, decoders):
    name = type(decoders).__name__
    with refuses(InputError, "diffusion depends on the state", name, "Convert with Calibrated or Static decoders"):
        ddm2snn.convert(rate, decoders=decoders)


def test_neurons_that_share_decoders_share_those_of_the_factor(rate):
    shared = Calibrated(duration=800.0, most_decoders=30)
    made = ddm2snn.convert(rate, decoders=shared, backend="reference", **QUICK)
    assert np.unique(np.asarray(made.network.diffusion_decoders).reshape(4, -1), axis=1).shape[1] <= 30
    assert made.diagnostics.diffusion.tensor_error < 0.1


def test_restructure_refuses_in_words(rate, conversion, refuses):
    with refuses(InputError, "diffusion depends on the state", "Restructure networks of constant diffusion"):
        ddm2snn.restructure(rate, conversion.network, Bounded(2.0))


def test_closed_loop_rounds_are_refused_in_words(rate):
    with pytest.raises(InputError, match="closed-loop rounds do not inject; rounds is 2"):
        ddm2snn.convert(rate, decoders=Calibrated(rounds=2), backend="reference", **QUICK)
