"""A network whose inputs lead away from its stationary states: trained and converted where they lead, or a warning."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Calibrated, InputError, Population, Stimulus, System
from ddm2snn.errors import MissedWarning

INPUTS = np.array([1.0, 3.0, -3.0])
DOMAIN = (np.array([-2.0]), np.array([2.0]))


def cubic(**more):
    """z' = -z^3 + u, which rests at the cube root of u."""
    return System(name="cubic", rank=1, drift=lambda z: -(z**3), diffusion=0.3, units=64, **more)


def ends(network, stimulus):
    run = ddm2snn.simulate(network, stimulus=stimulus.in_rate_time(network.time_scale), seed=3)
    return np.array([run.samples[rows, run.samples.shape[1] // 2 :].mean() for rows in run.conditions.values()])


@pytest.fixture(scope="module")
def stimulus():
    names = tuple(f"{value:g}" for value in INPUTS)
    return Stimulus(times=np.zeros(1), values=INPUTS[:, None, None], duration=16.0, conditions=names, repeats=8)


@pytest.mark.slow
def test_a_domain_is_held_by_training_and_conversion(stimulus):
    rate = ddm2snn.train(cubic(domain=DOMAIN), seed=0)
    assert max(rate.provenance["domain_error"]) < 1e-3
    decoders = Calibrated(stimulus=stimulus.in_rate_time(rate.time_scale), duration=500.0)
    network = ddm2snn.convert(
        rate, decoders=decoders, population=Population(2), backend="reference", time_unit_s=0.5, seed=1
    ).network
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert np.abs(ends(network, stimulus) - np.cbrt(INPUTS)).max() < 0.03


@pytest.mark.slow
def test_a_run_elsewhere_says_so(stimulus):
    rate = ddm2snn.train(cubic(), seed=0)
    decoders = ddm2snn.Static()
    network = ddm2snn.convert(
        rate, decoders=decoders, population=Population(2), backend="reference", time_unit_s=0.5, seed=1
    ).network
    with pytest.warns(UserWarning, match=r"of its time this run is where no neuron was calibrated: latent 0 goes from"):
        away = ends(network, stimulus)
    with pytest.warns(UserWarning, match="was calibrated from"):
        run = ddm2snn.simulate(network, stimulus=stimulus.in_rate_time(network.time_scale), seed=0)
    assert run.provenance["outside_calibrated"] > 0.05
    assert np.abs(away - np.cbrt(INPUTS)).max() > 0.3  # what the warning is for
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        within = dataclasses.replace(stimulus, values=0.1 * np.array(stimulus.values))
        ddm2snn.simulate(network, stimulus=within.in_rate_time(network.time_scale))


def test_an_imported_network_is_not_converted_around_its_rest_in_silence(make_rate):
    own = {"right_vectors": np.zeros((8, 1)), "diffusion_factor": [[0.1]]}
    leak = make_rate(rank=1, units=8, **own, provenance={"imported": {"kind": "factors"}})
    settings = {"decoders": ddm2snn.Static(), "backend": "reference", "time_unit_s": 0.1}
    with pytest.warns(MissedWarning, match="comes to rest in one state.*Give the stimulus of its trials"):
        made = ddm2snn.convert(leak, **settings)
    assert "comes to rest" in made.network.origin.missed[-1]
    own = ddm2snn.convert(dataclasses.replace(leak, provenance={}), **settings)
    assert not any("comes to rest" in sentence for sentence in own.network.origin.missed)
    settings["decoders"] = ddm2snn.Static(stimulus=Stimulus.within([-1.0], [1.0]))
    driven = ddm2snn.convert(leak, **settings)
    assert not any("comes to rest" in sentence for sentence in driven.network.origin.missed)


def test_a_domain_has_the_units_of_the_system():
    metres = cubic(domain=DOMAIN)
    assert metres.domain is not None
    scales = dataclasses.make_dataclass("Scales", ["origin", "size", "time", "states", "trivial"])
    inner = metres.in_scales(scales(np.array([1.0]), np.array([0.5]), 1.0, None, False))
    assert inner.domain is not None
    assert [float(bound[0]) for bound in inner.domain] == [-6.0, 2.0]
    with pytest.raises(InputError, match=r"System\.domain must be lowest < highest"):
        cubic(domain=DOMAIN[::-1])
