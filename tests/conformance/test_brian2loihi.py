"""64 neurons of Brian2Loihi beside ours, by the spikes that `tests/benchmarks/brian2loihi_spikes.py` compares."""

from __future__ import annotations

import numpy as np
from chip_example import chip_example, digest, run_example

# of Brian2Loihi 0.5.2 with Brian2 2.4.2 under Python 3.8, by `python tests/benchmarks/brian2loihi_spikes.py`
SPIKES, DECODE_SPIKES, DIGEST = 22_638, 111_249, "3cb343a9a0cb7c61"


def test_spikes_over_10000_steps_are_those_of_brian2loihi():
    spikes, counts = run_example(chip_example())
    assert (len(spikes), counts[1]) == (SPIKES, DECODE_SPIKES)
    assert digest(spikes) == DIGEST


def test_a_weight_of_one_more_unit_gives_other_spikes():
    example = chip_example()
    weights = example.to_population.copy()
    weights[0, 0] += 128.0
    assert digest(run_example(example._replace(to_population=weights))[0]) != digest(run_example(example)[0])
    assert np.array_equal(example.to_population, chip_example().to_population)
