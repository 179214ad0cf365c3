"""Measures against independent, public implementations of the same quantity, and against published values."""

import importlib

import numpy as np
import pytest
from planted_changes import LORENZ_EVERY, lorenz, lorenz_drift
from scipy.ndimage import gaussian_filter1d
from scipy.stats import binned_statistic_dd, entropy

from ddm2snn.analysis.lyapunov import lyapunov_spectrum
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.mean_discrepancy import MeanDiscrepancy
from ddm2snn.fidelity.measures.power_spectrum import SMOOTHING, hellinger, power_spectra, smoothed_spectra
from ddm2snn.fidelity.measures.state_divergence import BINS, LAPLACE, StateDivergence
from ddm2snn.fidelity.measures.wasserstein import SlicedWasserstein, exact_wasserstein, random_directions


def distance(make, test, reference):
    """The one distance of a measure."""
    measure = make(ReferenceSamples(reference, len(reference), LORENZ_EVERY))
    values = [measure.values(measure.summarise(x), np.ones((1, len(x))))[0] for x in (test, reference)]
    return measure.distances(*values)[0]


def other(package, module=None):
    """A package that only these tests need, or a skip."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    return importlib.import_module(module or package)


@pytest.fixture(scope="module")
def clouds():
    """Two runs of Lorenz in standard deviations of the first, and how far rho 27 is."""
    runs = lorenz()
    scale = runs["reference"].std(axis=(0, 1))
    return {name: run / scale for name, run in runs.items()}


@pytest.mark.parametrize("name", ["again", "rho 27"])
def test_exact_wasserstein_is_that_of_pot(clouds, name):
    ot = other("ot")
    x, y = (clouds[which][::3, ::100].reshape(-1, 3) for which in (name, "reference"))
    weights = np.full(len(x), 1 / len(x))
    expected = np.sqrt(ot.emd2(weights, weights, ot.dist(x, y)))
    assert exact_wasserstein(x, y) == pytest.approx(expected, rel=1e-9)  # both are exact, up to rounding


@pytest.mark.parametrize("name", ["again", "rho 27"])
def test_sliced_wasserstein_is_that_of_pot(clouds, name):
    ot = other("ot")
    reference, test = clouds["reference"][:, ::5], clouds[name][:, ::5]
    ours = distance(SlicedWasserstein.of, test, reference)
    flat = [run.reshape(-1, 3) / reference.std(axis=(0, 1)) for run in (test, reference)]
    theirs = ot.sliced_wasserstein_distance(*flat, projections=random_directions(3, 40).T, p=2)
    # quantiles leave out 0.1 % at either end, and bins are 0.015 standard deviations wide
    assert ours == pytest.approx(theirs, rel=0.05, abs=0.015 / np.sqrt(12))


@pytest.mark.parametrize("name", ["again", "rho 27", "slower"])
def test_state_divergence_is_scipys_entropy_of_scipys_histograms(name):
    reference, test = (lorenz()[which] for which in ("reference", name))
    mean, deviation = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
    span = list(zip(mean - 2 * deviation, mean + 2 * deviation, strict=True))
    p, q = (
        binned_statistic_dd(run.reshape(-1, 3), None, "count", bins=BINS, range=span).statistic + LAPLACE
        for run in (reference, test)
    )
    ours = distance(StateDivergence.of, test, reference)
    # entropy normalises, as the definition does; a sample on a cell's edge may fall to either side
    assert ours == pytest.approx(entropy(p.ravel(), q.ravel()), rel=1e-4)


@pytest.mark.parametrize("name", ["again", "slower"])
def test_hellinger_distance_is_that_of_dysts(name):
    metrics = other("dysts", "dysts.metrics")
    p, q = (power_spectra(lorenz()[which], LORENZ_EVERY)[1].mean(axis=0) for which in (name, "reference"))
    theirs = np.mean([metrics.hellinger_distance(a / a.sum(), b / b.sum()) for a, b in zip(p.T, q.T, strict=True)])
    assert hellinger(p, q) == pytest.approx(theirs, rel=1e-9)


def test_smoothed_spectra_are_those_of_the_standardised_series():
    reference, test = (lorenz()[which][:1] for which in ("reference", "slower"))

    def published(run):
        standard = (run[0] - run[0].mean(axis=0)) / run[0].std(axis=0)
        power = np.abs(np.fft.fft(standard, axis=0)) ** 2  # of both signs, the mirror image halves away
        smooth = np.stack([gaussian_filter1d(column[: len(column) // 2 + 1], SMOOTHING) for column in power.T], axis=1)
        return smooth / smooth.sum(axis=0)

    p, q = published(test), published(reference)
    expected = np.mean([np.linalg.norm(np.sqrt(a) - np.sqrt(b)) / np.sqrt(2) for a, b in zip(p.T, q.T, strict=True)])
    ours = hellinger(*(smoothed_spectra(run, LORENZ_EVERY)[1][0] for run in (test, reference)))
    assert ours == pytest.approx(expected, rel=1e-9)


def test_discrepancy_is_that_of_scikit_learns_kernels(clouds):
    pairwise = other("sklearn", "sklearn.metrics.pairwise")
    reference, test = (np.ascontiguousarray(clouds[which][:, ::40]) for which in ("reference", "rho 27"))
    ours = distance(MeanDiscrepancy.of, test, reference)
    scale = reference.std(axis=(0, 1))
    x, y = (run.reshape(-1, 3) / scale for run in (test, reference))
    median = np.median(np.linalg.norm(y[:-1] - np.random.default_rng(1).permutation(y)[:-1], axis=1))

    def kernel(a, b):
        return np.mean([pairwise.rbf_kernel(a, b, 1 / (2 * (f * median) ** 2)).mean() for f in (0.25, 0.5, 1, 2)])

    # 512 random frequencies know a mean kernel to 1 / sqrt(1024)
    assert ours**2 == pytest.approx(kernel(x, x) + kernel(y, y) - 2 * kernel(x, y), abs=3e-3)


def test_the_lyapunov_spectrum_of_lorenz_is_the_published_one():
    starts = lorenz()["reference"][:16, -1]
    found = lyapunov_spectrum(lorenz_drift, starts, dt=0.01, duration=100.0, burn_in=10.0)
    # Sprott, Chaos and Time-Series Analysis (2003); the sum is the divergence, -(10 + 1 + 8 / 3), exactly
    np.testing.assert_allclose(found.exponents, [0.9056, 0.0, -14.5723], atol=4 * found.standard_error.max())
    assert found.exponents.sum() == pytest.approx(-(11 + 8 / 3), rel=1e-4)
    assert found.kaplan_yorke_dimension == pytest.approx(2.06215, abs=0.003)
