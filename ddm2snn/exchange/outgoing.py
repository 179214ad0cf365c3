"""The verb export: a spiking network as a file of another tool."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ddm2snn.base.files import check_writable
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError
from ddm2snn.exchange.consequences import losses
from ddm2snn.exchange.nir_files import write_graph
from ddm2snn.exchange.nir_form import READERS, Dialect, Form
from ddm2snn.exchange.nir_graph import graph_of
from ddm2snn.exchange.plain_hdf5 import write_hdf5
from ddm2snn.exchange.sidecar import write_sidecar
from ddm2snn.network import RateNetwork, SpikingNetwork


@dataclass(frozen=True)
class Nir:
    """How a NIR file is written.

    Parameters
    ----------
    dialect
        See `ddm2snn.exchange.nir_form.Dialect`.
    reader
        Simulator whose scalings it gets, one of `ddm2snn.exchange.nir_form.READERS`; None for continuous time, which
        is exact.
    """

    dialect: Dialect = "factored"
    reader: str | None = None


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Parameters
    ----------
    files
        The files, the one asked for first.
    lost
        What the format leaves out, in words with numbers.
    notes
        What its user has to know.
    """

    files: tuple[Path, ...]
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def export(
    network: SpikingNetwork,
    path: Path | str,
    *,
    format: str = "nir",
    nir: Nir | None = None,
    without_refractory: RateNetwork | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Exported:
    """Write a spiking network for another tool, with a sidecar of what its format cannot hold.

    Parameters
    ----------
    network
        The network.
    path
        File to write.
    format
        One of `FORMATS`.
    nir
        Dialect and reader of a NIR file.
    without_refractory
        The rate network that `network` was converted from, where decoders are to be solved again for neurons without
        a refractory period; see `ddm2snn.exchange.without_refractory.without_refractory`.
    seed
        Seed of that, and of the run that a script makes unless told.
    progress
        Called with the finished share of solving.

    Raises
    ------
    InputError
        Where there is no such format, or it cannot hold the network.

    Warns
    -----
    UserWarning
        Where the format leaves something out, with what that does in numbers.
    """
    done = exported(
        network, path, format=format, nir=nir, without_refractory=without_refractory, seed=seed, progress=progress
    )
    for sentence in done.lost:
        warnings.warn(sentence, stacklevel=2)
    return done


def exported(
    network: SpikingNetwork,
    path: Path | str,
    *,
    format: str,
    nir: Nir | None,
    without_refractory: RateNetwork | None,
    seed: int,
    progress: Progress,
) -> Exported:
    """`export` without its warnings, which are in what it returns."""
    if not isinstance(network, SpikingNetwork):
        raise InputError(f"export needs a SpikingNetwork, got a {type(network).__name__}. Convert first.")
    if format not in FORMATS:
        raise InputError(f"There is no format {format!r}; known are {', '.join(FORMATS)}. Choose one.")
    if nir is not None and format != "nir":
        raise InputError(
            f"Dialect and reader are those of a NIR file, but the format asked for is {format!r}. Leave them out."
        )
    check_writable(path)
    if without_refractory is not None:
        from ddm2snn.exchange.without_refractory import without_refractory as solved_again

        network = solved_again(network, without_refractory, seed=seed, progress=progress)
    return FORMATS[format](network, Path(path), nir or Nir(), seed)


def _nir(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    form = Form(options.dialect, options.reader, network.dt_s)
    graph, lost = graph_of(network, form), losses(network)
    held = set()
    if form.dialect != "dense":
        held = {"encoders", "bias"} | ({"decoders"} if form.step_s is None else set())
        held |= {"input_map"} if network.input_map.shape[1] else set()
    write_graph(graph, path)
    said = {"format": "nir", "dialect": form.dialect, "reader": form.reader}
    sidecar = write_sidecar(network, path, held=held, lost=lost, form=said)
    note = () if form.reader is None else (READERS[form.reader].note.replace("DT", f"{network.dt_s:g} s"),)
    return Exported((path, sidecar), tuple(lost), note)


def _hdf5(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    write_hdf5(network, path)
    return Exported((path,))


def _brian2(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    from ddm2snn.exchange.brian2_script import write_brian2_script

    return Exported(write_brian2_script(network, path, seed=seed))


def _pynn(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    from ddm2snn.exchange.pynn_script import REQUIREMENTS, write_pynn_script

    note = f"Run in PyNN's NEST: pip install {REQUIREMENTS}; python {path}."
    return Exported(write_pynn_script(network, path, seed=seed), (), (note,))


def _nengo(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    from ddm2snn.exchange.nengo_module import write_nengo_module

    files, refusal = write_nengo_module(network, path)
    lost = (f"Its second network, for nengo-loihi, is left out: {refusal}",) if refusal else ()
    also = "" if refusal else "; its second network is for nengo-loihi"
    return Exported(tuple(files), lost, (f"Run with Nengo alone: python {path}{also}.",))


Writer = Callable[[SpikingNetwork, Path, Nir, int], Exported]
FORMATS: Mapping[str, Writer] = {"nir": _nir, "hdf5": _hdf5, "brian2": _brian2, "nengo": _nengo, "pynn": _pynn}
"""Writers by the name of their format."""
