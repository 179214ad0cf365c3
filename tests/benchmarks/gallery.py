"""Gallery of the book: every built-in system and ten flows of the collection dysts, as rate network and in spikes.

    python tests/benchmarks/gallery.py --dysts -o notebooks

Writes gallery.md and figures/gallery/*.png, and ends with exit code 1 where a spiking trial died, escaped or missed a
well of the rate network's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lorenz_picture import write

import ddm2snn
from ddm2snn.fidelity.failure import find_failure
from ddm2snn.systems import BUILT_IN

FLOWS = ("Aizawa", "Chen", "Chua", "Finance", "Hadley", "Halvorsen", "HindmarshRose", "Rossler", "Rucklidge", "Thomas")
UNITS, NEURONS_PER_UNIT = 96, 6  # at most, and for each unit
TIME_UNIT_S, CALIBRATION = 1.0, 800.0  # seconds for each rate time unit, and rate time units
TRIALS, DURATION, BURN_IN = 8, 60.0, 6.0
HEAD = """# Gallery

Every built-in system, and ten chaotic flows of the collection dysts (extra `dysts`), as a rate network and in spikes
under Brian2. Shade is the density of states, orange lines are trials. Axes are the first and the last latent; a system
of one latent is drawn against itself one time unit later.

`python tests/benchmarks/gallery.py --dysts -o notebooks` makes this page. Networks are small here: at most {units}
units, {neurons} neurons for each, and a second for each rate time unit. The distance is the sliced Wasserstein distance
of the states in standard deviations, beside its floor. No trial in spikes died, escaped or missed a well; the command
fails where one does.
"""


def entry(name: str, folder: Path) -> tuple[str, bool]:
    """Draw one system; its part of the page, and whether a trial failed."""
    system = ddm2snn.find_system(name)
    training = ddm2snn.Training(error=1e-2)
    rate = ddm2snn.train(system, units=min(system.units, UNITS), training=training, seed=1)
    decoders = ddm2snn.Calibrated(duration=CALIBRATION)
    network = ddm2snn.convert(
        rate, population=NEURONS_PER_UNIT, decoders=decoders, backend="brian2", time_unit_s=TIME_UNIT_S, seed=1
    ).network
    sizes = {"trials": TRIALS, "duration": DURATION, "every": 0.05}
    reference, again = (ddm2snn.simulate(rate, seed=seed, **sizes) for seed in (1, 2))
    spiking = ddm2snn.simulate(network, backend="brian2", seed=1, **sizes)
    first = round(BURN_IN / reference.every)
    test, of = spiking.samples[:, first:], reference.samples[:, first:]
    failure = find_failure(test, of, every=reference.every, wells=system.known.get("memories"))
    measure = ddm2snn.compare(reference, spiking, floor=again, burn_in=BURN_IN, label=name)["sliced_wasserstein"]
    stem = name.removeprefix("dysts:").lower()
    picture = folder / "figures" / "gallery" / f"{stem}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    write({"rate network": reference, "in spikes": spiking}, picture, BURN_IN, widest=720, colours=48)
    summary = f"{system.summary[:1].upper()}{system.summary[1:]}" if system.summary else name
    text = (
        f"## {name}\n\n![States of {name}: rate network and spiking network](figures/gallery/{stem}.png)\n\n"
        f"{summary}. {rate.units} units, {network.neurons:,} neurons; "
        f"distance {measure.distance:.3f} (floor {measure.floor:.3f})."
    )
    print(f"{name}: {failure}, excess {measure.excess:.1f}, {picture.stat().st_size:,} bytes", flush=True)
    return text, failure.failed


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="*", default=sorted(BUILT_IN))
    parser.add_argument("--dysts", action="store_true", help="ten flows as well")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of gallery.md")
    arguments = parser.parse_args(argv)
    parts, failed = [HEAD.format(units=UNITS, neurons=NEURONS_PER_UNIT)], []
    for name in (*arguments.systems, *(f"dysts:{flow}" for flow in FLOWS if arguments.dysts)):
        start = time.process_time()
        text, bad = entry(name, arguments.output)
        parts.append(text)
        failed += [name] * bad
        (arguments.output / "gallery.md").write_text("\n\n".join(part.strip() for part in parts) + "\n")
        print(f"{time.process_time() - start:.0f} s of processor time", flush=True)
    if failed:
        sys.exit(f"Trials failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
