"""Exact Wasserstein distance and currents as measures of a comparison; intervals far from the floor."""

import numpy as np
import pytest
from planted_changes import CHANGES, EVERY, FACTOR, MATRIX, covariance, ornstein_uhlenbeck, planted

from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.moments import Moments
from ddm2snn.fidelity.measures.probability_current import ProbabilityCurrent
from ddm2snn.fidelity.measures.wasserstein import ExactWasserstein, exact_wasserstein
from ddm2snn.fidelity.reference import Reference


def only(measure, reference):
    """Judged distances of one measure, by name."""
    reference.__dict__["prepared"] = [reference.prepare(measure)]
    return lambda test: {m.name: m for m in reference.judge([test])[0]}


class TestExactWasserstein:
    def test_a_selection_of_trials_gives_equally_many_states_of_each(self):
        samples = np.arange(8.0)[:, None, None] + np.zeros((8, 50, 2))
        measure = ExactWasserstein(24, np.arange(50), np.ones(2))
        whole, half, twice = measure.values(
            measure.summarise(samples), np.array([[1.0] * 8, [1.0] * 4 + [0.0] * 4, [2.0] * 2 + [0.0] * 6])
        )
        for found, trials, each in ((whole, 8, 3), (half, 4, 6), (twice, 2, 12)):
            np.testing.assert_array_equal(np.unique(found[:, 0], return_counts=True), [range(trials), [each] * trials])

    def test_the_floor_is_that_of_as_many_independent_states(self):
        # slow trials would give fewer independent states; here samples are white, so that the number alone counts
        samples = np.random.default_rng(1).standard_normal((32, 200, 2))
        measure = ExactWasserstein.of(ReferenceSamples(samples, 16, EVERY))
        rng = np.random.default_rng(2)
        expected = np.mean([exact_wasserstein(*rng.standard_normal((2, measure.points, 2))) for _ in range(40)])
        for runs in (1, 2):
            reference = Reference(ReferenceSamples(samples[: 16 * runs], 16, EVERY), 0)
            floor = reference.prepare(measure).chance.floor[0]
            # 40 matchings scatter by 0.03 / sqrt(40); with one recording, halves are continued by a ratio of 7 %
            assert floor == pytest.approx(expected, rel=0.1), runs

    def test_a_shift_is_seen(self):
        reference = Reference(ReferenceSamples.of([planted(seed=s) for s in range(3)], EVERY), 0)
        found = only(ExactWasserstein.of(reference.samples), reference)
        same = planted(seed=9)
        assert not found(same)["wasserstein"].differs
        # half a deviation: squares nearly add to the floor of 0.3, whose scatter is 0.045
        moved = found(same + np.array([0.5 * same[..., 0].std(), 0.0]))["wasserstein"]
        assert moved.differs
        assert moved.distance == pytest.approx(np.hypot(0.5, moved.floor), rel=0.15)


@pytest.fixture(scope="module")
def found():
    """Of the current alone, beside three recordings."""
    reference = Reference(ReferenceSamples.of([planted(seed=s) for s in range(3)], EVERY), 0)
    assert reference.samples.lag == 1
    measure = ProbabilityCurrent.of(reference.samples)
    assert measure is not None
    return only(measure, reference)


class TestProbabilityCurrent:
    def test_its_size_is_that_of_the_closed_form(self, found):
        # J = (B + D S^-1 / 2) z p(z), so the sum over cells is the mean speed of (B + D S^-1 / 2) z in the box
        spread = covariance(MATRIX, FACTOR)
        z = np.random.default_rng(3).multivariate_normal(np.zeros(2), spread, 400_000)
        deviation = np.sqrt(np.diag(spread))
        speed = z @ (MATRIX + FACTOR @ FACTOR.T @ np.linalg.inv(spread) / 2).T
        inside = (np.abs(z) < 2 * deviation).all(axis=1)
        expected = (np.linalg.norm(speed / deviation, axis=1) * inside).mean()
        measure = found(planted(seed=9))["current"]
        assert not measure.differs
        # displacements smear over a lag, whose square is 0.25 % of the squared correlation time, and over a cell
        assert measure.reference == pytest.approx(expected, rel=0.05)

    def test_an_added_rotation_is_a_current_and_a_shift_of_clocks_is_not(self, found):
        assert found(planted("rotation added", seed=9))["current"].differs
        backwards = found(planted(seed=9)[:, ::-1])["current"]
        assert backwards.differs
        # time reversal turns the current round: twice the reference's own is between them
        assert backwards.distance == pytest.approx(2 * backwards.reference, rel=0.1)

    def test_no_current_in_one_dimension(self):
        assert ProbabilityCurrent.of(ReferenceSamples(planted()[..., :1], 64, EVERY)) is None


def coverage(repeats, trials, samples, runs):
    """Share of comparisons in which the interval of each planted 20 % holds the change of the deviations."""
    held = []
    for i in range(repeats):
        seeds = 10_000 * i + np.arange(runs + 1)
        *known, test = (
            ornstein_uhlenbeck(int(s), trials=trials, samples=samples, **(CHANGES["diffusion 20 % up"] if last else {}))
            for s, last in zip(seeds, [False] * runs + [True], strict=True)
        )
        reference = Reference(ReferenceSamples.of(known, EVERY), i)
        found = only(Moments.of(reference.samples), reference)(test)
        held += [found[f"sd_{c}"].interval for c in range(2)]
    low, high = np.array(held).T
    return ((low <= np.sqrt(1.2) - 1) & (np.sqrt(1.2) - 1 <= high)).mean()


def test_intervals_hold_a_difference_of_a_few_standard_deviations():
    # 0.095 in deviations that are known to 0.02 to 0.05, so that a few of 16 trials are short of 95 %: 88 % hold it.
    # Were the scatter of a folded distance, which is right downwards near the floor, taken upwards too, 80 % would
    assert coverage(120, 16, 500, 1) > 0.85


def test_an_entry_says_how_many_states_are_matched():
    (entry,) = ExactWasserstein(24, np.arange(50), np.ones(2)).entries
    assert (entry.label, entry.short) == ("exact Wasserstein of 24 states", "exact Wasserstein")
