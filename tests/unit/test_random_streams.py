"""Named streams of one seed: independent, repeatable, and checked at the door."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Calibrated, InputError
from ddm2snn.base.randomness import check_seed, child_seed, stream
from ddm2snn.conversion.decoders import Problem


def draws(seed, *names):
    return stream(seed, *names).integers(2**63, size=4).tolist()


def test_the_same_seed_and_names_give_the_same_numbers():
    assert draws(3, "run", "noise") == draws(3, "run", "noise")
    assert child_seed(3, "run", "noise") == child_seed(3, "run", "noise")


def test_each_stream_is_fresh():
    stream(3, "run").random(100)
    assert draws(3, "run") == draws(3, "run")


def test_other_seeds_and_other_names_give_other_numbers():
    keys = [(0, "a"), (1, "a"), (2**32, "a"), (0, "b"), (0, "a", "b"), (0, "b", "a"), (0, "ab"), (0, "a", ""), (0,)]
    assert len({tuple(draws(*key)) for key in keys}) == len(keys)
    assert len({child_seed(*key) for key in keys}) == len(keys)


def test_streams_are_not_correlated():
    # 1 / sqrt(count) is the standard deviation of the correlation of independent numbers
    count = 20_000
    a, b, c = (stream(*key).standard_normal(count) for key in [(7, "a"), (7, "b"), (8, "a")])
    for first, second in ((a, b), (a, c), (b, c)):
        assert abs(np.corrcoef(first, second)[0, 1]) < 5.0 / np.sqrt(count)
    assert abs(np.corrcoef(a, stream(7, "a").standard_normal(count))[0, 1]) > 5.0 / np.sqrt(count)


def test_numbers_of_yesterday():
    # pinned: networks and recordings already made name their seeds
    assert child_seed(0, "brian2", "noise") == 1635691261
    assert draws(0, "run", "voltage")[0] == 8010290148288350465


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63 - 1])
def test_child_seeds_have_31_bits(seed):
    for name in ("a", "b", "c", "d"):
        child = child_seed(seed, name)
        assert type(child) is int
        assert 0 <= child < 2**31


def test_child_seeds_use_their_range():
    children = [child_seed(seed, "x") for seed in range(300)]
    assert len(set(children)) == 300
    assert max(children) > 2**30
    assert min(children) < 2**24


@pytest.mark.parametrize("seed", [0, 5, 2**63 - 1, np.int64(5), np.uint8(5)])
def test_whole_numbers_are_seeds(seed):
    assert check_seed(seed) == int(seed)
    assert type(check_seed(seed)) is int


def test_numpy_integers_give_the_same_stream():
    assert draws(np.int64(9), "a") == draws(9, "a")


@pytest.mark.parametrize("bad", [-1, -(2**70), 2**63, 2**200, 1.0, 0.5, np.nan, np.float64(3), "3", None, [1], 1j])
def test_what_is_no_seed_is_refused(refuses, bad):
    with refuses(InputError, "seed must be a whole number from 0 to 2**63 - 1", f"got {bad!r}", "Choose such a number"):
        check_seed(bad)
    with refuses(InputError, "seed must be"):
        stream(bad, "a")
    with refuses(InputError, "seed must be"):
        child_seed(bad, "a")


@pytest.mark.parametrize("share", [2, 6])
def test_the_length_of_the_pilot_does_not_move_the_final_calibration(quick_rate, monkeypatch, share):
    """Both conversions are given one pilot's noise budget, after pilots of different length.

    Where one generator ran through the pilot and the calibration, a longer pilot left it elsewhere, and the final
    decoders and noise budget differed.
    """
    pilot, budgets = Calibrated.pilot, []

    def converted(duration):
        def another_pilot(self, problem, progress):
            budgets.append(pilot(dataclasses.replace(self, duration=duration), problem, progress))
            return budgets[0]

        monkeypatch.setattr(Calibrated, "pilot", another_pilot)
        settings = Calibrated(duration=500.0)
        return ddm2snn.convert(quick_rate, decoders=settings, backend="reference", seed=4)

    short, long = converted(2000.0), converted(2000.0 * share)
    assert not np.array_equal(budgets[0].spikes, budgets[1].spikes), "the pilots must differ for this to mean anything"
    assert np.array_equal(short.network.decoders, long.network.decoders)
    assert short.network.fingerprint == long.network.fingerprint
    assert short.diagnostics == long.diagnostics


def test_parts_of_a_conversion_draw_from_streams_of_their_own(quick_rate, monkeypatch):
    streams = []

    def recorded(self, name):
        streams.append(name)
        return stream(self.seed, "conversion", name)

    monkeypatch.setattr(Problem, "rng", recorded)
    ddm2snn.convert(quick_rate, decoders=Calibrated(duration=100.0), backend="reference")
    assert len(streams) == len(set(streams)) >= 5, "pilot, its budget, calibration, budget and lag"
