"""A board kit in an environment of NengoLoihi alone, and what a run without injected noise costs.

    python tests/benchmarks/board_kit.py                  # vanderpol 64 x 4, in a new environment
    python tests/benchmarks/board_kit.py snn.safetensors --python alone/bin/python   # of your own
    python tests/benchmarks/board_kit.py --without-noise  # and the fidelity with and without noise of the host

The environment has NumPy 1.26, Nengo 3.2 and nengo-loihi 1.1.0; ddm2snn is not in it. Exit code 0 where the kit's
check passes bit for bit.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import ddm2snn

PACKAGES = ("numpy==1.26.*", "nengo==3.2.*", "nengo-loihi==1.1.0")
TRIALS, DURATION, BURN_IN, REFERENCES = 16, 44.0, 4.0, 4


def environment(folder: Path) -> Path:
    """Python of a new environment with `PACKAGES`."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def checked(network: ddm2snn.SpikingNetwork, python: Path, folder: Path) -> int:
    """Write a kit and run its check in the environment, without this process's variables; its exit code."""
    ddm2snn.export(network, folder / "kit", format="board")
    for command in (["-c", "import ddm2snn"], ["check.py"]):
        done = subprocess.run(
            [python, *command], cwd=folder / "kit", env={}, capture_output=True, text=True, check=False
        )
        if command[0] == "-c":
            print("ddm2snn is not in the environment" if done.returncode else "ddm2snn is in the environment: no proof")
        else:
            print(done.stdout + done.stderr)
    return done.returncode


def without_noise(rate: ddm2snn.RateNetwork, network: ddm2snn.SpikingNetwork) -> None:
    """Excess of every measure, with the noise of the host and without it."""
    runs = {"duration": DURATION, "trials": TRIALS}

    references = [ddm2snn.simulate(rate, seed=101 + n, **runs) for n in range(REFERENCES)]
    silent = dataclasses.replace(network, diffusion_factor=np.zeros_like(network.diffusion_factor))
    reports = []
    for each in (network, silent):
        test = ddm2snn.simulate(each, backend="quantised", seed=7, **runs)
        reports.append(ddm2snn.compare(references[0], test, floor=references[1:], burn_in=BURN_IN))
    print(f"{'excess over the floor':50} {'with':>8} {'without':>8}")
    for noisy, quiet in zip(*(each.measures for each in reports), strict=True):
        print(f"{noisy.label:50} {noisy.excess:8.2f} {quiet.excess:8.2f}")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", type=Path, help="spiking network converted for Loihi 1")
    parser.add_argument("--rate", type=Path, help="rate network that it comes from, for --without-noise")
    parser.add_argument("--python", type=Path, help="Python of an environment of NengoLoihi alone")
    parser.add_argument("--without-noise", action="store_true")
    asked = parser.parse_args()
    rate = ddm2snn.RateNetwork.load(asked.rate) if asked.rate else None
    if asked.network:
        network = ddm2snn.SpikingNetwork.load(asked.network)
    else:
        rate = rate or ddm2snn.train("vanderpol", units=64)
        network = ddm2snn.convert(rate, hardware="loihi1-emulator").network
    with tempfile.TemporaryDirectory() as folder:
        python = asked.python.absolute() if asked.python else environment(Path(folder) / "alone")
        code = checked(network, python, Path(folder))
    if asked.without_noise and rate is not None:
        without_noise(rate, network)
    return code


if __name__ == "__main__":
    sys.exit(main())
