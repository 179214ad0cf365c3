"""A Brian2 script that stands alone: readable, with its weights in a .npz beside it, without ddm2snn."""

from __future__ import annotations

from pathlib import Path

from ddm2snn.base.randomness import check_seed
from ddm2snn.base.version import package_version
from ddm2snn.errors import InputError
from ddm2snn.exchange.scripts import script_path, weights_of, write_script
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import AdaptiveLIF, NeuronModel, RectifiedLinear


def write_brian2_script(network: SpikingNetwork, path: Path | str, *, seed: int = 0) -> tuple[Path, Path]:
    """Write the script and its weights; return their paths.

    Parameters
    ----------
    network
        A network of any neurons, whose noise may depend on the state.
    path
        The script, a .py file; the weights go into a .npz file of the same name.
    seed
        Seed of the run that the script makes unless told. Initial states and noise are those of backend "brian2" in
        mode "numpy" with one trial and the same seed.

    Raises
    ------
    InputError
        Where the path is no .py file, or the step does not fit the neurons.
    """
    script = script_path(path, "A Brian2 script", network)
    update, threshold, reset, declared, constants = _membrane(network.neuron, network.dt_s)
    settings = {
        "version": package_version(), "fingerprint": network.fingerprint,
        "neurons": network.neurons, "rank": network.rank,
        "time_unit_s": repr(network.time_unit_s), "dt_s": repr(network.dt_s),
        "diffusion_filter_s": repr(network.diffusion_filter_s), "seed": check_seed(seed), "update": "\n".join(update),
        "threshold": repr(threshold), "reset": repr("\n".join(reset)), "declared": repr(declared),
        "constants": repr(constants),
    }  # fmt: skip
    return write_script(script, "brian2_script.py.txt", settings, weights_of(network))


def _membrane(neuron: NeuronModel, dt_s: float) -> tuple[list[str], str, list[str], list[str], dict[str, float]]:
    """Update, threshold, reset, declarations and constants of a neuron model, as the reference backend has it."""
    if isinstance(neuron, RectifiedLinear):
        update, reset = ["v = v + clip(current, 0, inf) * per_step"], ["v = clip(v - 1, 0, 1)"]
        return update, "v > 1", reset, ["v : 1"], {"per_step": dt_s / neuron.tau_membrane_s}
    if neuron.name == "lif" and not neuron.plain_lif:
        raise InputError("A Brian2 script has one membrane time constant for all neurons. Use --format hdf5.")
    update = [
        "v = clip(current + (v - current) * membrane_decay, 0, inf) * int(wait < 0.5)",
        "wait = clip(wait - 1, 0, inf)",
    ]
    reset, declared = ["v = 0", "wait = refractory_steps"], ["v : 1", "wait : 1"]
    constants = {
        "membrane_decay": neuron.decay_factor(dt_s), "refractory_steps": float(neuron.refractory_steps(dt_s)),
    }  # fmt: skip
    if not isinstance(neuron, AdaptiveLIF):
        return update, "v > 1", reset, declared, constants
    constants |= {
        "threshold_decay": neuron.threshold_factor(dt_s), "threshold_jump": neuron.threshold_jump,
    }  # fmt: skip
    update, reset = [*update, "raised = raised * threshold_decay"], [*reset, "raised += threshold_jump"]
    return update, "v > 1 + raised", reset, [*declared, "raised : 1"], constants
