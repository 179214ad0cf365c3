"""Low-rank rate networks as spiking networks: train, convert, simulate, compare.

Types and verbs are imported where they are first used, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddm2snn.backend import Backend, Record, Unsupported, find_backend
    from ddm2snn.conversion import (
        Bounded,
        Calibrated,
        Conversion,
        Direct,
        Kept,
        OneSign,
        Plan,
        Population,
        Sparse,
        Static,
        convert,
        plan,
        restructure,
    )
    from ddm2snn.errors import InputError
    from ddm2snn.exchange import Mapping, Nir, export, import_network
    from ddm2snn.fidelity import FidelityReport, compare
    from ddm2snn.hardware import HardwareConfig, find_hardware
    from ddm2snn.network import RateNetwork, SpikingNetwork
    from ddm2snn.neuron import LIF, AdaptiveLIF, HeterogeneousLIF, LoihiLIF, NeuronModel, RectifiedLinear
    from ddm2snn.pipeline import run
    from ddm2snn.recipe import Recipe
    from ddm2snn.recording import Recording, Spikes
    from ddm2snn.stimulus import Stimulus
    from ddm2snn.storage import load
    from ddm2snn.systems import System, find_system
    from ddm2snn.training import Training
    from ddm2snn.verbs import simulate, train

__version__ = "0.1.0"

_HOMES = {
    "backend": ("Backend", "Record", "Unsupported", "find_backend"),
    "conversion": (
        "Bounded",
        "Calibrated",
        "Conversion",
        "Direct",
        "Kept",
        "OneSign",
        "Plan",
        "Population",
        "Sparse",
        "Static",
        "convert",
        "plan",
        "restructure",
    ),
    "errors": ("InputError",),
    "exchange": ("Mapping", "Nir", "export", "import_network"),
    "fidelity": ("FidelityReport", "compare"),
    "hardware": ("HardwareConfig", "find_hardware"),
    "network": ("RateNetwork", "SpikingNetwork"),
    "neuron": ("LIF", "AdaptiveLIF", "HeterogeneousLIF", "LoihiLIF", "NeuronModel", "RectifiedLinear"),
    "pipeline": ("run",),
    "recipe": ("Recipe",),
    "recording": ("Recording", "Spikes"),
    "stimulus": ("Stimulus",),
    "storage": ("load",),
    "systems": ("System", "find_system"),
    "training": ("Training",),
    "verbs": ("simulate", "train"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "LIF", "AdaptiveLIF", "Backend", "Bounded", "Calibrated", "Conversion", "Direct", "FidelityReport",
    "HardwareConfig", "HeterogeneousLIF", "InputError", "Kept", "LoihiLIF", "Mapping", "NeuronModel", "Nir", "OneSign",
    "Plan", "Population", "RateNetwork", "Recipe", "Record", "Recording", "RectifiedLinear", "Sparse", "Spikes",
    "SpikingNetwork", "Static", "Stimulus", "System", "Training", "Unsupported", "compare", "convert", "export",
    "find_backend", "find_hardware", "find_system", "import_network", "load", "plan", "restructure", "run",
    "simulate", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ddm2snn' has no attribute {name!r}")
    value = getattr(import_module(f"ddm2snn.{_HOME_OF[name]}"), name)
    globals()[name] = value  # a submodule of the same name, such as ddm2snn.conversion, never hides a verb
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
