"""The main job's promise: both spiking backends live on the rate network's cycle, for every seed."""

import numpy as np
import pytest

import ddm2snn

SEEDS = (1, 2, 3, 4, 5)
PERIOD_TOLERANCE = 0.01
DEVIATION_TOLERANCE = 0.02
TRIALS, DURATION, BURN_IN = 64, 44.0, 4.0


@pytest.fixture(scope="module")
def reference(rate_network):
    return [ddm2snn.simulate(rate_network, trials=TRIALS, duration=DURATION, seed=seed) for seed in (1, 2)]


def differences(reference, test):
    """Relative change of the period and of each standard deviation."""
    report = ddm2snn.compare(reference[0], test, floor=reference[1:], burn_in=BURN_IN)
    return report["period"].distance, max(report["sd_0"].distance, report["sd_1"].distance)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backend", ["brian2", "nengo"])
def test_period_and_deviations_are_kept(rate_network, reference, backend, seed):
    network = ddm2snn.convert(rate_network, backend=backend, seed=seed).network
    test = ddm2snn.simulate(network, trials=TRIALS, duration=DURATION, seed=seed)
    period, deviation = differences(reference, test)
    assert period <= PERIOD_TOLERANCE
    assert deviation <= DEVIATION_TOLERANCE
    # no trial rests: each goes round at least five times in six periods
    cycles = np.sign(test.samples[:, round(BURN_IN / 0.02) :, 0])
    assert (np.abs(np.diff(cycles, axis=1)).sum(axis=1) >= 2 * 2 * 4).all()


@pytest.mark.slow
def test_uncompensated_lag_fails_the_same_tolerance(rate_network, reference):
    static = ddm2snn.Static(compensate_lag=False)
    network = ddm2snn.convert(rate_network, backend="brian2", seed=1, decoders=static).network
    period, _ = differences(reference, ddm2snn.simulate(network, trials=TRIALS, duration=DURATION, seed=1))
    assert period > PERIOD_TOLERANCE


def test_the_rate_network_itself_keeps_the_known_cycle(reference):
    known = ddm2snn.find_system("vanderpol").known
    report = ddm2snn.compare(reference[0], reference[1], floor=reference[1:], burn_in=BURN_IN)
    # noise of 0.1 changes the mean period by about its square over the squared amplitude: far below one per cent
    assert report["period"].reference == pytest.approx(known["period"], rel=0.01)
    assert np.abs(reference[0].samples[:, 200:, 0]).max() == pytest.approx(known["amplitude"], rel=0.15)
