"""Visits to wells: planted sequences to the sample, and a chain whose rates are known."""

import numpy as np
import pytest
from planted_changes import circulation, heun

from ddm2snn.errors import InputError
from ddm2snn.fidelity.wells import mean_dwell, transition_matrix, visits
from ddm2snn.systems import sequence

TWO = np.array([[-1.0], [1.0]])


def telegraph(rng, *, trials, samples, rate, every):
    """Jumps between -1 and 1 at a rate, with noise that stays within the cores of radius 0.6 by four deviations."""
    flips = rng.random((trials, samples)) < (1 - np.exp(-2 * rate * every)) / 2
    sign = np.where(np.cumsum(flips, axis=1) % 2, -1.0, 1.0)
    return (sign + 0.1 * rng.standard_normal(sign.shape))[..., None]


def test_a_planted_course_is_read_to_the_sample():
    course = np.array([0, 0, -1, -0.5, 0.2, 0.9, 0.1, -0.3, 1.0, -0.9, -1, -1, 0.8, 0.9], float)
    found = visits(course[None, :, None], TWO, every=0.5, core=0.4)
    # arrives at -1 at sample 2, at +1 at 5; its excursion to -0.3 is no visit; back at 9, and away again at 12
    np.testing.assert_array_equal(found.well, [0, 1, 0, 1])
    np.testing.assert_array_equal(found.start, [1.0, 2.5, 4.5, 6.0])
    np.testing.assert_array_equal(found.duration, [1.5, 2.0, 1.5, 1.0])
    np.testing.assert_array_equal(found.transitions[0], [[0, 2], [1, 0]])
    np.testing.assert_array_equal(found.time_in[0], [3.0, 3.0])


def test_trials_do_not_mix():
    course = np.array([[-1.0, -1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    found = visits(course[..., None], TWO, every=1.0)
    np.testing.assert_array_equal(found.trial, [0, 0, 1])
    np.testing.assert_array_equal(found.well, [0, 1, 1])
    np.testing.assert_array_equal(found.time_in, [[2.0, 2.0], [0.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(found.transitions.sum(axis=0), [[0, 1], [0, 0]])


def test_dwell_times_of_a_telegraph():
    RATE, EVERY = 0.2, 0.05
    path = telegraph(np.random.default_rng(1), trials=64, samples=2000, rate=RATE, every=EVERY)
    found = visits(path, TWO, EVERY)
    departures = found.transitions.sum()
    mean = mean_dwell(found.time_in.sum(axis=0), found.transitions.sum(axis=0))
    # a flip within a step that flips back is not seen: a share RATE * EVERY of 1 %; departures are Poisson
    tolerance = 3 * np.sqrt(2 / departures) + RATE * EVERY
    np.testing.assert_allclose(mean, 1 / RATE, rtol=tolerance)
    # the control: a rate a third higher is refused by this tolerance, so are the means of whole visits only
    assert tolerance < 1 / 4
    short = visits(path[:, :200], TWO, EVERY)  # trials of two dwell times cut most of the long visits
    last = np.append(short.trial[1:] != short.trial[:-1], True)
    whole = short.duration[(short.well == 0) & (short.start > 0) & ~last]
    assert whole.mean() < 0.8 / RATE
    cut = mean_dwell(short.time_in.sum(axis=0), short.transitions.sum(axis=0))
    np.testing.assert_allclose(cut, 1 / RATE, rtol=3 * np.sqrt(2 / short.transitions.sum()) + RATE * EVERY)


def test_recrossings_do_not_count_with_cores_and_would_without():
    rng = np.random.default_rng(2)
    path = heun(lambda z: z - z**3, 0.5, np.sign(rng.standard_normal((64, 1))), rng, dt=0.05, samples=2000, stride=1)
    found = visits(path, TWO, 0.05)
    crossings = (np.diff(np.sign(path[..., 0]), axis=1) != 0).sum()
    assert crossings > 3 * found.transitions.sum()
    # Eyring and Kramers, barrier 1/4, temperature 1/8, curvatures 2 and 1: good to about the inverse of 2
    kramers = 2 * np.pi / np.sqrt(2) * np.exp(0.25 / 0.125)
    mean = mean_dwell(found.time_in.sum(axis=0), found.transitions.sum(axis=0))
    np.testing.assert_allclose(mean, kramers, rtol=0.35)


def test_order_of_visits_of_a_sequence():
    shares = {}
    for strength in (0.0, 3.0):
        system, rng = sequence(4, strength), np.random.default_rng(3)
        path = heun(system.drift, 0.8, system.starts(rng, 64), rng, dt=0.02, samples=1000, stride=4)
        total = visits(path, system.known["memories"], 0.08).transitions.sum(axis=0)
        np.testing.assert_allclose(np.nansum(transition_matrix(total), axis=1), 1.0)
        forth = sum(total[i, (i + 1) % 4] for i in range(4))
        back = sum(total[(i + 1) % 4, i] for i in range(4))
        shares[strength] = ((forth - back) / (forth + back), 1 / np.sqrt(forth + back), circulation(total))
    value, error, _ = shares[0.0]
    assert abs(value) < 4 * error
    value, error, order = shares[3.0]
    assert value > 0.5 > 10 * error
    assert (order[range(4), [1, 2, 3, 0]] > 0).all()
    np.testing.assert_allclose(order, -order.T)


def test_refusals():
    path = np.zeros((1, 10, 1))
    with pytest.raises(InputError, match=r"centres of shape \(well, 1\), got shape \(2, 2\)"):
        visits(path, np.zeros((2, 2)), 1.0)
    with pytest.raises(InputError, match=r"Cores of radius 1\.5 overlap: two wells are 2 apart"):
        visits(path, TWO, 1.0, core=1.5)
    with pytest.raises(InputError, match="single well has no neighbour"):
        visits(path, TWO[:1], 1.0)
    with pytest.raises(InputError, match=r"visits\.every must be a finite number above zero"):
        visits(path, TWO, 0.0)
