"""Failures: planted ones are named, a hundred healthy pairs raise no alarm."""

import numpy as np
import pytest
from planted_changes import heun, lorenz, lorenz_drift, ornstein_uhlenbeck

from ddm2snn.errors import InputError
from ddm2snn.fidelity.failure import failure_shares, find_failure

CORNERS = np.array([[-1.0], [1.0]])


def wells(seed, count=1, trials=16, samples=1000):
    """`count` recordings of a double well that is left every hundred time units."""
    rng = np.random.default_rng(seed)
    start = np.sign(rng.standard_normal((count * trials, 1)))
    path = heun(lambda z: z - z**3, 0.5, start, rng, dt=0.05, samples=samples, stride=4)
    return path.reshape(count, trials, samples, 1)


def test_no_alarm_over_a_hundred_healthy_pairs():
    healthy = []
    for seed in range(50):
        trials = 2 + seed % 7
        healthy.append(find_failure(ornstein_uhlenbeck(2 * seed, trials=trials, samples=300),
                                    ornstein_uhlenbeck(2 * seed + 1, trials=trials, samples=300)))  # fmt: skip
    runs = wells(1, count=100, trials=8, samples=300)
    healthy += [find_failure(a, b, every=0.2, wells=CORNERS) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    shares = failure_shares(healthy)
    assert shares["recordings"] == 100
    assert shares["failed"] == 0.0


def test_lorenz_that_falls_into_a_fixed_point():
    runs = lorenz()
    assert not find_failure(runs["again"], runs["reference"]).failed
    rng = np.random.default_rng(2)
    focus = np.sqrt(8 / 3 * 19) * np.array([1.0, 1.0, 0.0]) + np.array([0.0, 0.0, 19.0])
    # rho = 20: both foci are stable, and noise alone moves what rests there
    dead = heun(lambda z: lorenz_drift(z, 20.0), 0.1, focus + 0.1 * rng.standard_normal((3, 3)), rng,
                dt=0.005, samples=2000, stride=4)  # fmt: skip
    found = find_failure(np.concatenate([runs["again"][:7], dead]), runs["reference"])
    assert found.died == (7, 8, 9)
    assert not found.escaped
    assert found.trials == 10


def test_died_means_in_the_end():
    reference = ornstein_uhlenbeck(3)
    late, early = np.array(ornstein_uhlenbeck(4, trials=4)), np.array(ornstein_uhlenbeck(5, trials=4))
    late[1, 1400:] = late[1, 1400]
    early[1, :600] = early[1, 600]
    assert find_failure(late, reference).died == (1,)
    assert find_failure(early, reference).died == ()
    weak = np.array(ornstein_uhlenbeck(6, trials=4))
    weak[2] *= 0.7  # smaller, not dead
    assert not find_failure(weak, reference).failed


def test_resting_in_a_well_is_no_death_where_the_reference_does_so():
    reference = wells(7, trials=32, samples=300)[0]
    resting = reference[np.abs(reference.mean(axis=(1, 2))) > 0.8][:4]
    assert len(resting) == 4
    assert find_failure(resting, reference).died == ()


def test_escaped_beyond_a_factor_and_not_finite():
    reference = ornstein_uhlenbeck(8)
    test = np.array(ornstein_uhlenbeck(9, trials=5))
    middle = (reference.max(axis=(0, 1)) + reference.min(axis=(0, 1))) / 2
    half = (reference.max(axis=(0, 1)) - reference.min(axis=(0, 1))) / 2
    test[1, 50] = middle + 3.1 * half
    test[2, 50] = middle + 2.9 * half
    test[3, 1999, 0] = np.nan
    test[4, 100, 1] = -np.inf
    found = find_failure(test, reference)
    assert found.escaped == (1, 3, 4)
    assert found.died == ()


def test_a_lost_mode_is_named_where_it_was_to_be_expected():
    reference, other = wells(10, count=2, trials=32)
    one_sided = np.abs(other)
    assert find_failure(one_sided, reference, every=0.2, wells=CORNERS).lost == (0,)
    assert find_failure(other, reference, every=0.2, wells=CORNERS).lost == ()
    # two short trials that all happen to start on one side: no proof
    assert find_failure(one_sided[:2, :100], reference, every=0.2, wells=CORNERS).lost == ()
    # but one long trial, of many dwell times, is
    long = np.abs(wells(11, trials=2, samples=30000)[0])
    known = wells(12, trials=2, samples=30000)[0]
    assert find_failure(long, known, every=0.2, wells=CORNERS).lost == (0,)


def test_all_trials_escaped():
    reference = wells(13)[0]
    found = find_failure(reference + 50.0, reference, every=0.2, wells=CORNERS)
    assert found.escaped == tuple(range(16))
    assert found.lost == ()


def test_shares_are_of_recordings_and_say_what_they_mean():
    reference = ornstein_uhlenbeck(14)
    dead = np.zeros((4, 400, 2))
    shares = failure_shares([find_failure(dead, reference), find_failure(reference, reference)])
    assert [shares[name] for name in ("died", "escaped", "lost_mode", "failed")] == [0.5, 0.0, 0.0, 0.5]
    for word in ("last quarter", "0.25 times the smallest", "3 times as far", "0.0001"):
        assert word in shares["definition"]


def test_refusals():
    good = ornstein_uhlenbeck(15, trials=2, samples=100)
    with pytest.raises(InputError, match="needs 8 samples per trial, test has 5"):
        find_failure(good[:, :5], good)
    with pytest.raises(InputError, match="trials of reference hold NaN"):
        find_failure(good, np.full_like(good, np.nan))
    with pytest.raises(InputError, match="Latent 1 of the reference is constant"):
        find_failure(good, good * [1.0, 0.0])
    with pytest.raises(InputError, match="one recording or more"):
        failure_shares([])
