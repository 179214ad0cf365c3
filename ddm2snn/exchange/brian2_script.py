"""A Brian2 script that stands alone: readable, with its weights in a .npz beside it, without ddm2snn."""

from __future__ import annotations

import io
from pathlib import Path
from string import Template

import numpy as np

from ddm2snn.backend import Record, find_backend, schedule
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import AdaptiveLIF, NeuronModel, RectifiedLinear
from ddm2snn.randomness import child_seed
from ddm2snn.storage import whole_file, write_text

_SCRIPT = Template('''"""$neurons spiking neurons, coupled through $rank latents, in Brian2; by ddm2snn $version.

    python $file [--duration 60 --seed 1 --output run.npz]

Network $fingerprint. Input current of a neuron: J = E z + bias, threshold 1. Latents, with s the spike trains in Hz:
T dz/dt = -z + D s + input_map u + noise, T = TIME_UNIT_S. In system units they are latent_offset + latent_scale * z.
Needs brian2 and numpy alone. Without --seed it starts, and draws its noise, as ddm2snn does with seed $seed.
"""

import argparse
from pathlib import Path

import brian2 as b2
import numpy as np

b2.prefs.codegen.target = "numpy"  # needs no compiler; "cython" is some three times as fast
WEIGHTS = Path(__file__).with_name($weights)
TIME_UNIT_S, DT_S = $time_unit_s, $dt_s
NOISE_SEED = $noise_seed
MEMBRANE = """
$update
"""
THRESHOLD, RESET = $threshold, $reset
DECLARED = $declared
CONSTANTS = $constants


def simulate(duration, seed=None, inputs=None):
    """Latents in system units (step, rank) and spikes, over `duration` time units; inputs (step, input) or None."""
    with np.load(WEIGHTS, allow_pickle=False) as file:
        w = dict(file)
    n, rank = w["encoders"].shape
    steps = round(duration * TIME_UNIT_S / DT_S)
    voltage, latent = w["voltage"], w["latent"]
    if seed is not None:
        rng = np.random.default_rng(seed)
        voltage, latent = rng.random(n), w["initial_latent"][rng.integers(len(w["initial_latent"]))]
    b2.seed(NOISE_SEED if seed is None else seed)
    clock = b2.Clock(DT_S * b2.second)
    decay = float(np.exp(-DT_S / TIME_UNIT_S))  # of the latents in one step

    lines = [f"xi{c} = randn()" for c in range(rank)] if w["diffusion_factor"].any() else []
    noise = w["diffusion_factor"] * np.sqrt((1 - decay**2) / 2)
    namespace = {"decay": decay, "gain": 1 - decay, "per_dt": 1 / DT_S}
    for c in range(rank):
        terms = [f"decay * z{c}", f"gain * per_dt * sum{c}"]
        if inputs is not None:
            values = np.asarray(inputs) @ w["input_map"][c]
            namespace[f"input{c}"] = b2.TimedArray(values, dt=DT_S * b2.second)
            terms.append(f"gain * input{c}(t)")
        for other in np.flatnonzero(noise[c]):
            namespace[f"noise{c}_{other}"] = float(noise[c, other])
            terms.append(f"noise{c}_{other} * xi{other}")
        lines += [f"z{c} = {' + '.join(terms)}", f"sum{c} = 0"]
    declared = "\\n".join(f"z{c} : 1\\nsum{c} : 1" for c in range(rank))
    latents = b2.NeuronGroup(1, declared, name="latents", clock=clock, namespace=namespace)
    latents.run_regularly("\\n".join(lines), when="end")  # spikes of a step act in the next one

    declared = [*DECLARED, "bias : 1 (constant)", *(f"e{c} : 1 (constant)" for c in range(rank))]
    declared += [f"z{c} : 1 (linked)" for c in range(rank)]
    group = b2.NeuronGroup(
        n, "\\n".join(declared), name="neurons", threshold=THRESHOLD, reset=RESET, clock=clock, namespace=CONSTANTS
    )
    current = " + ".join(["bias", *(f"e{c} * z{c}" for c in range(rank))])
    group.run_regularly(f"current = {current}\\n{MEMBRANE}", when="groups")
    group.v, group.bias = voltage, w["bias"]

    weights = "\\n".join(f"d{c} : 1 (constant)" for c in range(rank))
    send = "\\n".join(f"sum{c}_post += d{c}" for c in range(rank))
    decoders = b2.Synapses(group, latents, weights, on_pre=send, clock=clock, name="decoders", namespace={})
    decoders.connect(i=np.arange(n), j=np.zeros(n, dtype=int))
    for c in range(rank):
        setattr(latents, f"z{c}", (latent[c] - w["latent_offset"][c]) / w["latent_scale"][c])
        setattr(group, f"e{c}", w["encoders"][:, c])
        setattr(group, f"z{c}", b2.linked_var(latents, f"z{c}", index=np.zeros(n, dtype=int)))
        setattr(decoders, f"d{c}", w["decoders"][c])

    monitor = b2.StateMonitor(latents, [f"z{c}" for c in range(rank)], record=True, when="start", clock=clock)
    spikes = b2.SpikeMonitor(group, name="spikes")
    b2.Network(latents, group, decoders, monitor, spikes).run(steps * DT_S * b2.second, namespace={})
    z = np.stack([np.asarray(getattr(monitor, f"z{c}"))[0] for c in range(rank)], axis=-1)
    step = np.rint(np.asarray(spikes.t_) / DT_S).astype(int)  # at whose end the threshold is crossed
    return {
        "latent": z * w["latent_scale"] + w["latent_offset"],
        "spike_neuron": np.asarray(spikes.i),
        "spike_time_s": (step + 1) * DT_S,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=60.0, help="time units")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--output", type=Path, default=None, help=".npz of latents and spikes")
    given = parser.parse_args()
    found = simulate(given.duration, given.seed)
    seconds = given.duration * TIME_UNIT_S
    print(f"{len(found['spike_time_s'])} spikes in {seconds:g} s; mean of the latents {found['latent'].mean(axis=0)}")
    if given.output is not None:
        np.savez(given.output, **found)


if __name__ == "__main__":
    main()
''')


def write_brian2_script(network: SpikingNetwork, path: Path | str, *, seed: int = 0) -> tuple[Path, Path]:
    """Write the script and its weights; return their paths.

    Parameters
    ----------
    network
        A network whose diffusion does not depend on the state.
    path
        The script, a .py file; the weights go into a .npz file of the same name.
    seed
        Seed of the run that the script makes unless told: initial voltages and latents are those of
        `ddm2snn.simulate` with this seed and one trial.

    Raises
    ------
    InputError
        Where the path is no .py file, the diffusion depends on the state, or the step does not fit the neurons.
    """
    from ddm2snn import __version__

    script = Path(path)
    if script.suffix != ".py":
        raise InputError(f"A Brian2 script must end in .py, got {script.name}. Rename it.")
    if network.diffusion_decoders is not None:
        raise InputError(
            "This network's diffusion depends on the state, which the script does not have. "
            "Simulate it with backend brian2, or use format hdf5."
        )
    every = Record(every=network.dt_s / network.time_unit_s)
    plan = schedule(
        find_backend("reference"), network, duration=1.0, trials=1, seed=seed, dt_s=None, stimulus=None,
        initial_latent=None, record=every,
    )  # fmt: skip
    latent = plan.initial_latent[0] * network.latent_scale + network.latent_offset
    weights = {
        "encoders": network.encoders, "bias": network.bias, "decoders": network.decoders,
        "diffusion_factor": network.diffusion_factor, "input_map": network.input_map,
        "latent_offset": network.latent_offset, "latent_scale": network.latent_scale,
        "initial_latent": network.initial_latent, "voltage": plan.initial_voltage[0], "latent": latent,
    }  # fmt: skip
    update, threshold, reset, declared, constants = _membrane(network.neuron, network.dt_s)
    text = _SCRIPT.substitute(
        neurons=network.neurons, rank=network.rank, version=__version__, file=script.name.replace("\\", ""),
        fingerprint=network.fingerprint, seed=seed, weights=repr(script.with_suffix(".npz").name),
        time_unit_s=repr(network.time_unit_s), dt_s=repr(network.dt_s),
        noise_seed=child_seed(seed, "brian2", "noise"), update="\n".join(update), threshold=repr(threshold),
        reset=repr("\n".join(reset)), declared=repr(declared), constants=repr(constants),
    )  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, **weights)  # pyright: ignore[reportArgumentType] - arrays by name
    with whole_file(script.with_suffix(".npz")) as temporary:
        temporary.write_bytes(buffer.getvalue())
    write_text(script, text)
    return script, script.with_suffix(".npz")


def _membrane(neuron: NeuronModel, dt_s: float) -> tuple[list[str], str, list[str], list[str], dict[str, float]]:
    """Update, threshold, reset, declarations and constants of a neuron model, as the reference backend has it."""
    if isinstance(neuron, RectifiedLinear):
        update, reset = ["v = v + clip(current, 0, inf) * per_step"], ["v = clip(v - 1, 0, 1)"]
        return update, "v > 1", reset, ["v : 1"], {"per_step": dt_s / neuron.tau_membrane_s}
    update = [
        "v = clip(current + (v - current) * membrane_decay, 0, inf) * int(wait < 0.5)",
        "wait = clip(wait - 1, 0, inf)",
    ]
    reset, declared = ["v = 0", "wait = refractory_steps"], ["v : 1", "wait : 1"]
    constants = {
        "membrane_decay": neuron.voltage_kept(dt_s), "refractory_steps": float(neuron.refractory_steps(dt_s)),
    }  # fmt: skip
    if not isinstance(neuron, AdaptiveLIF):
        return update, "v > 1", reset, declared, constants
    constants |= {
        "threshold_decay": float(np.exp(-dt_s / neuron.tau_threshold_s)), "threshold_jump": neuron.threshold_jump,
    }  # fmt: skip
    update, reset = [*update, "raised = raised * threshold_decay"], [*reset, "raised += threshold_jump"]
    return update, "v > 1 + raised", reset, [*declared, "raised : 1"], constants
