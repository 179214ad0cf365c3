"""The command train."""

from __future__ import annotations

from typing import Annotated

import typer

from ddm2snn.cli.options import (
    SYSTEM,
    JsonFlag,
    NetworkFile,
    Seed,
    Strict,
    check_output,
    exit_code,
    missed_warnings,
    show,
)


def train(
    system: Annotated[str, typer.Argument(help=SYSTEM)],
    output: NetworkFile,
    units: Annotated[int | None, typer.Option(help="Rate units; the system's own number by default.")] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="Device to train on.")] = "cpu",
    error: Annotated[float, typer.Option(help="Drift error to reach, relative, with a small read-out.")] = 1e-3,
    ridge: Annotated[float | None, typer.Option(help="Penalty on the read-out, instead of an error.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Try all ridges; show error against size of read-out.")
    ] = False,
    activation: Annotated[str, typer.Option(metavar="tanh|relu|lif", help="Response of the units.")] = "tanh",
    strict: Strict = False,
    as_json: JsonFlag = False,
) -> int:
    """Train a low-rank rate network by drift-diffusion matching."""
    import ddm2snn
    from ddm2snn.cli import costs
    from ddm2snn.cli.console import shown
    from ddm2snn.systems import find_system
    from ddm2snn.systems.scales import BUDGET
    from ddm2snn.training import Training
    from ddm2snn.training.matching import TrainingReport

    training = Training(error=error, ridge=ridge, sweep=sweep, activation=activation)  # pyright: ignore[reportArgumentType] - checked inside
    target = find_system(system)
    check_output(output, ".safetensors")
    cost = costs.of_training(target.units if units is None else units, training)
    searched = "" if target.has_scales else f" (sampling takes {BUDGET:,} steps at most)"
    with missed_warnings() as missed, shown(f"train {system}{searched}", cost) as progress:
        network = ddm2snn.train(
            target,
            units=units,
            seed=seed,
            device=device,  # pyright: ignore[reportArgumentType] - checked inside
            training=training,
            progress=progress,
        )
        network.save(output)
    report = TrainingReport.of(network)
    error_per_latent = ", ".join(f"{value:.2g}" for value in report.drift_error)
    content = {"file": str(output), "fingerprint": network.fingerprint, **network.provenance}
    lines = [f"{output}: relative drift error per latent {error_per_latent}"]
    if network.diffusion_readout is not None:
        lines.append(f"relative error of the diffusion tensor {report.diffusion_error:.2g}")
    if sweep:
        lines += ["ridge      drift error  sum |W_s|"]
        lines += [f"{s.ridge:<9.0e}  {s.drift_error:<11.2g}  {s.readout_norm:.4g}" for s in report.stages]
    if network.time_scale != 1.0:
        middle, reach = network.latent_offset, 2.0 * network.latent_scale
        places = ", ".join(f"{m - r:.3g} to {m + r:.3g}" for m, r in zip(middle, reach, strict=True))
        lines.append(
            f"one rate time unit is {network.time_scale:.3g} units of the system's time; "
            f"states lie within about {places}"
        )
    show(content, lines, as_json=as_json)
    return exit_code(missed, strict=strict)
