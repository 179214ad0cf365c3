"""The command restructure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ddm2snn.cli.options import JsonFlag, NetworkFile, Seed, SpikingFile, show
from ddm2snn.errors import InputError


def restructure(
    spiking: SpikingFile,
    output: NetworkFile,
    rate: Annotated[Path, typer.Option(help="Rate network that it was converted from (.safetensors).")],
    sparse: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Keep this share of each latent's decoders, the others zero.")
    ] = None,
    bounded: Annotated[
        float | None, typer.Option(metavar="MULTIPLE", help="No decoder above this multiple of the free ones' rms.")
    ] = None,
    one_sign: Annotated[
        bool, typer.Option("--one-sign", help="Decoders of a neuron all positive or all negative (Dale's law).")
    ] = False,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Solve for decoders that are sparse, bounded or of one sign, and tell what that costs."""
    import ddm2snn
    from ddm2snn.base.files import check_writable
    from ddm2snn.cli.console import shown
    from ddm2snn.load import load_as
    from ddm2snn.network import RateNetwork, SpikingNetwork

    check_writable(output)
    structures = [] if sparse is None else [ddm2snn.Sparse(sparse)]
    structures += [] if bounded is None else [ddm2snn.Bounded(bounded)]
    structures += [ddm2snn.OneSign()] if one_sign else []
    if len(structures) != 1:
        names = ", ".join(map(repr, structures)) or "none"
        raise InputError(f"restructure needs one structure, found {names}. Give --sparse, --bounded or --one-sign.")
    network, source = load_as(spiking, SpikingNetwork), load_as(rate, RateNetwork)
    with shown(f"restructure {spiking}") as progress:
        conversion = ddm2snn.restructure(source, network, structures[0], seed=seed, progress=progress)
        conversion.network.save(output)
    result, report = conversion.network, conversion.diagnostics
    content = {"file": str(output), "fingerprint": result.fingerprint, "neurons": result.neurons, **report.as_json()}
    lines = [
        f"{output}: {result.neurons} neurons, rank {report.rank_audit.rank}, "
        f"{100 * report.zero_share:.3g} % of the decoders zero, largest {report.largest_over_rms:.3g} times the rms"
    ]
    for name, price in (("before", report.before), ("after", report.after)):
        error = ", ".join(f"{e:.2g}" for e in price.drift_error)
        ratio = price.spikes_over_target
        noise = "" if ratio is None else f", spike noise {ratio:.2g} of the target's"
        lines.append(f"{name}: relative drift error per latent {error}{noise}")
    show(content, lines, as_json=as_json)
