"""C++ standalone runs do not touch one another, whether in one process or at the same time in two."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # three compilations, two of them at the same time


def test_the_second_run_of_a_process_equals_the_same_run_alone(standalone_runs, tmp_path):
    alone, second = standalone_runs["here"], standalone_runs["program"]["noisy"]
    assert alone.provenance["options"] == second.provenance["options"] == {"mode": "cpp_standalone"}
    assert np.array_equal(alone.samples, second.samples)
    alone.save(tmp_path / "alone.nc")
    assert (tmp_path / "alone.nc").read_bytes() == (standalone_runs["folder"] / "noisy.nc").read_bytes()


def test_this_process_is_as_before(standalone_runs):
    assert standalone_runs["after"] == standalone_runs["before"]


def test_a_fresh_process_is_as_before(standalone_runs):
    assert standalone_runs["about"] == {
        "hooks are as before": True,
        "global generator is as before": True,
        "device": "RuntimeDevice",
        "folders left": [],
    }
