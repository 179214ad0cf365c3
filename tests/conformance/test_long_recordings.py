"""Recordings that are larger than the memory a process may take, from simulation to file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddm2snn.recording import Recording

pytest.importorskip("resource")
MIB = 2**20
TRIALS, STEPS = 16, 1_500_000  # of two latents: 366 MiB
SPARE = 192  # MiB beyond what an imported Brian2 takes; a few copies of the times of samples are 11 each

LIMITED = f"""
import resource, sys
import numpy as np
import brian2, xarray, h5netcdf
import ddm2snn
from ddm2snn.base import large_arrays
from ddm2snn.backend import find_backend

network, output, large = ddm2snn.load(sys.argv[1]), sys.argv[2], sys.argv[3] == "large"
backend = find_backend("brian2", mode="cpp_standalone")
ddm2snn.simulate(network, backend=backend, duration=0.1, trials=1, every=network.dt_s / network.time_unit_s)  # compile
if not large:
    large_arrays.LARGE_BYTES = 2**62
taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (taken + {SPARE} * {MIB},) * 2)  # of memory without a file behind it
unit = network.dt_s / network.time_unit_s
asked = {{"every": unit, "spikes": ddm2snn.SpikeSelection(neurons=(0, 3))}}
run = ddm2snn.simulate(network, backend=backend, duration={STEPS} * unit, trials={TRIALS}, seed=1, **asked)
run.save(output)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
@pytest.mark.parametrize("kind", ["large", "in memory"])
def test_a_recording_need_not_fit_into_memory(kind, make_spiking, tmp_path):
    network = make_spiking(neurons=8, seed=2, diffusion_factor=0.2 * np.eye(2))
    network.save(tmp_path / "net.safetensors")
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "net.safetensors"), str(tmp_path / "run.nc"), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if kind == "in memory":  # the control: arrays in memory do not get through
        assert done.returncode != 0
        assert "MemoryError" in done.stderr or "Unable to allocate" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run.nc").stat().st_size > TRIALS * STEPS * 16
    found = Recording.load(tmp_path / "run.nc")
    assert found.samples.shape[0] == TRIALS
    assert np.isfinite(found.samples).all()
    assert found.spikes is not None
    assert set(np.unique(found.spikes.neuron)) == {0, 3}
    assert len(found.spikes.time_s) > 100_000
