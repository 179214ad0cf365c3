"""Export to Nengo: a Python module and its weights, which run without ddm2snn, in Nengo or on Loihi."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.files import check_writable, whole_file, write_text
from ddm2snn.base.version import package_version
from ddm2snn.errors import InputError
from ddm2snn.exchange.scripts import weights_of
from ddm2snn.network import SpikingNetwork, to_internal
from ddm2snn.neuron import NeuronModel

if TYPE_CHECKING:
    from ddm2snn.hardware.config import HardwareConfig

_TEMPLATE = Path(__file__).with_name("templates") / "nengo_module.py.txt"


def write_nengo_module(network: SpikingNetwork, path: Path | str) -> tuple[list[Path], str]:
    """Write a runnable module (.py) and, beside it, its weights (.npz).

    Run in Nengo it gives the spikes of backend "nengo" for the same seed, and run in the emulator of nengo-loihi those
    of backend "nengo-loihi": decode neurons and blocks are as the device that the network was converted for has them,
    or Loihi 1. Where that device cannot hold the network, the module runs in Nengo only and says why.

    Parameters
    ----------
    network
        A network of LIF neurons; noise that depends on the state runs in Nengo only.
    path
        Module to write.

    Returns
    -------
    files
        The module and the weights.
    refusal
        Why the device cannot hold the network; empty where it can.

    Raises
    ------
    InputError
        Where Nengo has no such neurons, or the path is no Python module.
    """
    module = Path(path)
    if module.suffix != ".py":
        raise InputError(f"{module} is no Python module. Use a name that ends in .py.")
    if not network.neuron.plain_lif:
        raise InputError(f"A Nengo module has LIF neurons, got {network.neuron.name}. Use --backend nengo.")
    weights = module.with_suffix(".npz")
    for file in (module, weights):
        check_writable(file)
    arrays, settings, refusal = _content(network, network.neuron, module, weights)
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(settings)
    with whole_file(weights) as temporary, temporary.open("wb") as stored:
        np.savez(stored, **arrays)  # pyright: ignore[reportArgumentType] - the stub takes arrays for options
    write_text(module, text)
    return [module, weights], refusal


def _content(
    network: SpikingNetwork, neuron: NeuronModel, module: Path, weights: Path
) -> tuple[dict[str, np.ndarray], dict[str, object], str]:
    """Arrays of the weights, what the template asks for, and why there is nothing for a device."""
    arrays = weights_of(network) | {"initial_latent": to_internal(network, network.initial_latent)}
    try:
        of_device, chip = _of_device(network)
        refusal = ""
    except InputError as error:
        of_device, refusal = {}, str(error)
        chip = {"filter_s": 0.0, "swing_hz": 0.0, "block_neurons": [], "block_decode": [], "chips": 1}
    settings = {
        "version": package_version(), "name": module.name, "weights": weights.name, "fingerprint": network.fingerprint,
        "neurons": network.neurons, "rank": network.rank, "dt_s": network.dt_s, "time_unit_s": network.time_unit_s,
        "tau_membrane_s": neuron.single_tau_s, "refractory_s": neuron.refractory_s, "refusal": repr(refusal),
        "noise_filter_s": network.diffusion_filter_s, **chip,
    }  # fmt: skip
    return arrays | of_device, settings, refusal


def _of_device(network: SpikingNetwork) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Arrays and settings of the device that the network was converted for, or of Loihi 1."""
    from ddm2snn.hardware.config import find_hardware
    from ddm2snn.hardware.device import device_of
    from ddm2snn.hardware.gaps import refuse_gaps
    from ddm2snn.hardware.layout import layout_of

    config = network.hardware or find_hardware()
    refuse_gaps(network, config)
    relay, layout = device_of(network, config, network.dt_s).relay, layout_of(network.neurons, network.rank, config)
    sizes = [group.neurons.stop for group in layout.groups]
    arrays = {
        "relay_latent": relay.latent, "relay_side": relay.side, "relay_bias_hz": relay.bias_hz,
        "relay_output": relay.output, "relay_gain": relay.gain, "relay_share": relay.share,
        "relay_radius": relay.own_radius, "total_radius": relay.radius.sum(axis=0),
        "neuron_groups": np.array([0, *sizes]),
        "decode_groups": np.array([0, *(relay.of(group).stop for group in range(relay.groups))]),
    }  # fmt: skip
    for target, used in (("sim", config), ("simreal", config.unrounded)):
        arrays |= {f"{target}_{name}": value for name, value in _registers(network, used).items()}
    settings = {
        "filter_s": config.decode_neurons.filter_s, "swing_hz": relay.swing_hz,
        "block_neurons": [group.population[0].stop - group.neurons.start for group in layout.groups],
        "block_decode": [group.relay[0].stop - group.relay[0].start for group in layout.groups],
        "chips": config.capacity.chips or 1,
    }  # fmt: skip
    return arrays, settings


def _registers(network: SpikingNetwork, config: HardwareConfig) -> dict[str, np.ndarray]:
    """Noise of one step, and scales of the registers that a run starts from and is read out of."""
    from ddm2snn.backend import Record
    from ddm2snn.hardware.device import device_of, machine_of, per_compartment
    from ddm2snn.hardware.inputs import input_amplitude
    from ddm2snn.schedule import Schedule
    from ddm2snn.stimulus import Stimulus

    device = device_of(network, config, network.dt_s)
    silent = np.zeros((1, network.rank))
    plan = Schedule(network, network.dt_s, 1, 1, 1, 0, Stimulus(), silent, Record())
    amplitude = input_amplitude(plan, device)
    machine = machine_of(network, device, amplitude)
    return {
        "amplitude": np.zeros(network.rank) if amplitude is None else amplitude,
        "noise_factor": plan.noise_factor / (1.0 - device.kept),
        "threshold": per_compartment(machine.population, "threshold"),
        "decode_threshold": per_compartment(machine.relay, "threshold"),
        "per_current": per_compartment(machine.relay, "per_current"),
        "current_kept": np.array(machine.relay[0].current_kept),
        "per_latent": machine.per_latent,
        "whole": np.array(machine.relay[0].whole),
    }
