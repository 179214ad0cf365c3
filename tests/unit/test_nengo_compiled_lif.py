"""The compiled step of Nengo's LIF is Nengo's own, bit for bit."""
# pyright: reportArgumentType=false
# nengo infers types from integer defaults

import nengo
import numpy as np
import pytest
from ddm2snn_backends.nengo.extensions import CompiledLIF


@pytest.mark.parametrize("tau_ref", [0.0, 0.0003, 0.002])
@pytest.mark.parametrize("min_voltage", [0.0, -0.5])
def test_step_is_that_of_nengo_bit_for_bit(tau_ref: float, min_voltage: float) -> None:
    """Currents from far below threshold to several hundred hertz, over steps in which neurons wake and fire."""
    rng = np.random.default_rng(3)
    neurons, dt = 301, 1e-3
    current = rng.normal(1.0, 2.0, neurons)
    voltage = rng.random(neurons)
    states = [[np.zeros(neurons), voltage.copy(), np.zeros(neurons)] for _ in range(2)]
    models = [kind(tau_rc=0.02, tau_ref=tau_ref, min_voltage=min_voltage) for kind in (nengo.LIF, CompiledLIF)]
    fired = 0
    for _ in range(2000):
        current += 0.1 * rng.standard_normal(neurons)
        for model, state in zip(models, states, strict=True):
            model.step(dt, current, *state)
        for own, compiled in zip(*states, strict=True):
            np.testing.assert_array_equal(own, compiled)
        fired += np.count_nonzero(states[0][0])
    assert fired > 2000
    assert (states[0][1] < 0.0).any() == (min_voltage < 0.0)
