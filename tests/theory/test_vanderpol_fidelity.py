"""The main job's promise: both spiking backends live on the rate network's cycle, for every seed."""

import numpy as np
import pytest

import ddm2snn
from ddm2snn.fidelity.compare import compare_each

SEEDS = (1, 2, 3)  # five in `tests/benchmarks/fidelity_table.py`
BACKENDS = ("brian2", "nengo")
PERIOD_TOLERANCE = 0.01
DEVIATION_TOLERANCE = 0.02
TRIALS, DURATION, BURN_IN = 64, 44.0, 4.0


@pytest.fixture(scope="module")
def reference(rate_network):
    return [ddm2snn.simulate(rate_network, trials=TRIALS, duration=DURATION, seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def recorded(rate_network):
    """A run of the conversion of each seed for each simulator, and of one without compensation of the lag."""

    def run(backend, seed, **options):
        network = ddm2snn.convert(rate_network, backend=backend, seed=seed, **options).network
        return ddm2snn.simulate(network, trials=TRIALS, duration=DURATION, seed=seed)

    runs = {f"{backend}, {seed}": run(backend, seed) for backend in BACKENDS for seed in SEEDS}
    return {**runs, "lag": run("brian2", 1, decoders=ddm2snn.Static(compensate_lag=False))}


@pytest.fixture(scope="module")
def differences(reference, recorded):
    """Relative change of the period and the larger one of the standard deviations, beside the same floors."""
    reports = compare_each(reference[0], recorded, floor=reference[1:], burn_in=BURN_IN)
    return {r.label: (r["period"].distance, max(r["sd_0"].distance, r["sd_1"].distance)) for r in reports}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_period_and_deviations_are_kept(recorded, differences, backend, seed):
    period, deviation = differences[f"{backend}, {seed}"]
    assert period <= PERIOD_TOLERANCE
    assert deviation <= DEVIATION_TOLERANCE
    # no trial rests: each goes round at least five times in six periods
    cycles = np.sign(recorded[f"{backend}, {seed}"].samples[:, round(BURN_IN / 0.02) :, 0])
    assert (np.abs(np.diff(cycles, axis=1)).sum(axis=1) >= 2 * 2 * 4).all()


@pytest.mark.slow
def test_uncompensated_lag_fails_the_same_tolerance(differences):
    period, _ = differences["lag"]
    assert period > PERIOD_TOLERANCE


def test_the_rate_network_itself_keeps_the_known_cycle(reference):
    known = ddm2snn.find_system("vanderpol").known
    report = ddm2snn.compare(reference[0], reference[1], floor=reference[1:], burn_in=BURN_IN)
    # noise of 0.1 changes the mean period by about its square over the squared amplitude: far below one per cent
    assert report["period"].reference == pytest.approx(known["period"], rel=0.01)
    assert np.abs(reference[0].samples[:, 200:, 0]).max() == pytest.approx(known["amplitude"], rel=0.15)
