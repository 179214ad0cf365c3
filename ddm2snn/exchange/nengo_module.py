"""Nengo modules: Python files that run without ddm2snn, in Nengo or on Loihi, each with its weights beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ddm2snn.base.files import check_neighbour
from ddm2snn.base.randomness import check_seed
from ddm2snn.errors import InputError
from ddm2snn.exchange.scripts import common_settings, is_weights, weights_of, write_script
from ddm2snn.hardware import HardwareConfig, find_hardware
from ddm2snn.hardware.chip import input_amplitude
from ddm2snn.hardware.device import device_of, machine_of, per_compartment
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.place import placement_of
from ddm2snn.network import SpikingNetwork, to_internal
from ddm2snn.schedule import Schedule
from ddm2snn.stimulus import Stimulus


def write_nengo_module(network: SpikingNetwork, path: Path | str, *, seed: int = 0) -> tuple[tuple[Path, Path], str]:
    """Write a runnable module (.py) of LIF neurons and, beside it, its weights (.npz).

    In Nengo the module gives the spikes of backend "nengo" for the same seed, `seed` unless it is told another. In the
    emulator of nengo-loihi it gives those of backend "nengo-loihi", with decode neurons and blocks of the device that
    the network was converted for, or of Loihi 1. Where that device cannot hold the network, or noise depends on the
    state, it runs in Nengo only, and the reason is returned beside the two paths; it is empty otherwise.
    """
    module = Path(path)
    if module.suffix != ".py":
        raise InputError(f"{module} is no Python module. Use a name that ends in .py.")
    if not network.neuron.plain_lif:
        raise InputError(f'A Nengo module has LIF neurons, got {network.neuron.name}. Use backend="nengo".')
    check_neighbour(module.with_suffix(".npz"), is_weights)
    arrays = weights_of(network) | {"initial_latent": to_internal(network, network.initial_latent)}
    try:
        device_arrays, device_settings = _device_content(network)
        refusal = ""
    except InputError as error:
        device_arrays, refusal = {}, str(error)
        device_settings = {"filter_s": 0.0, "swing_hz": 0.0, "block_neurons": [], "block_decode": [], "chips": 1}
    settings = {
        **common_settings(network), "seed": check_seed(seed), "tau_membrane_s": network.neuron.single_tau_s,
        "refractory_s": network.neuron.refractory_s, "refusal": repr(refusal), **device_settings,
        "converted_for": repr("" if network.hardware is None else network.hardware.name),
        "conversion_note": "" if network.hardware is not None else ", not converted for it",
    }  # fmt: skip
    return write_script(module, "nengo_module.py.txt", settings, arrays | device_arrays), refusal


def _device_content(network: SpikingNetwork) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Arrays and settings of the device that the network was converted for, or of Loihi 1."""
    config = network.hardware or find_hardware()
    placement_of(network, config)  # refuses a network that does not fit
    decode = device_of(network, config, network.dt_s).decode_neurons
    layout = layout_of(network.neurons, network.rank, config)
    sizes = [group.neurons.stop for group in layout.groups]
    arrays = {
        "decode_neuron_latent": decode.latent, "decode_neuron_side": decode.side,
        "decode_neuron_bias_hz": decode.bias_hz, "decode_neuron_output": decode.output,
        "decode_neuron_gain": decode.gain, "decode_neuron_share": decode.share,
        "decode_neuron_radius": decode.own_radius, "total_radius": decode.total_radius,
        "neuron_groups": np.array([0, *sizes]),
        "decode_groups": np.array([0, *(decode.of_group(group).stop for group in range(decode.groups))]),
    }  # fmt: skip
    for target, device in (("sim", config), ("simreal", config.unrounded)):
        arrays |= {f"{target}_{name}": value for name, value in _registers(network, device).items()}
    settings = {
        "filter_s": config.decode_neurons.filter_s, "swing_hz": decode.swing_hz,
        "block_neurons": [group.neuron_parts[0].stop - group.neurons.start for group in layout.groups],
        "block_decode": [group.decode_parts[0].stop - group.decode_parts[0].start for group in layout.groups],
        "chips": config.capacity.chips or 1,
    }  # fmt: skip
    return arrays, settings


def _registers(network: SpikingNetwork, config: HardwareConfig) -> dict[str, np.ndarray]:
    """Noise of one step, and scales of the registers at the start and at the read-out of a run."""
    device = device_of(network, config, network.dt_s)
    silent = np.zeros((1, network.rank))
    plan = Schedule(network, network.dt_s, 1, 1, 1, 0, Stimulus(), silent)
    amplitude = input_amplitude(plan, device)
    machine = machine_of(network, device, amplitude)
    return {
        "amplitude": np.zeros(network.rank) if amplitude is None else amplitude,
        "noise_factor": plan.noise_factor / (1.0 - device.decay),
        "threshold": per_compartment(machine.population, "threshold"),
        "decode_threshold": per_compartment(machine.decode_neurons, "threshold"),
        "per_current": per_compartment(machine.decode_neurons, "per_current"),
        "current_kept": np.array(machine.decode_neurons[0].current_decay),
        "per_latent": machine.per_latent,
        "whole": np.array(machine.decode_neurons[0].whole),
    }
