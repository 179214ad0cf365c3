"""Statistics of planted spike trains."""

import numpy as np
import pytest

from ddm2snn.errors import InputError
from ddm2snn.fidelity.spikes import recorded_statistics, spike_statistics
from ddm2snn.recording import Recording, Spikes


def trains(intervals, trials, duration_s, neurons):
    """Renewal processes of some neurons; the last of `neurons` stay silent."""
    time, neuron, trial = [], [], []
    for t in range(trials):
        for j, draw in enumerate(intervals):
            times = np.cumsum(draw(int(duration_s * 80)))
            times = times[times < duration_s]
            time.append(times)
            neuron.append(np.full(len(times), j))
            trial.append(np.full(len(times), t))
    assert neurons >= len(intervals)
    return Spikes.sorted(np.concatenate(time), np.concatenate(neuron), np.concatenate(trial))


def test_rates_and_variation_of_clock_poisson_and_gamma():
    rng = np.random.default_rng(1)
    T, TRIALS = 50.0, 4
    spikes = trains(
        [lambda n: np.full(n, 0.05), lambda n: rng.exponential(0.05, n), lambda n: rng.gamma(4, 0.0125, n)],
        TRIALS,
        T,
        4,
    )
    found = spike_statistics(spikes, neurons=4, trials=TRIALS, duration_s=T, time_unit_s=0.1)
    count = T * TRIALS / 0.05
    # a Poisson count errs by its root; a coefficient of variation near one by about 1 / sqrt(count)
    np.testing.assert_allclose(found.rates_hz[:3], 20.0, rtol=4 / np.sqrt(count))
    np.testing.assert_allclose(found.variations[:3], [0.0, 1.0, 0.5], atol=4 / np.sqrt(count))
    # I / (I + I') of gamma intervals of shape k is Beta(k, k), whose mean distance from one half is in closed form
    gamma = 2.0**-6 * 5040 / (4 * 36)
    np.testing.assert_allclose(found.local_variations[:3], [0.0, 1.0, gamma], atol=4 / np.sqrt(count))
    assert found.rates_hz[3] == 0
    assert np.isnan(found.variations[3])
    assert found.silent_share == 0.25
    assert found.mean_variation == pytest.approx(0.5, abs=0.03)
    assert found.spikes_per_second == pytest.approx(len(spikes.time_s) / T / TRIALS)
    assert found.spikes_per_time_unit == pytest.approx(0.1 * found.spikes_per_second)
    assert found.mean_rate_hz == pytest.approx(found.spikes_per_second / 4)


def test_slow_changes_of_the_rate_raise_cv_and_not_cv2():
    interval = np.where(np.arange(400) < 200, 0.01, 0.04)  # a clock that slows down once
    spikes = trains([lambda n: interval], 1, 20.0, 1)
    found = spike_statistics(spikes, neurons=1, trials=1, duration_s=20.0, time_unit_s=0.1)
    assert found.mean_variation == pytest.approx(interval.std(ddof=1) / interval.mean(), rel=0.01)
    assert found.mean_local_variation == pytest.approx(2 * 0.03 / 0.05 / 398, rel=0.01)  # the one change, of 398


def test_of_a_recording():
    spikes = Spikes.sorted(np.array([0.05, 0.35, 0.45]), np.array([0, 2, 2]), np.array([0, 0, 1]))
    held = Recording.from_arrays(np.ones((2, 11, 1)), every=0.5, time_unit_s=0.1, spikes=spikes)
    found = recorded_statistics(held, burn_in=2.0)  # the last 0.3 of 0.5 s
    np.testing.assert_allclose(found.rates_hz, [0.0, 0.0, 2 / 0.3 / 2])
    assert found.as_json()["mean_local_variation"] is None
    assert recorded_statistics(held, neurons=8).silent_share == 0.75
    with pytest.raises(InputError, match="holds no spikes"):
        recorded_statistics(Recording.from_arrays(np.ones((2, 11, 1)), every=0.5, time_unit_s=0.1))


def test_intervals_do_not_run_across_trials_and_order_is_free():
    time, trial = np.tile(np.arange(1, 13) * 0.1, 2), np.repeat([0, 1], 12)
    shuffled = np.random.default_rng(2).permutation(24)
    spikes = Spikes(time_s=time[shuffled], neuron=np.zeros(24, int), trial=trial[shuffled])
    found = spike_statistics(spikes, neurons=1, trials=2, duration_s=1.3, time_unit_s=1.0)
    assert found.variations[0] == pytest.approx(0.0, abs=1e-12)
    late = spike_statistics(spikes, neurons=1, trials=2, duration_s=1.3, time_unit_s=1.0, burn_in_s=0.65)
    assert late.rates_hz[0] == pytest.approx(6 / 0.65)
    assert np.isfinite(late.variations[0])  # five intervals in each of two trials
    one = spike_statistics(spikes, neurons=1, trials=2, duration_s=1.3, time_unit_s=1.0, burn_in_s=0.75)
    assert np.isnan(one.variations[0])


def test_no_spikes_at_all():
    none = Spikes(time_s=np.zeros(0), neuron=np.zeros(0, int), trial=np.zeros(0, int))
    found = spike_statistics(none, neurons=3, trials=2, duration_s=1.0, time_unit_s=0.1)
    assert found.silent_share == 1.0
    assert found.mean_rate_hz == 0.0
    assert np.isnan(found.mean_variation)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"neurons": 5}, "A spike belongs to neuron 5, but there are 5"),
        ({"trials": 1}, "A spike belongs to trial 1, but there are 1"),
        ({"burn_in_s": 2.0}, "burn_in_s must lie from 0 to below the duration, 1 s, got 2.0"),
        ({"duration_s": -1.0}, "duration_s must be a finite number above zero"),
    ],
)
def test_refusals(change, words):
    spikes = Spikes(time_s=np.array([0.1, 0.2]), neuron=np.array([0, 5]), trial=np.array([1, 0]))
    options = {"neurons": 6, "trials": 2, "duration_s": 1.0, "time_unit_s": 0.1, **change}
    with pytest.raises(InputError, match=words):
        spike_statistics(spikes, **options)
