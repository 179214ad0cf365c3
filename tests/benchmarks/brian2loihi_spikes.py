"""Our integers beside Brian2Loihi's: 64 neurons over 10,000 steps, in an environment of its own.

Brian2Loihi 0.5.2 (Michaelis et al., Brian2Loihi: An emulator for the neuromorphic chip Loihi using the spiking neural
network simulator Brian, Frontiers in Neuroinformatics 2022) needs a Brian2 of its time:

    python3.8 -m venv b2l && b2l/bin/pip install brian2==2.4.2 brian2-loihi==0.5.2 'numpy<1.24'
    python tests/benchmarks/brian2loihi_spikes.py --python b2l/bin/python

Times are those of Brian2's own monitor: LoihiSpikeMonitor cuts t / ms to whole numbers, and 4006.999... becomes 4006.
Brian2Loihi has no biases, and its voltages go below zero where those of nengo-loihi's emulator, and ours, stop; the
network needs neither.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from chip_example import STEPS, chip_example, digest, registers, run_example

DRIVER = """
import json, sys
import numpy as np
from brian2 import SpikeMonitor, ms, prefs
from brian2_loihi import *
prefs.codegen.target = "numpy"
held, steps = np.load(sys.argv[1]), int(sys.argv[3])
registers, signs = json.loads(str(held["registers"])), held["signs"][:steps]
neurons, inputs = held["to_population"].shape[1], signs.shape[1]
groups = {
    kind: LoihiNeuronGroup(
        neurons, refractory=r["refractory"] + 1, threshold_v_mant=r["threshold"], decay_v=r["voltage"],
        decay_I=r["current"],
    )
    for kind, r in registers.items()
}
time, axon = np.nonzero(signs)
axon = np.where(signs[time, axon] > 0, axon, inputs + axon)
host = LoihiSpikeGeneratorGroup(2 * inputs, axon, time)
def connected(source, target, weights):
    synapses = LoihiSynapses(source, target, sign_mode=synapse_sign_mode.MIXED)
    synapses.connect()
    synapses.w = (weights / 64).astype(int).ravel()
    if not np.array_equal(synapses.w_act, weights[np.array(synapses.i), np.array(synapses.j)].astype(int)):
        sys.exit("weights differ")
    return synapses
synapses = [
    connected(groups["decode"], groups["population"], held["to_population"]),
    connected(groups["population"], groups["decode"], held["to_decode"]),
    connected(host, groups["decode"], held["from_inputs"]),
]
monitors = {kind: SpikeMonitor(group) for kind, group in groups.items()}
network = LoihiNetwork(*groups.values(), host, *synapses, *monitors.values())
network.run(steps)
np.savez(sys.argv[2], **{kind: np.stack([np.round(m.t / ms), m.i], 1) for kind, m in monitors.items()})
"""


def main() -> None:
    """Compare, and say what the spikes are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="Python with brian2-loihi")
    parser.add_argument("--steps", type=int, default=STEPS)
    asked = parser.parse_args()
    example = chip_example()
    ours, counts = run_example(example)
    with tempfile.TemporaryDirectory() as folder:
        held, found = Path(folder) / "network.npz", Path(folder) / "spikes.npz"
        np.savez(held, **example._asdict(), registers=json.dumps(registers()))
        subprocess.run([asked.python, "-c", DRIVER, str(held), str(found), str(asked.steps)], check=True)
        content = np.load(found)
        theirs, decode = np.round(content["population"]).astype(np.int64), len(content["decode"])
    theirs = theirs[np.lexsort((theirs[:, 1], theirs[:, 0]))]
    ours = ours[ours[:, 0] < asked.steps]
    differing = {*map(tuple, ours.tolist())} ^ {*map(tuple, theirs.tolist())}
    print(f"{asked.steps} steps of 64 neurons: {len(ours)} spikes of ours, {len(theirs)} of Brian2Loihi's")
    print(f"differing: {len(differing)}{f', first {min(differing)}' if differing else ''}")
    print(f"decode neurons: {counts[1]} spikes of ours in {STEPS} steps, {decode} of Brian2Loihi's in {asked.steps}")
    print(f"digest of Brian2Loihi's: {digest(theirs)}")


if __name__ == "__main__":
    main()
