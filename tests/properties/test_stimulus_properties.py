"""Stimulus.at against a loop that anyone can read."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from network_strategies import MODEST, stimuli

from ddm2snn import Stimulus

SLACK = 1e-9  # a switch within this of a time has happened


def naive(stimulus, times, inputs):
    rows = []
    for time in times:
        row = [0.0] * inputs
        for start, value in zip(stimulus.times, stimulus.values, strict=True):
            if start <= time + SLACK:
                row = value.tolist()
        rows.append(row)
    return np.array(rows).reshape(len(times), inputs)


@MODEST
@given(stimulus=stimuli(inputs=2), times=st.lists(st.floats(-60.0, 60.0), max_size=10))
def test_at_is_the_last_value_that_began(stimulus, times):
    assert np.array_equal(stimulus.at(np.array(times), 2), naive(stimulus, times, 2))


@MODEST
@given(stimulus=stimuli(inputs=3))
def test_at_its_own_times_it_is_its_own_values(stimulus):
    assume(not stimulus.empty and (np.diff(stimulus.times) > SLACK).all())
    assert np.array_equal(stimulus.at(stimulus.times, 3), stimulus.values)
    before = stimulus.at(stimulus.times - 2 * SLACK, 3)
    assert np.array_equal(before, naive(stimulus, stimulus.times - 2 * SLACK, 3))


@MODEST
@given(stimulus=stimuli(inputs=1), times=st.lists(st.floats(-60.0, 60.0), min_size=1, max_size=6))
def test_times_may_come_in_any_order(stimulus, times):
    forward, backward = stimulus.at(np.array(times), 1), stimulus.at(np.array(times[::-1]), 1)
    assert np.array_equal(forward, backward[::-1])


@MODEST
@given(stimulus=stimuli(inputs=2), index=st.integers(0, 4), value=st.floats(-5.0, 5.0))
def test_one_value_changes_one_interval_only(stimulus, index, value):
    assume(index < stimulus.times.size)
    values = stimulus.values.copy()
    values[index] = value
    changed = Stimulus(times=stimulus.times, values=values)
    grid = np.linspace(-60.0, 60.0, 501)
    end = stimulus.times[index + 1] if index + 1 < stimulus.times.size else np.inf
    outside = (grid < stimulus.times[index] - SLACK) | (grid >= end)
    assert np.array_equal(changed.at(grid, 2)[outside], stimulus.at(grid, 2)[outside])
