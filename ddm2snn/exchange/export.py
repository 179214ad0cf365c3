"""The verb export: a network or a recording as a file of another tool."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from ddm2snn.base.files import check_neighbour, check_writable, write_together
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError
from ddm2snn.exchange.card import Card, write_card
from ddm2snn.exchange.nir_files import graph_bytes, is_sidecar, sidecar_bytes, sidecar_of
from ddm2snn.exchange.nir_graph import READERS, Nir, graph_of, losses
from ddm2snn.exchange.plain_hdf5 import write_hdf5
from ddm2snn.exchange.recording_formats import RECORDING_FORMATS, write_recording
from ddm2snn.exchange.scripts import PYNN_REQUIREMENTS, write_brian2_script, write_pynn_script
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording


@dataclass(frozen=True)
class Exported:
    """Files of an export, the one asked for first; what the format leaves out, with numbers; how to use them."""

    files: tuple[Path, ...]
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Exported({', '.join(file.name for file in self.files)}; lost: {len(self.lost)})"


def export(
    content: SpikingNetwork | RateNetwork | Recording,
    path: Path | str,
    *,
    format: str = "nir",
    nir: Nir | None = None,
    card: Card | None = None,
    without_refractory: RateNetwork | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Exported:
    """Write a network or a recording for another tool, with a sidecar of what its format cannot hold.

    Parameters
    ----------
    content, path
        A network or a recording, and the file to write; of a card the folder, or a .zip file; of a board kit ("board")
        the folder.
    format
        Of a spiking network one of `FORMATS`, of a recording one of `RECORDING_FORMATS`, of either network "card".
    nir
        Dialect and reader of a NIR file.
    card
        Licence and comparison of a card.
    without_refractory
        The rate network that a spiking network was converted from. With it, the decoders are solved again for neurons
        without a refractory period; see `ddm2snn.conversion.structure.without_refractory`.
    seed, progress
        Of this solution; `seed` is the default seed of a script's run as well.

    Returns
    -------
    Exported
        The files, what the format leaves out, and how to use them.

    Raises
    ------
    InputError
        Where there is no such format, it cannot hold the content, or its package is missing.

    Warns
    -----
    UserWarning
        Where the format leaves something out, with its effect in numbers.

    Examples
    --------
    >>> import tempfile
    >>> import ddm2snn
    >>> quick = ddm2snn.Training(points=400, iterations=15, holdout=300)
    >>> rate = ddm2snn.train("vanderpol", units=8, training=quick)
    >>> network = ddm2snn.convert(rate, decoders=ddm2snn.Static(), backend="reference").network
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ddm2snn.export(network, f"{folder}/net.h5", format="hdf5")
    ...     ddm2snn.import_network(f"{folder}/net.h5").fingerprint == network.fingerprint
    Exported(net.h5; lost: 0)
    True
    """
    _check(content, format, nir=nir, card=card, without_refractory=without_refractory)
    if isinstance(content, Recording):
        check_writable(path)
        done = Exported(*write_recording(content, Path(path), format))
    elif format == "card":
        done = Exported(write_card(content, Path(path), card or Card()))
    else:
        done = _network(content, Path(path), format, nir or Nir(), without_refractory, seed, progress)  # pyright: ignore[reportArgumentType] - checked
    for sentence in done.lost:
        warnings.warn(sentence, stacklevel=2)
    return done


def _check(content: object, format: str, **options: object) -> None:
    """Refuse a format that there is not, or not for this content, and options that belong to another."""
    kinds: dict[type, tuple[str, ...]] = {
        SpikingNetwork: (*FORMATS, "card"), RateNetwork: ("card",), Recording: tuple(RECORDING_FORMATS),
    }  # fmt: skip
    name = type(content).__name__
    if type(content) not in kinds:
        raise InputError(
            f"export needs a network or a recording, got a {name}. Of a Conversion give the network that it holds."
        )
    if isinstance(content, RateNetwork) and format in FORMATS:
        raise InputError(
            f"Format {format!r} needs a SpikingNetwork, got a RateNetwork. Convert first, and give the Conversion's "
            "network."
        )
    if format not in (known := kinds[type(content)]):
        raise InputError(f"There is no format {format!r}; known are {', '.join(known)} for a {name}. Choose one.")
    places = {"nir": "nir", "card": "card", "without_refractory": format}
    for option, value in options.items():
        if value is not None and (isinstance(content, Recording) or format != places[option]):
            raise InputError(f"{option} is none of format {format!r} of a {name}. Leave it out.")


def _network(
    network: SpikingNetwork,
    path: Path,
    format: str,
    nir: Nir,
    without_refractory: RateNetwork | None,
    seed: int,
    progress: Progress,
) -> Exported:
    if format != "board":
        check_writable(path)
    if without_refractory is not None:
        # conversion loads Numba, which takes three times as long as the other imports together
        from ddm2snn.conversion.again import without_refractory as solve_again

        network = solve_again(network, without_refractory, seed=seed, progress=progress)
    done = FORMATS[format](network, path, nir, seed)
    if network.outputs and format != "hdf5":
        sentence = f"The read-out of {network.outputs} output(s) is left out: this format holds the latents alone."
        done = replace(done, lost=(*done.lost, sentence))
    return done


def _nir(network: SpikingNetwork, path: Path, form: Nir, seed: int) -> Exported:
    check_neighbour(sidecar_of(path), is_sidecar)
    graph, lost = graph_of(network, form), losses(network)
    content, sidecar = graph_bytes(graph), sidecar_of(path)
    beside = sidecar_bytes(network, content, lost=lost, form={"format": "nir", **asdict(form)})
    write_together({path: content, sidecar: beside})
    note = () if form.reader is None else (READERS[form.reader].note.replace("DT", f"{network.dt_s:g} s"),)
    return Exported((path, sidecar), tuple(lost), note)


def _hdf5(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    write_hdf5(network, path)
    return Exported((path,))


def _brian2(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    return Exported(write_brian2_script(network, path, seed=seed))


def _pynn(network: SpikingNetwork, path: Path, options: Nir, seed: int) -> Exported:
    note = f"Run in PyNN's NEST: pip install {PYNN_REQUIREMENTS}; python {path}."
    return Exported(write_pynn_script(network, path, seed=seed), (), (note,))


def _nengo(network: SpikingNetwork, path: Path, options: Nir, seed: int, *, board: bool = False) -> Exported:
    from ddm2snn.exchange import board_kit, nengo_module  # load Numba, as does the arithmetic of devices

    if board:
        files = board_kit.write_board_kit(network, path, seed=seed)
        return Exported(
            files, (), (f"With NengoLoihi alone: python {path / 'check.py'}; {files[0]} is the checklist.",)
        )
    files, refusal = nengo_module.write_nengo_module(network, path, seed=seed)
    lost = (f"Its second network, for nengo-loihi, is left out: {refusal}",) if refusal else ()
    also = "" if refusal else "; its second network is for nengo-loihi"
    return Exported(files, lost, (f"Run with Nengo alone: python {path}{also}.",))


Writer = Callable[[SpikingNetwork, Path, Nir, int], Exported]
FORMATS: Mapping[str, Writer] = {
    "nir": _nir, "hdf5": _hdf5, "brian2": _brian2, "nengo": _nengo, "pynn": _pynn,
    "board": partial(_nengo, board=True),
}  # fmt: skip
"""Writers by the name of their format."""
