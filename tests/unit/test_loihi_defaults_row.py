"""The row of NengoLoihi's defaults in the benchmark: its own decode neurons and filter, and nothing left behind."""

# nengo's parameters are typed as what they hold in an ensemble:
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nengo_loihi")
FILE = Path(__file__).parents[1] / "benchmarks" / "loihi_defaults.py"


@pytest.fixture(scope="module")
def row():
    spec = importlib.util.spec_from_file_location("loihi_defaults", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("loihi_defaults", None)


def test_it_starts_on_stationary_states_and_moves_as_a_rate_network_does(row, quick_rate):
    settings = {"duration": 6.0, "trials": 3, "every": 0.02, "seed": 4}
    run = row.default_run(quick_rate, 64, 0.2, **settings)
    assert run.samples.shape == (3, 300, 2)
    spread = quick_rate.initial_latent.std(axis=0)
    # 64 neurons of default rates decode a van der Pol cycle to a fifth of its size or so: half would be no oscillator
    assert (np.abs(run.samples[:, 100:].std(axis=(0, 1)) / spread - 1.0) < 0.5).all()
    assert np.array_equal(run.samples, row.default_run(quick_rate, 64, 0.2, **settings).samples)
    assert run.provenance["options"]["network"] == "NengoLoihi's defaults"


def test_decode_neurons_and_filter_are_the_builder_s_own(row, quick_rate, monkeypatch):
    """Twenty decode neurons for each latent behind 5 ms, as `nengo_loihi.builder.Model` has them by default."""
    import nengo_loihi

    seen, plain = [], nengo_loihi.Simulator

    def spying(*given, **options):
        seen.append(plain(*given, **options))
        return seen[0]

    monkeypatch.setattr(nengo_loihi, "Simulator", spying)
    row.default_run(quick_rate, 20, 0.2, duration=0.2, trials=1, every=0.02, seed=4)
    model = seen[0].model
    assert model.decode_tau == 0.005
    assert type(model.decode_neurons).__name__ == "Preset10DecodeNeurons"
    sizes = sorted(block.compartment.n_compartments for block in model.blocks)
    assert sizes[-2:] == [20, 40]  # the ensemble, and twenty on and off neurons for each of two latents


def test_nengo_s_defaults_stay_as_they_are(row, quick_rate):
    import nengo

    before = (nengo.Ensemble.max_rates.default, nengo.Ensemble.intercepts.default, dict(nengo.LIF.state))
    row.default_run(quick_rate, 20, 0.2, duration=0.2, trials=1, every=0.02, seed=4)
    assert (nengo.Ensemble.max_rates.default, nengo.Ensemble.intercepts.default, dict(nengo.LIF.state)) == before
