"""Energy and time on Loihi from our estimate and from SANA-FE side by side, and a sweep of what they depend on.

    python tests/benchmarks/second_opinion.py                       # vanderpol 64 x 4 and lorenz 512 x 2
    python tests/benchmarks/second_opinion.py snn.safetensors       # networks of your own
    python tests/benchmarks/second_opinion.py --sweep sweep.png     # bits, neurons per unit, decode neurons

Needs `pip install 'ddm2snn[sana-fe]'`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ddm2snn
from ddm2snn.hardware.second_opinion import SecondOpinion, second_opinion
from ddm2snn.hardware.workload import workload_of_run

DEVICE = "loihi1-emulator"
SYSTEMS = {"vanderpol": (64, 4.0), "lorenz": (512, 2.0)}  # units, neurons per unit
SHORT = ddm2snn.Calibrated(duration=1000.0)  # of conversions in the sweep


def converted(name: str) -> ddm2snn.SpikingNetwork:
    """A system as `SYSTEMS` has it, converted for the device."""
    units, neurons_per_unit = SYSTEMS[name]
    rate = ddm2snn.train(name, units=units)
    return ddm2snn.convert(rate, population=ddm2snn.Population(neurons_per_unit), hardware=DEVICE).network


def table(networks: dict[str, ddm2snn.SpikingNetwork]) -> None:
    """Both estimates of each network."""
    config = ddm2snn.find_hardware(DEVICE)
    for name, network in networks.items():
        print(f"\n{name}: {network.neurons} neurons, rank {network.rank}, time unit {network.time_unit_s:g} s")
        print("\n".join(second_opinion(network, config).lines()))


def sweep(rate: ddm2snn.RateNetwork, figure: Path) -> None:
    """Energy of a time unit and time of a step against bits, neurons per unit and decode neurons."""
    from matplotlib.figure import Figure

    config = ddm2snn.find_hardware(DEVICE)
    bits = {n: config.precision.model_copy(update={"weight_bits": n}) for n in (4, 6, 8)}
    pairs = {n: config.decode_neurons.model_copy(update={"pairs_per_latent": n}) for n in (5, 10, 20)}
    runs = [("weight bits", n, 4.0, config.model_copy(update={"precision": p})) for n, p in bits.items()]
    runs += [("neurons per unit", n, float(n), config) for n in (2, 4, 8)]
    runs += [("decode neurons", 2 * n * rate.rank, 4.0, config.model_copy(update={"decode_neurons": p}))
             for n, p in pairs.items()]  # fmt: skip
    found: dict[str, list[tuple[int, float, SecondOpinion]]] = {}
    print(f"{'':18} {'':>5} {'bytes':>8} {'uJ ours':>9} {'SANA-FE':>9} {'us ours':>9} {'SANA-FE':>9}")
    for kind, value, multiple, device in runs:
        made = ddm2snn.convert(
            rate, population=ddm2snn.Population(multiple), decoders=SHORT, hardware=device, time_unit_s=0.5
        ).network
        opinion = second_opinion(made, device)
        footprint = workload_of_run(made, device).footprint_bytes
        ours, theirs, per = opinion.ours, opinion.theirs, made.time_unit_s / made.dt_s / opinion.steps
        found.setdefault(kind, []).append((value, per, opinion))
        print(
            f"{kind:18} {value:5} {footprint:8,.0f} {ours.microjoule_per_time_unit * per:9.3g} "
            f"{theirs.picojoule['total'] * 1e-6 * per:9.3g} {ours.microsecond_per_step:9.3g} "
            f"{theirs.microsecond_per_step:9.3g}",
            flush=True,
        )
    drawn = Figure(figsize=(9, 5), layout="constrained")
    axes = drawn.subplots(2, len(found), sharex="col", squeeze=False)
    for column, (kind, rows) in zip(axes.T, found.items(), strict=True):
        values = [value for value, *_ in rows]
        energies = [
            (per * o.ours.microjoule_per_time_unit, per * o.theirs.picojoule["total"] / 1e6) for _, per, o in rows
        ]
        times = [(o.ours.microsecond_per_step, o.theirs.microsecond_per_step) for *_, o in rows]
        for axis, pairs_of, label in zip(
            column, (energies, times), ("energy of a time unit (uJ)", "time of a step (us)"), strict=True
        ):
            for style, name, numbers in zip(
                ("o-", "s--"), ("ours", "SANA-FE"), zip(*pairs_of, strict=True), strict=True
            ):
                axis.plot(values, numbers, style, label=name)
            axis.set_ylabel(label)
            axis.set_ylim(bottom=0)
        column[-1].set_xlabel(kind)
    axes[0, 0].legend()
    drawn.savefig(figure)
    print(figure)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", type=Path, help="spiking networks; by default both systems are made")
    parser.add_argument("--sweep", type=Path, metavar="FIGURE")
    parser.add_argument("--rate", type=Path, help="rate network of the sweep; by default vanderpol is trained")
    asked = parser.parse_args()

    def trained(name: str) -> ddm2snn.RateNetwork:
        known = name in SYSTEMS
        return ddm2snn.train(name, units=SYSTEMS[name][0]) if known else ddm2snn.RateNetwork.load(Path(name))

    if asked.sweep:
        sweep(trained(str(asked.rate or "vanderpol")), asked.sweep)
    else:
        files = {path.stem: ddm2snn.SpikingNetwork.load(path) for path in asked.networks}
        table(files or {name: converted(name) for name in SYSTEMS})


if __name__ == "__main__":
    main()
