"""D_stsp against a count by dictionary, and its size on planted changes."""

from collections import Counter

import numpy as np
import pytest
from planted_changes import LORENZ_EVERY, lorenz, planted

from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.power_spectrum import hellinger, power_spectra
from ddm2snn.fidelity.measures.state_divergence import StateDivergence
from ddm2snn.fidelity.samples import Grid


def measure_of(reference, **options):
    return StateDivergence.of(ReferenceSamples(reference, len(reference), 1.0), **options)


def divergence(test, reference, **options):
    measure = measure_of(reference, **options)
    values = [measure.values(measure.summarise(x), np.ones((1, len(x))))[0] for x in (test, reference)]
    return measure.distances(*values)[0]


def by_dictionary(test, reference, low, high, bins):
    """The definition, cell by cell, with no array operation in common."""
    rank = reference.shape[-1]

    def tally(samples):
        found = Counter()
        for state in samples.reshape(-1, rank):
            if all(lo <= value <= hi for value, lo, hi in zip(state, low, high, strict=True)):
                place = [(v - lo) / (hi - lo) * bins for v, lo, hi in zip(state, low, high, strict=True)]
                found[tuple(min(int(p), bins - 1) for p in place)] += 1
        return found

    h, g = tally(reference), tally(test)
    n, m = sum(h.values()) + 1e-5 * bins**rank, sum(g.values()) + 1e-5 * bins**rank
    total = 0.0
    for cell in np.ndindex(*(bins,) * rank):
        p, q = (h[cell] + 1e-5) / n, (g[cell] + 1e-5) / m
        total += p * np.log(p / q)
    return total


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
@pytest.mark.parametrize("box", ["two_sd", "min_max"])
def test_agrees_with_the_definition(rank, box):
    rng = np.random.default_rng(rank)
    reference, test = rng.standard_normal((2, 3, 400, rank)) * (1.0 + np.arange(rank))
    deviation = reference.std(axis=(0, 1))
    if box == "two_sd":
        low, high = (reference.mean(axis=(0, 1)) + s * 2 * deviation for s in (-1, 1))
    else:
        low, high = reference.min(axis=(0, 1)) - 0.1 * deviation, reference.max(axis=(0, 1)) + 0.1 * deviation
    bins = 30 if rank < 4 else 8  # the dictionary, not the measure, is slow at 30**4
    expected = by_dictionary(test, reference, low, high, bins)
    assert divergence(test, reference, box=box, bins=bins) == pytest.approx(expected, rel=1e-9)


def test_is_zero_for_equal_and_agrees_with_numpy_on_a_whole_grid():
    rng = np.random.default_rng(0)
    reference, test = rng.standard_normal((2, 4, 5000, 3))
    assert divergence(reference, reference) == 0.0
    mean, deviation = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
    span = list(zip(mean - 2 * deviation, mean + 2 * deviation, strict=True))
    p, q = (np.histogramdd(x.reshape(-1, 3), 30, range=span)[0] + 1e-5 for x in (reference, test))
    p, q = p / p.sum(), q / q.sum()
    assert divergence(test, reference) == pytest.approx((p * np.log(p / q)).sum(), rel=1e-9)


def test_rank_six_takes_memory_for_visited_cells_only():
    cloud = np.random.default_rng(1).standard_normal((2, 1000, 6))
    measure = measure_of(cloud)
    assert measure.grid.size == 30**6
    assert measure.summarise(cloud).shape[1] <= 2000
    with pytest.raises(InputError, match="more cells than"):
        measure_of(np.ones((1, 5, 20)) * np.arange(5)[:, None])


def test_weights_count_trials():
    x = np.random.default_rng(2).standard_normal((3, 500, 2)) + np.arange(3)[:, None, None]
    measure = measure_of(x)
    weighted = measure.values(measure.summarise(x), np.array([[2.0, 0.0, 1.0]]))
    repeated = measure.values(measure.summarise(x[[0, 0, 2]]), np.ones((1, 3)))
    np.testing.assert_array_equal(weighted, repeated)


def test_lorenz_sees_another_parameter_and_is_nearly_blind_to_speed():
    runs = lorenz()
    floor = divergence(runs["again"], runs["reference"])
    power = {name: power_spectra(x, LORENZ_EVERY)[1].mean(axis=0) for name, x in runs.items()}
    # 1e5 samples of one seed each scatter by some 0.03 around 0.05 to 0.1
    assert floor < 0.15
    # rho 27 as seen from 28 and the other way round, whose boxes differ
    assert divergence(runs["rho 27"], runs["reference"]) == pytest.approx(0.67, abs=0.1)
    assert divergence(runs["slower"], runs["reference"]) < floor + 0.06
    # what the one does not see, the other does
    assert hellinger(power["slower"], power["reference"]) == pytest.approx(0.19, abs=0.03)
    assert hellinger(power["again"], power["reference"]) < 0.09


def test_the_box_decides_how_much_a_change_of_lorenz_is():
    # 0.48 and 0.41 were measured elsewhere for rho 27 and for 10 % of noise; which box gives what, and what else moves
    # it, stands in tests/benchmarks/lorenz_changes.py. Over seeds, steps and lengths of trials each scatters by 0.03
    runs = lorenz()
    reference = runs["reference"]
    noisy = runs["again"] + 0.1 * reference.std(axis=(0, 1)) * np.random.default_rng(7).standard_normal(reference.shape)
    assert divergence(noisy, reference, box="two_sd") == pytest.approx(0.60, abs=0.05)
    assert divergence(noisy, reference, box="min_max") == pytest.approx(0.41, abs=0.05)
    assert divergence(runs["rho 27"], reference, box="min_max") == pytest.approx(0.41, abs=0.07)


def test_planted_changes():
    reference = planted()
    floor = np.mean([divergence(planted(seed=s), reference) for s in (1, 2, 3)])
    # the floor is the mean of three pairs, which lie within a fifth of each other
    for change in ("diffusion 20 % up", "mean shifted"):
        assert divergence(planted(change, seed=4), reference) > 1.5 * floor
    # blind to time: the same states in another order
    backwards = planted(seed=5)[:, ::-1]
    assert divergence(backwards, reference) == divergence(planted(seed=5), reference) < 1.5 * floor


def test_refusals():
    good = np.random.default_rng(3).standard_normal((2, 50, 2))
    with pytest.raises(InputError, match=r"reference of shape \(trial, time, rank\), got \(50, 2\)"):
        Grid.around(good[0], 30)
    with pytest.raises(InputError, match="1 of 2 trials of reference hold NaN"):
        Grid.around(np.where(np.arange(2)[:, None, None] == 1, np.nan, good), 30)
    with pytest.raises(InputError, match="latent 1 has no extent"):
        measure_of(good * [1.0, 0.0])
    with pytest.raises(InputError, match="box must be one of two_sd, min_max"):
        measure_of(good, box="mean")


def test_the_grid_counts_its_upper_faces_and_nothing_outside():
    grid = Grid(np.zeros(2), np.array([1.0, 2.0]), 2)
    found = grid.cells(np.array([[0.0, 0.0], [1.0, 2.0], [0.6, 0.4], [1.01, 1.0], [-0.01, 1.0]]))
    np.testing.assert_array_equal(found, [0, 3, 2, -1, -1])
    np.testing.assert_array_equal(grid.cells(grid.centres), np.arange(4))
