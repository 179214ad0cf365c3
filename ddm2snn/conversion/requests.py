"""What a conversion was asked for, checked: the kinds of its parts, its population and its simulator."""

from __future__ import annotations

from typing import get_args

from ddm2snn.backend import Backend, find_backend
from ddm2snn.conversion.calibration import Calibrated
from ddm2snn.conversion.direct import Direct, direct_population
from ddm2snn.conversion.kept import Kept
from ddm2snn.conversion.kinds import Decoders
from ddm2snn.conversion.population import Population
from ddm2snn.errors import InputError
from ddm2snn.hardware.config import HardwareConfig
from ddm2snn.network import RateNetwork


def check_kinds(rate: object, population: object, decoders: object) -> None:
    """Refuse what is of the wrong kind."""
    for name, given, kinds in (
        ("rate", rate, (RateNetwork,)),
        ("population", population, (Population,)),
        ("decoders", decoders, get_args(Decoders)),
    ):
        if given is not None and not isinstance(given, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(f"convert needs a {wanted} as {name}, got a {type(given).__name__}.")
    check_convertible(rate)
    if not isinstance(rate, RateNetwork) or rate.diffusion_readout is None:
        return
    if isinstance(decoders, Kept | Direct):
        raise InputError(
            f"This rate network's diffusion depends on the state, which {type(decoders).__name__} decoders cannot "
            "carry: they decode the activations as they were trained. Convert with Calibrated or Static decoders."
        )
    if isinstance(decoders, Calibrated) and decoders.rounds:
        raise InputError(
            f"This rate network's diffusion depends on the state, which closed-loop rounds do not inject; rounds is "
            f"{decoders.rounds}. Convert with Calibrated(rounds=0)."
        )


def check_convertible(rate: object) -> None:
    """Refuse what is no rate network."""
    if not isinstance(rate, RateNetwork):
        raise InputError(f"Conversion needs a RateNetwork, got a {type(rate).__name__}.")


def population_for(rate: RateNetwork, population: Population | None, decoders: Decoders) -> Population:
    """Population as given, by default, or that of one neuron for each unit."""
    if not isinstance(decoders, Direct):
        return population or Population()
    if population is not None:
        raise InputError(
            f"Direct makes one neuron of each unit by itself, but a population was given: {population!r}. "
            "Leave the population out, or choose other decoders."
        )
    return direct_population(rate)


def simulator_for(backend: str | Backend | None, config: HardwareConfig | None, decoders: Decoders) -> Backend:
    """Simulator to convert for; refused where it does not run the device, or decoders cannot be in its loop."""
    if config is None:
        found = find_backend(backend or "brian2") if backend is None or isinstance(backend, str) else backend
        if found.name == "rate":
            raise InputError("Backend rate runs rate networks; convert for brian2, nengo or reference.")
        return found
    if not isinstance(decoders, Calibrated) or decoders.rounds:
        raise InputError(
            f"Only calibrated decoders without rounds are solved in the loop of a device, got {decoders!r}. "
            "Choose Calibrated(rounds=0), or leave hardware out."
        )
    name = config.target if backend is None else backend if isinstance(backend, str) else backend.name
    if name not in ("nengo-loihi", "quantised"):
        raise InputError(f"Backend {name} does not run {config.name}. Leave backend out, or choose {config.target}.")
    return find_backend(name, hardware=config) if backend is None or isinstance(backend, str) else backend
