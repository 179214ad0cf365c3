"""Python scripts that stand alone, for Brian2 and for PyNN: each with its weights in a .npz file beside it.

PyNN 0.13 and its simulators, as far as they were tried (PyNN 0.13.0, NEST 3.10.0, Brian2 2.9.0, NEURON 9.0.2):

- No simulator has a connection that carries a graded value with a weight of its own from one population to another,
  which k latents between N neurons need; hence latents in the script, O(N k) in each step.
- ``pyNN.nest``: ``IF_curr_delta`` is NEST's ``iaf_psc_delta``, exact over a step, with a refractory period in whole
  steps and, by NEST's own parameter V_min, the floor of the voltage at reset: spikes of the reference one by one.
- ``pyNN.brian2``: refractory periods end one step early, there is no floor of the voltage, and each step takes 0.1 s,
  since Brian2 generates its code anew. The format brian2 has none of this.
- ``pyNN.neuron``: with implicit Euler steps and spikes that take a step more, neurons that fire at 50 to 170 Hz are up
  to 13 % slower at a step of 1 ms.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ddm2snn.backend import find_backend, refuse
from ddm2snn.base import package_version
from ddm2snn.base.files import check_neighbour, write_together
from ddm2snn.base.randomness import check_seed
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork, to_internal
from ddm2snn.schedule import Schedule
from ddm2snn.stimulus import Stimulus

PYNN_REQUIREMENTS = "pynn==0.13.0 nest-simulator==3.10.0"
"""Versions in which the spikes were compared."""
TEMPLATES = Path(__file__).with_name("templates")
_MARK = b"weights of a script that ddm2snn exported"  # comment of the archive
_TIC_S = 1e-6  # NEST counts time in these


def write_brian2_script(network: SpikingNetwork, path: Path | str, *, seed: int = 0) -> tuple[Path, Path]:
    """Write a Brian2 script (.py) of any neurons and, beside it, its weights (.npz); return their paths.

    Initial states and noise, which may depend on the state, are those of backend "brian2" in mode "numpy" with one
    trial and the same seed, `seed` unless the script is told another.
    """
    script = _script_path(path, "A Brian2 script", network)
    neuron = network.neuron
    if neuron.name not in _MEMBRANES:
        raise InputError(f'A Brian2 script has no {type(neuron).__name__} neurons. Use format="hdf5".')
    update, threshold, reset, declared, constants = _MEMBRANES[neuron.name](neuron, network.dt_s)
    settings = {
        **common_settings(network), "seed": check_seed(seed), "update": "\n".join(update), "threshold": repr(threshold),
        "reset": repr("\n".join(reset)), "declared": repr(declared), "constants": repr(constants),
    }  # fmt: skip
    return write_script(script, "brian2_script.py.txt", settings, weights_of(network))


_Membrane = tuple[list[str], str, list[str], list[str], dict[str, float]]
"""Update, threshold, reset, declarations and constants of a neuron model, as in the reference backend."""


def _leaky(neuron: Any, dt_s: float) -> _Membrane:  # noqa: ANN401 - each table entry knows its model
    if np.ndim(neuron.decay_factor(dt_s)):
        raise InputError('A Brian2 script has one membrane time constant for all neurons. Use format="hdf5".')
    update = [
        "v = clip(current + (v - current) * membrane_decay, 0, inf) * int(wait < 0.5)",
        "wait = clip(wait - 1, 0, inf)",
    ]
    constants = {
        "membrane_decay": float(neuron.decay_factor(dt_s)), "refractory_steps": float(neuron.refractory_steps(dt_s)),
    }  # fmt: skip
    return update, "v > 1", ["v = 0", "wait = refractory_steps"], ["v : 1", "wait : 1"], constants


def _linear(neuron: Any, dt_s: float) -> _Membrane:  # noqa: ANN401
    update, reset = ["v = v + clip(current, 0, inf) * per_step"], ["v = clip(v - 1, 0, 1)"]
    return update, "v > 1", reset, ["v : 1"], {"per_step": dt_s / neuron.tau_membrane_s}


def _adaptive(neuron: Any, dt_s: float) -> _Membrane:  # noqa: ANN401
    update, _, reset, declared, constants = _leaky(neuron, dt_s)
    constants |= {"threshold_decay": neuron.threshold_factor(dt_s), "threshold_jump": neuron.threshold_jump}
    update, reset = [*update, "raised = raised * threshold_decay"], [*reset, "raised += threshold_jump"]
    return update, "v > 1 + raised", reset, [*declared, "raised : 1"], constants


_MEMBRANES: dict[str, Callable[[Any, float], _Membrane]] = {
    "lif": _leaky, "loihi-lif": _leaky, "rectified-linear": _linear, "adaptive-lif": _adaptive,
}  # fmt: skip


def write_pynn_script(network: SpikingNetwork, path: Path | str, *, seed: int = 0) -> tuple[Path, Path]:
    """Write a PyNN script (.py) of LIF neurons and, beside it, its weights (.npz); return their paths.

    The script has a population in NEST, and the latents that couple it between NEST's steps. Initial states and noise,
    which may depend on the state, are those of backend "reference" with one trial and the same seed, `seed` unless the
    script is told another.
    """
    script, neuron = _script_path(path, "A PyNN script", network), network.neuron
    if not neuron.plain_lif:
        raise InputError(
            f'PyNN has no {type(neuron).__name__} neurons. Convert with LIF neurons, or use format="brian2".'
        )
    tics = network.dt_s / _TIC_S
    if not round(tics) or abs(tics - round(tics)) > 1e-6 * tics:
        raise InputError(
            f"NEST's steps are whole microseconds, and this network's is dt_s = {network.dt_s!r}. Convert with "
            f"dt_s={max(1, round(tics)) * _TIC_S:g}."
        )
    settings = {
        **common_settings(network), "seed": check_seed(seed), "requirements": PYNN_REQUIREMENTS,
        "tau_membrane_s": repr(neuron.single_tau_s), "refractory_s": repr(neuron.refractory_s),
    }  # fmt: skip
    return write_script(script, "pynn_script.py.txt", settings, weights_of(network))


def _script_path(path: Path | str, what: str, network: SpikingNetwork) -> Path:
    """Path of a script, `what` in words; refused where it is no .py file, or where no step can run the network."""
    script = Path(path)
    if script.suffix != ".py":
        raise InputError(f"{what} must end in .py, got {script.name}. Rename it.")
    check_neighbour(script.with_suffix(".npz"), is_weights)
    refuse(find_backend("reference"), network)
    return script


def common_settings(network: SpikingNetwork) -> dict[str, object]:
    """Values of the fields that all templates have."""
    return {
        "version": package_version(), "fingerprint": network.fingerprint, "neurons": network.neurons,
        "rank": network.rank, "time_unit_s": network.time_unit_s, "dt_s": network.dt_s,
        "rise_s": network.rise_s, "diffusion_filter_s": network.diffusion_filter_s,
    }  # fmt: skip


@np.errstate(all="ignore")  # overflow is refused where it matters
def weights_of(network: SpikingNetwork) -> dict[str, np.ndarray]:
    """Arrays that a script runs on, by their names in the network.

    Besides, ``initial_decoded`` (sample, rank), what spikes have decoded at each of the initial latents, and
    ``noise_sections`` (rank, coefficient); see `ddm2snn.schedule.Schedule`. Where spikes decode the diffusion, also
    ``initial_part`` (sample, rank, rank): the part of its factor at each of the initial latents that the neurons'
    steady rates decode.
    """
    names = ("encoders", "bias", "decoders", "diffusion_factor", "input_map", "latent_offset", "latent_scale")
    weights = {name: getattr(network, name) for name in (*names, "initial_latent")}
    initial = to_internal(network, network.initial_latent)
    run = Schedule(network, network.dt_s, 1, 1, len(initial), 0, Stimulus(), initial)
    white = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], (network.rank, 1))
    weights |= {
        "initial_decoded": run.initial_decoded,
        "noise_sections": white if run.noise_sections is None else run.noise_sections,
    }
    if network.diffusion_decoders is not None:
        at_start = network.internal_factor(initial)
        if not np.isfinite(at_start).all():
            raise InputError("This network's diffusion is infinite at its initial latents. Scale its latents.")
        weights["diffusion_decoders"] = network.diffusion_decoders
        weights["initial_part"] = at_start - network.diffusion_factor
    return weights


def is_weights(path: Path) -> bool:
    """Whether a file holds the weights of an exported script, which may be replaced with it."""
    with zipfile.ZipFile(path) as archive:
        return archive.comment == _MARK


def write_script(
    script: Path, template: str, settings: Mapping[str, object], weights: Mapping[str, np.ndarray]
) -> tuple[Path, Path]:
    """Write a script and its weights, both or none; return their paths.

    `template` is a file of the folder ``templates``. Besides `settings` it may use ``name`` and ``weights``, the names
    of the two files as words of a docstring, and ``weights_text``, the latter as a Python literal.
    """
    stored = script.with_suffix(".npz")
    words = {key: file.name.replace("\\", "").replace('"', "") for key, file in (("name", script), ("weights", stored))}
    text = Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(
        {**settings, **words, "weights_text": repr(stored.name)}
    )
    buffer = io.BytesIO()
    np.savez(buffer, **weights)  # pyright: ignore[reportArgumentType] - arrays by name
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = _MARK
    write_together({script: text.encode(), stored: buffer.getvalue()})
    return script, stored
