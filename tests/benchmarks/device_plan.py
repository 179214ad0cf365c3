"""What `plan --hardware` predicts and what is measured, at its answer and at half of it.

    python tests/benchmarks/device_plan.py                                   # vanderpol in 64 units
    python tests/benchmarks/device_plan.py lorenz --units 512 --excess 1.5
    python tests/benchmarks/device_plan.py rate.safetensors                  # a network of your own

Half are half the neurons with as many bits, and as many neurons with half the bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ddm2snn
from ddm2snn.workflow.device_plan import DeviceSearch, plan_on_device


def main() -> None:
    """Plan, and run half of the answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", nargs="?", default="vanderpol", help="built-in system, or a rate network")
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--hardware", default="loihi1-emulator")
    parser.add_argument("--excess", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    file = Path(asked.system)
    rate = ddm2snn.RateNetwork.load(file) if file.is_file() else ddm2snn.train(asked.system, units=asked.units)
    planned = plan_on_device(rate, asked.hardware, excess=asked.excess, seed=asked.seed)
    print("\n".join(planned.lines()))
    chosen = planned.chosen
    search = DeviceSearch(rate, ddm2snn.find_hardware(asked.hardware), asked.excess, asked.seed, lambda _: None)
    halves = {"half the neurons": (chosen.neurons_per_unit / 2, chosen.weight_bits)}
    if chosen.weight_bits:
        halves["half the bits"] = (chosen.neurons_per_unit, max(2, chosen.weight_bits // 2))
    print(f"{'':20} {'neurons':>7} {'bits':>4} {'predicted':>9} {'measured':>9}")
    for name, option in [("answer", chosen), *((name, search.at(half)) for name, half in halves.items())]:
        print(f"{name:20} {option.neurons:7} {option.weight_bits!s:>4} {option.predicted:9.3g} {option.measured:9.3g}")


if __name__ == "__main__":
    main()
