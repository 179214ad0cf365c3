"""Every neuron model on every backend: rates at constant latents are those of the model's own curve."""

import dataclasses

import numpy as np
import pytest

from ddm2snn import LIF, AdaptiveLIF, LoihiLIF, RectifiedLinear, simulate
from ddm2snn.backend import gaps

CURRENTS = np.array([-3.0, 0.0, 0.9, 1.0, 1.05, 1.21, 1.5, 2.03, 3.3, 7.0, 21.0, 97.0])
DT_S, WINDOW_S, SETTLING_S = 1e-3, 1.0, 0.5
# Periodic spikes whose first falls within one interval of the window's start; a threshold that relaxes with 40 ms is
# settled within 4e-6 when the window begins
COUNT_TOLERANCE = 1.0
MODELS = [
    LIF(refractory_s=0.0),
    RectifiedLinear(),
    AdaptiveLIF(threshold_jump=0.2, tau_threshold_s=0.04),
    LoihiLIF(decay_bits=8),
]
WRONG = {
    LIF: LIF(tau_membrane_s=0.021, refractory_s=0.0),
    RectifiedLinear: RectifiedLinear(tau_membrane_s=0.0203),
    AdaptiveLIF: AdaptiveLIF(threshold_jump=0.22, tau_threshold_s=0.04),
    LoihiLIF: LoihiLIF(decay_bits=4),
}
models = pytest.mark.parametrize("neuron", MODELS, ids=lambda neuron: neuron.name)


@pytest.fixture
def miss(spiking_backend, make_spiking, filtered, unfiltered):
    """Largest distance between spikes counted of one neuron model and spikes expected of another."""

    def distance(neuron, expected_of):
        count = len(CURRENTS)
        network = make_spiking(
            rank=1, neurons=count, encoders=np.zeros((count, 1)), bias=CURRENTS, neuron=neuron, dt_s=DT_S,
            rate_left_vectors=np.ones((1, 1)), unit=np.zeros(count),
        )  # fmt: skip
        path = np.tile(network.latent_offset, (round((SETTLING_S + WINDOW_S) / DT_S), 1))
        spikes = np.rint(unfiltered(filtered(spiking_backend, network, path), DT_S, network.time_unit_s))
        timing = neuron.timing_on(spiking_backend.spike_timing)
        expected = WINDOW_S * expected_of.rate_hz(CURRENTS, timing=timing, dt_s=DT_S)
        return np.abs(spikes[round(SETTLING_S / DT_S) :].sum(axis=0) - expected).max()

    return distance


@models
def test_rates_follow_the_models_own_curve(neuron, miss):
    assert miss(neuron, neuron) <= COUNT_TOLERANCE


@models
def test_a_slightly_different_neuron_is_noticed(neuron, miss):
    assert miss(neuron, WRONG[type(neuron)]) > COUNT_TOLERANCE
    assert miss(neuron, LIF()) > COUNT_TOLERANCE


def test_a_decay_that_rounds_to_none_is_refused(spiking_backend, make_spiking):
    network = make_spiking(neuron=LoihiLIF(tau_membrane_s=20.0))
    text = " ".join(map(str, gaps(spiking_backend, network)))
    assert "tau_membrane_s = 20 is too long at dt_s = 0.001: a decay of 12 bits rounds to none" in text
    with pytest.raises(ValueError, match=r"cannot run this network.*Use tau_membrane_s <= 4.096"):
        simulate(network, backend=spiking_backend, duration=0.1, trials=1, seed=0)


def test_steps_of_the_device_must_fit_on_every_backend(spiking_backend, make_spiking):
    network = make_spiking(neuron=LoihiLIF())
    assert "refractory_s = 0.002 is not a whole number of steps" in str(gaps(spiking_backend, network, dt_s=3e-4))
    assert "Use dt_s <= 0.002" in str(gaps(spiking_backend, network, dt_s=3e-3)[0])


def test_a_rectified_line_takes_any_step(spiking_backend, make_spiking):
    network = make_spiking(neuron=RectifiedLinear())
    assert all(gaps(spiking_backend, network, dt_s=dt_s) == [] for dt_s in (3e-3, 3e-4, 0.05))


@models
def test_trials_and_noise_run_in_closed_loop(neuron, spiking_backend, make_spiking):
    network = dataclasses.replace(make_spiking(neuron=neuron), diffusion_factor=0.2 * np.eye(2))
    first, again = (
        simulate(network, backend=spiking_backend, duration=1.0, trials=3, seed=4).samples for _ in range(2)
    )
    assert np.array_equal(first, again)
    assert np.isfinite(first).all()
