"""The Lorenz attractor four times: rate network, Brian2, Nengo and the integers of an emulated Loihi.

    python tests/benchmarks/lorenz_picture.py -o notebooks/figures/lorenz.png

Trains a rate network, converts it for each, runs every one of them and draws the planes of the first and the last
latent. Prints the sliced Wasserstein distance of each from the rate network beside its floor.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import ddm2snn
from ddm2snn.plots.recordings import phase_portraits

# neurons per unit, seconds of a rate time unit, rate time units of calibration; the device refuses 8
# neurons per unit, whose weights lie too far apart for its integers, and 2 are no noisier in a time unit twice as long
SPIKING = {
    "brian2": ("Brian2", 8, 2.0, 1500.0),
    "nengo": ("Nengo", 8, 2.0, 1500.0),
    "quantised": ("emulated Loihi", 2, 4.0, 1000.0),
}
WIDEST, COLOURS = 1600, 96  # pixels and colours of the picture


def recordings(arguments: argparse.Namespace) -> dict[str, ddm2snn.Recording]:
    """A second run of the rate network stands under "again"."""
    sizes = {"trials": arguments.trials, "duration": arguments.duration}
    rate = ddm2snn.train("lorenz", units=arguments.units, training=ddm2snn.Training(error=arguments.error), seed=1)
    runs = {name: ddm2snn.simulate(rate, seed=seed, **sizes) for name, seed in (("rate network", 1), ("again", 2))}
    for backend, (name, neurons_per_unit, time_unit_s, calibration) in SPIKING.items():
        made = ddm2snn.convert(
            rate, population=neurons_per_unit, decoders=ddm2snn.Calibrated(duration=calibration), backend=backend,
            hardware="loihi1-emulator" if backend == "quantised" else None, time_unit_s=time_unit_s, seed=1,
        )  # fmt: skip
        runs[name] = ddm2snn.simulate(made.network, backend=backend, seed=1, **sizes)
        print(f"{name}: {made.network.neurons:,} neurons, {made.network.time_unit_s:g} s per rate time unit")
    return runs


def write(
    runs: dict[str, ddm2snn.Recording], path: Path, burn_in: float, widest: int = WIDEST, colours: int = COLOURS
) -> int:
    """Draw and store with few colours; bytes of the file."""
    from PIL import Image

    buffer = io.BytesIO()
    phase_portraits(runs, burn_in=burn_in).savefig(buffer, format="png")
    picture = Image.open(buffer).convert("RGB")
    if picture.width > widest:
        picture = picture.resize((widest, round(picture.height * widest / picture.width)))
    picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
    return path.stat().st_size


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--error", type=float, default=2e-3)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--duration", type=float, default=40.0, help="rate time units")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args(argv)
    runs = recordings(arguments)
    again = runs.pop("again")
    size = write(runs, arguments.output, arguments.duration / 10)
    reference = runs["rate network"]
    for name, run in runs.items():
        if run is not reference:
            measure = ddm2snn.compare(reference, run, floor=again, label=name)["sliced_wasserstein"]
            print(f"{name}: sliced Wasserstein {measure.distance:.3f} sd, {measure.excess:.1f} times its floor")
    sys.stdout.write(f"{arguments.output}: {size:,} bytes\n")


if __name__ == "__main__":
    main()
