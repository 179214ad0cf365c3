"""The sources of the methods that a network, a recording or a report used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ddm2snn.base.stored import Origin
from ddm2snn.errors import InputError
from ddm2snn.fidelity import FidelityReport
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording

_FILE = Path(__file__).with_name("references.bib")
_TRAINING = ("nartallo2026", "golub1973", "liu1989")
_SYSTEMS = {"vanderpol": "vanderpol1926", "lorenz": "lorenz1963", "dadras": "dadras2009"}
_BACKENDS = {
    "brian2": ("stimberg2019",),
    "nengo": ("bekolay2014",),
    "nengo-loihi": ("bekolay2014", "davies2018"),
    "quantised": ("davies2018",),
}


def citations(thing: RateNetwork | SpikingNetwork | Recording | FidelityReport) -> str:
    """Sources of the methods that something used, as BibTeX.

    A rate network has those of its training and its system, a spiking network those of its decoders, neuron model,
    backend and device. The rate network that it came from has its own. A recording has its simulator, a report its
    measures.

    Parameters
    ----------
    thing
        A rate network, spiking network, recording or report.

    Returns
    -------
    str
        Entries of BibTeX, each once; empty where nothing was used that somebody else has published.

    Raises
    ------
    InputError
        Where this is something else.

    Examples
    --------
    >>> from ddm2snn import Training, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> print(citations(rate).splitlines()[0])
    @misc{nartallo2026,
    """
    if isinstance(thing, RateNetwork):
        keys = _of_rate(thing)
    elif isinstance(thing, SpikingNetwork):
        keys = _of_spiking(thing)
    elif isinstance(thing, Recording):
        keys = iter(_BACKENDS.get(thing.backend or "", ()))
    elif isinstance(thing, FidelityReport):
        keys = (key for measure in thing.measures for key in measure.entry.sources)
    else:
        raise InputError(
            f"citations needs a network, a recording or a report, got {type(thing).__name__}. "
            "Of a conversion give its network."
        )
    entries = references()
    return "\n\n".join(entries[key] for key in dict.fromkeys(keys))


def references() -> dict[str, str]:
    """All entries of the BibTeX file by their keys.

    >>> references()["lorenz1963"].splitlines()[1].strip()
    'title = {Deterministic nonperiodic flow},'
    """
    text = _FILE.read_text(encoding="utf-8")
    entries = re.findall(r"^@.*?^\}", text, re.DOTALL | re.MULTILINE)
    return {entry.split("{", 1)[1].split(",", 1)[0]: entry for entry in entries}


def _of_rate(network: RateNetwork) -> Iterator[str]:
    if not network.origin.imported:
        yield from _TRAINING
    if network.activation == "lif":
        yield "hunsberger2016"
    yield from _of_system(network.origin)


def _of_spiking(network: SpikingNetwork) -> Iterator[str]:
    if network.origin.decoders:
        yield "eliasmith2003"  # a linear read-out of spikes by regularised least squares, of whatever kind
    if network.hardware is not None:
        yield "frantar2023"  # rounding that makes up for what was rounded before
    yield from network.neuron.sources
    yield from _BACKENDS.get(network.backend, ())
    if network.hardware is not None and network.hardware.name.startswith("loihi1"):
        yield "davies2018"
    if network.hardware is not None and network.hardware.name.startswith("loihi2"):
        yield "orchard2021"
    yield from _of_system(network.origin)


def _of_system(origin: Origin) -> Iterator[str]:
    if origin.system in _SYSTEMS:
        yield _SYSTEMS[origin.system]
    elif (origin.system or "").startswith("dysts:"):
        yield "gilpin2021"
