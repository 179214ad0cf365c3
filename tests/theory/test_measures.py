"""Distances against closed forms and against other people's code."""

import copy

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.signal import find_peaks
from scipy.stats import wasserstein_distance

import ddm2snn
from ddm2snn.fidelity.compare import compare_each
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.oscillation import cycle_counts, mean_period, most_regular
from ddm2snn.fidelity.measures.power_spectrum import hellinger, power_spectra
from ddm2snn.fidelity.measures.wasserstein import SlicedWasserstein, random_directions

EVERY = 0.05


def sliced(test, reference):
    """Distance of single trials along 100 directions, in system units."""
    directions = random_directions(reference.shape[-1], 100)
    measure = SlicedWasserstein(directions, directions @ reference.mean(axis=(0, 1)))
    values = [measure.values(measure.summarise(x), np.ones((1, 1)))[0] for x in (test, reference)]
    return measure.distances(*values)[0]


def ornstein_uhlenbeck(rng, *, trials=48, samples=2000, rotation=1.0, shift=0.0, noise=1.0, leak=0.5):
    """Exact samples of dz = (-leak + i rotation) z dt + noise dw, as two real latents."""
    state = noise / np.sqrt(2 * leak) * rng.standard_normal((trials, 2)) @ np.array([1, 1j])
    factor = np.exp((-leak + 1j * rotation) * EVERY)
    spread = noise * np.sqrt((1 - abs(factor) ** 2) / (2 * leak))
    path = np.empty((trials, samples), complex)
    for step in range(samples):
        path[:, step] = state
        state = factor * state + spread * (rng.standard_normal((trials, 2)) @ np.array([1, 1j]))
    latent = np.stack([np.real(path) + shift, np.imag(path)], axis=-1)
    return ddm2snn.Recording.from_arrays(latent, every=EVERY, time_unit_s=0.1)


def test_sliced_wasserstein_of_a_shift_has_a_closed_form():
    # W2 between a cloud and its copy moved by a is |theta . a| along theta; the mean square over a plane is |a|^2 / 2
    rng = np.random.default_rng(1)
    cloud = rng.standard_normal((1, 20000, 2))
    shift = np.array([0.3, -0.4])
    directions = np.random.default_rng(0).standard_normal((100, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.sqrt(((directions @ shift) ** 2).mean())
    assert expected == pytest.approx(0.5 / np.sqrt(2), rel=0.1)  # 100 directions stand for all
    # a third of a bin, which is 0.015 standard deviations wide; both ends of each quantile are interpolated within one
    BIN = 9.5 / 2048
    assert sliced(cloud + shift, cloud) == pytest.approx(expected, abs=BIN)


def test_one_dimensional_distance_agrees_with_scipy():
    # in one dimension, between equally ordered clouds, W1 <= W2, and they agree for a pure scaling up to a constant
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 1, 20000, 1))
    y = 1.3 * y + 0.5
    sorted_w2 = np.sqrt(((np.sort(y.ravel()) - np.sort(x.ravel())) ** 2).mean())
    ours = sliced(y, x)
    # levels stop at 0.001 and 0.999, which leaves out 0.2 % of the mass, in the tails: at most a few per cent
    assert ours == pytest.approx(sorted_w2, rel=0.03)
    assert ours >= 0.97 * wasserstein_distance(y.ravel(), x.ravel())


def test_weights_count_trials():
    rng = np.random.default_rng(3)
    samples = rng.standard_normal((3, 4000, 2)) + np.array([0.0, 1.0, 5.0])[:, None, None]
    measure = SlicedWasserstein.of(ReferenceSamples(samples, 3, EVERY))
    twice_first_once_last = measure.values(measure.summarise(samples), np.array([[2.0, 0.0, 1.0]]))
    repeated = measure.values(measure.summarise(samples[[0, 0, 2]]), np.ones((1, 3)))
    np.testing.assert_allclose(twice_first_once_last, repeated, atol=1e-6)


def test_hellinger_is_zero_for_equal_and_one_for_disjoint_spectra():
    p = np.array([[1.0], [1.0], [0.0], [0.0]])
    assert hellinger(p, 5 * p) == pytest.approx(0.0, abs=1e-7)
    assert hellinger(p, p[::-1]) == pytest.approx(1.0)
    assert hellinger(p, np.ones((4, 1))) == pytest.approx(np.sqrt(1 - np.sqrt(0.5)))


def test_spectrum_of_an_ornstein_uhlenbeck_process_is_lorentzian():
    rng = np.random.default_rng(4)
    recording = ornstein_uhlenbeck(rng, trials=200, rotation=0.0, samples=4000)
    frequency, power = power_spectra(recording.samples, EVERY)
    mean = power.mean(axis=(0, 2))
    omega = 2 * np.pi * frequency
    theory = 2 * 1.0 / (0.5**2 + omega**2)  # one-sided
    band = (frequency > 0.05) & (frequency < 1.0)  # above window leakage, below aliasing
    # 400 independent periodograms: each bin has a relative error of 1/20
    ratio = mean[band] / theory[band]
    assert abs(ratio.mean() - 1) < 0.05
    assert np.abs(ratio - 1).max() < 6 / np.sqrt(400)


@pytest.mark.parametrize("period", [3.7, 6.0])
def test_period_of_a_noisy_sine(period):
    rng = np.random.default_rng(5)
    time = np.arange(4000) * EVERY
    phase = rng.uniform(0, 2 * np.pi, (6, 1))
    wave = np.sin(2 * np.pi * time / period + phase) + 0.05 * rng.standard_normal((6, 4000))
    cycles, spans = cycle_counts(wave[..., None], EVERY, np.array([wave.std()]))
    # a trial loses up to a period before its first fall, one until the rise after it and one behind its last rise; its
    # rises err by a sample at either end
    assert (cycles >= 200 / period - 3).all()
    assert mean_period(cycles, spans) == pytest.approx(period, rel=2 * EVERY / spans.min())


def test_period_of_chaos_is_a_turn_of_the_attractor():
    # the lobes of Lorenz's attractor are left after any number of turns; the turns are what is regular about it
    def drift(t, z):
        return 10 * (z[1] - z[0]), z[0] * (28 - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]

    path = solve_ivp(drift, (0, 200), (1, 1, 25), t_eval=np.arange(20, 200, 0.01), rtol=1e-8, atol=1e-8).y.T
    peaks = find_peaks(path[:, 2])[0]
    turn = 0.01 * (peaks[-1] - peaks[0]) / (len(peaks) - 1)
    samples = path[None, :: round(EVERY / 0.01)]
    scale = samples.std(axis=(0, 1))
    latent = most_regular(samples, scale)
    assert latent == 2
    assert mean_period(*cycle_counts(samples, EVERY, scale, latent)) == pytest.approx(turn, rel=0.01)
    assert mean_period(*cycle_counts(samples, EVERY, scale, 0)) > 1.2 * turn


def test_no_cycles_no_period():
    still = np.zeros((2, 300, 1))
    assert np.isnan(mean_period(*cycle_counts(still, EVERY, np.ones(1))))


@pytest.fixture(scope="module")
def reports():
    """A report for each planted change, all beside the same floors."""
    rng = np.random.default_rng(6)
    runs = [ornstein_uhlenbeck(rng) for _ in range(3)]
    changes = {"nothing": {}, "noise": {"noise": 1.2}, "rotation": {"rotation": 2.0}, "shift": {"shift": 0.3}}
    tests = {name: ornstein_uhlenbeck(copy.deepcopy(rng), **change) for name, change in changes.items()}
    return dict(zip(tests, compare_each(runs[0], tests, floor=runs[1:]), strict=True))


class TestPlantedChanges:
    """Each change is seen by the measure meant for it; an unchanged process is at the floor."""

    LIMIT = 2.0  # the floor is the mean of three pairs; at no change the excess scatters around one

    def test_nothing(self, reports):
        report = reports["nothing"]
        for name in ("sliced_wasserstein", "d_h"):
            assert report[name].excess < self.LIMIT

    def test_more_noise_widens_the_cloud_and_leaves_the_spectrum(self, reports):
        report = reports["noise"]
        assert report["sliced_wasserstein"].excess > 2 * self.LIMIT
        assert report["d_h"].excess < self.LIMIT
        for name in ("sd_0", "sd_1"):
            low, high = report[name].interval or (np.nan, np.nan)
            assert low <= 0.2 <= high

    def test_rotation_changes_the_spectrum_and_leaves_the_cloud(self, reports):
        report = reports["rotation"]
        assert report["d_h"].excess > 2 * self.LIMIT
        assert report["sliced_wasserstein"].excess < self.LIMIT

    def test_shift_moves_the_mean_it_was_planted_in(self, reports):
        report = reports["shift"]
        low, high = report["mean_0"].interval or (np.nan, np.nan)
        assert low <= 0.3 <= high  # the stationary standard deviation is one
        assert report["mean_0"].excess > 2 * self.LIMIT
        assert report["mean_1"].distance < 0.1


def test_the_floor_of_one_recording_is_that_of_two():
    rng = np.random.default_rng(7)
    a, b, c = (ornstein_uhlenbeck(rng, trials=16, samples=500) for _ in range(3))
    halves, whole = ddm2snn.compare(a, b), ddm2snn.compare(a, b, floor=c)
    assert "halves" in halves.notes[0]
    assert halves.floor_from == "halves of the reference"
    # half the trials alone would be apart by a factor of the root of two, 16 trials know their scatter to 1 / sqrt(32)
    assert halves["d_h"].floor == pytest.approx(whole["d_h"].floor, rel=0.2)


class TestRefusals:
    def recording(self, shape=(2, 300, 2), every=EVERY, seed=0):
        return ddm2snn.Recording.from_arrays(
            np.random.default_rng(seed).standard_normal(shape), every=every, time_unit_s=0.1
        )

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            ({"shape": (2, 300, 3)}, "test recording has rank 3, the reference 2"),
            ({"every": 0.02}, "sampled each 0.02 rate time units, the reference each 0.05"),
            ({"shape": (2, 40, 2)}, "at least 64 are needed"),
        ],
    )
    def test_recordings_that_cannot_be_compared(self, other, words):
        with pytest.raises(ddm2snn.InputError, match=words):
            ddm2snn.compare(self.recording(), self.recording(**other))

    def test_not_a_number(self):
        broken = np.random.default_rng(1).standard_normal((3, 300, 2))
        broken[1, 200:] = np.nan
        test = ddm2snn.Recording.from_arrays(broken, every=EVERY, time_unit_s=0.1)
        with pytest.raises(ddm2snn.InputError, match="1 of 2 trials of the test recording hold NaN"):
            ddm2snn.compare(self.recording(), test)

    def test_a_constant_latent(self):
        still = np.random.default_rng(1).standard_normal((2, 300, 2))
        still[..., 1] = 4.0
        reference = ddm2snn.Recording.from_arrays(still, every=EVERY, time_unit_s=0.1)
        with pytest.raises(ddm2snn.InputError, match="Latent 1 of the reference recording is constant"):
            ddm2snn.compare(reference, self.recording())

    def test_one_trial_needs_a_second_recording_and_has_no_interval(self):
        one, two, three = (self.recording((1, 300, 2), seed=seed) for seed in range(3))
        with pytest.raises(ddm2snn.InputError, match="single trial gives no floor"):
            ddm2snn.compare(one, two)
        assert ddm2snn.compare(one, two, floor=three)["d_h"].interval is None

    def test_other_sizes_are_cut_to_the_common_one_and_said(self):
        report = ddm2snn.compare(self.recording((4, 400, 2)), self.recording((3, 300, 2), seed=2))
        assert "3 trials of 300 samples" in report.notes[0]
        assert report["d_h"].samples == 3 * 270
