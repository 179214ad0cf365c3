"""Times, off by default: `python -m pytest tests/benchmarks`. Compare ratios within one run."""

import pytest

import ddm2snn

SIMULATED = {"trials": 64, "duration": 10.0, "seed": 1}


@pytest.mark.parametrize("options", [{"mode": "numpy"}, {"mode": "cpp_standalone"}], ids=lambda o: o["mode"])
def test_brian2(benchmark, spiking_networks, options):
    backend = ddm2snn.find_backend("brian2", **options)
    run = benchmark.pedantic(
        ddm2snn.simulate, (spiking_networks["brian2"],), {"backend": backend, **SIMULATED}, rounds=3
    )
    assert run.trials == SIMULATED["trials"]


@pytest.mark.parametrize("name", ["nengo", "reference"])
def test_others(benchmark, spiking_networks, name):
    backend = ddm2snn.find_backend("reference", spike_timing="interpolated") if name == "reference" else name
    run = benchmark.pedantic(
        ddm2snn.simulate, (spiking_networks["nengo"],), {"backend": backend, **SIMULATED}, rounds=3
    )
    assert run.trials == SIMULATED["trials"]


def test_rate(benchmark, rate_network):
    run = benchmark.pedantic(ddm2snn.simulate, (rate_network,), SIMULATED, rounds=3)
    assert run.trials == SIMULATED["trials"]


def test_train(benchmark):
    network = benchmark.pedantic(ddm2snn.train, ("vanderpol",), {"seed": 1}, rounds=3)
    assert max(network.provenance["drift_error"]) < 2e-3


def test_compare(benchmark, rate_network):
    first, second, third = (ddm2snn.simulate(rate_network, trials=64, duration=40.0, seed=s) for s in range(3))
    report = benchmark.pedantic(ddm2snn.compare, (first, second), {"floor": third}, rounds=3)
    assert report["d_h"].samples == 64 * 1800
