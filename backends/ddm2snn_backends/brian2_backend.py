"""Adapter to Brian2: a factored loop in runtime (NumPy, Cython) or C++ standalone mode."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ddm2snn.backend import (
    Consume,
    Network,
    Progress,
    Record,
    Schedule,
    Unsupported,
    common_gaps,
    no_progress,
    open_loop,
    schedule,
)
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.randomness import child_seed, global_generator_kept
from ddm2snn.recording import Recording, Spikes
from ddm2snn.stimulus import Stimulus
from ddm2snn_backends.brian2_membranes import membrane_of

if TYPE_CHECKING:
    from jaxtyping import Float

Mode = Literal["auto", "numpy", "cython", "cpp_standalone"]
_BLOCK = 512
_REPORT_S = 0.5

# Measured on two cores with Brian2 2.9: what decides between starting a compiler and not.
_NUMPY_S_PER_STEP, _NUMPY_S_PER_NEURON_STEP = 250e-6, 40e-9
_STANDALONE_S, _STANDALONE_S_PER_NEURON_STEP = 10.0, 6e-9


class Brian2Backend:
    """Runs the factors in Brian2: neurons send D to k latents per trial, which are linked back through E.

    Parameters
    ----------
    mode
        "numpy" and "cython" run in this process; "cpp_standalone" compiles a program in a folder of its
        own and removes it afterwards; "auto" takes whichever of "numpy" and "cpp_standalone" should
        finish first, compilation included. Without a compiler "cython" falls back to "numpy" with a warning.
    """

    name = "brian2"
    spike_timing: SpikeTiming = "grid"

    def __init__(self, mode: Mode = "auto") -> None:
        if mode not in get_args(Mode):
            raise InputError(f"Brian2 has no mode {mode!r}; choose one of {', '.join(get_args(Mode))}.")
        self.mode: Mode = mode

    def unsupported(
        self, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None
    ) -> list[Unsupported]:
        """Nothing beyond the common limits."""
        return common_gaps(network, SpikingNetwork, dt_s, self.spike_timing)

    def run(
        self,
        network: Network,
        *,
        duration: float,
        trials: int,
        seed: int,
        dt_s: float | None = None,
        stimulus: Stimulus | None = None,
        initial_latent: Float[np.ndarray, "trial rank"] | None = None,
        record: Record | None = None,
        progress: Progress = no_progress,
    ) -> Recording:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        b2 = _brian2()

        plan = schedule(
            self, network, duration=duration, trials=trials, seed=seed, dt_s=dt_s, stimulus=stimulus,
            initial_latent=initial_latent, record=record,
        )  # fmt: skip
        mode = self._choose(plan.steps, plan.trials * plan.network.neurons)
        with _isolated(mode, child_seed(seed, "brian2", "noise")) as folder:
            model = _closed_loop(plan)
            report = {"report": lambda elapsed, share, *_: progress(share), "report_period": _REPORT_S * b2.second}
            span = plan.steps * plan.dt_s * b2.second
            model.network.run(span, namespace={}, **(report if folder is None else {}))
            if folder is not None:
                b2.get_device().build(directory=folder, compile=True, run=True, with_output=False)
            progress(1.0)
            latent, spikes = model.read(plan)
        versions = {"brian2": version("brian2"), "numpy": np.__version__}
        return plan.recording(latent, spikes, backend=self.name, versions=versions, options={"mode": mode})

    def drive(
        self,
        network: Network,
        latent_path: Float[np.ndarray, "time rank"],
        *,
        seed: int,
        dt_s: float | None = None,
        consume: Consume,
    ) -> None:
        """Open loop; see `ddm2snn.backend.Backend.drive`. Streams, so it always runs in runtime mode."""
        b2 = _brian2()

        plan = open_loop(self, network, latent_path, seed=seed, dt_s=dt_s)
        mode = _with_compiler(self.mode) if self.mode == "cython" else "numpy"
        with _isolated(mode, child_seed(seed, "brian2", "noise")):
            clock = b2.Clock(plan.dt_s * b2.second)
            path = {
                f"path{c}": b2.TimedArray(plan.path[:, c].copy(), dt=plan.dt_s * b2.second)
                for c in range(plan.network.rank)
            }
            group = _neurons(plan.network, plan.dt_s, plan.initial_voltage[None], clock, path, filtered=True)
            kept: list[np.ndarray] = []

            def keep() -> None:
                kept.append(group.filtered_[:].copy())
                if len(kept) == _BLOCK:
                    consume(np.array(kept))
                    kept.clear()

            loop = b2.Network(group, b2.NetworkOperation(keep, clock=clock, when="end"))
            loop.run(len(plan.path) * plan.dt_s * b2.second, namespace={})
            if kept:
                consume(np.array(kept))

    def _choose(self, steps: int, cells: int) -> Mode:
        if self.mode != "auto":
            return _with_compiler(self.mode)
        in_numpy_s = steps * (_NUMPY_S_PER_STEP + cells * _NUMPY_S_PER_NEURON_STEP)
        standalone_s = _STANDALONE_S + steps * cells * _STANDALONE_S_PER_NEURON_STEP
        return "cpp_standalone" if standalone_s < in_numpy_s and _compiler() else "numpy"


def _brian2() -> Any:  # noqa: ANN401 - brian2 is untyped
    """Import Brian2, and undo what its import does to this process: exception hook and redirected warnings."""
    hook, show = sys.excepthook, warnings.showwarning
    import brian2.only

    sys.excepthook = hook
    if warnings.showwarning is not show:
        logging.captureWarnings(capture=False)
    return brian2.only


def _compiler() -> str | None:
    return shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def _with_compiler(mode: Mode) -> Mode:
    if mode in ("numpy", "auto") or _compiler():
        return mode
    if mode == "cpp_standalone":
        raise InputError("Brian2's C++ standalone mode needs a C++ compiler; none was found. Use mode=numpy.")
    warnings.warn("No C++ compiler was found: Brian2 runs in NumPy mode instead of Cython.", stacklevel=4)
    return "numpy"


@contextlib.contextmanager
def _isolated(mode: Mode, seed: int) -> Iterator[str | None]:
    """Seed and configure Brian2 for one run and leave device, preferences and NumPy's generator as found.

    Yields the build folder in standalone mode, else None.
    """
    b2 = _brian2()

    target = b2.prefs.codegen.target
    with contextlib.ExitStack() as stack:
        stack.enter_context(global_generator_kept())
        folder = None
        if mode == "cpp_standalone":
            from brian2.devices import reset_device

            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ddm2snn-brian2-"))
            b2.set_device("cpp_standalone", build_on_run=False, directory=folder)
            stack.callback(reset_device)
            stack.callback(lambda: b2.get_device().reinit())
        else:
            from brian2.devices import reset_device

            b2.set_device("runtime")
            stack.callback(reset_device)
            b2.prefs.codegen.target = mode
            stack.callback(setattr, b2.prefs.codegen, "target", target)
        b2.seed(seed)
        yield folder


@dataclass
class _Model:
    network: Any  # Brian2 objects are untyped
    latents: Any
    spikes: Any

    def read(self, plan: Schedule) -> tuple[Float[np.ndarray, "trial time rank"], Spikes | None]:
        columns = [np.asarray(getattr(self.latents, f"z{c}")) for c in range(plan.network.rank)]
        latent = np.stack(columns, axis=-1)
        if self.spikes is None:
            return latent, None
        trial, neuron = np.divmod(np.asarray(self.spikes.i), plan.network.neurons)
        # Brian2 reports the start of the step at whose end the threshold is crossed
        step = np.rint(np.asarray(self.spikes.t_) / plan.dt_s) + 1
        return latent, Spikes.sorted(step * plan.dt_s, neuron, trial)


def _neurons(
    network: SpikingNetwork,
    dt_s: float,
    voltage: Float[np.ndarray, "trial neuron"],
    clock: Any,  # noqa: ANN401
    path: dict[str, Any] | None = None,
    *,
    filtered: bool = False,
) -> Any:  # noqa: ANN401
    """NeuronGroup of all trials; currents come from linked latents z0.. or from timed arrays path0(t).."""
    b2 = _brian2()

    trials, rank = voltage.shape[0], network.rank
    sources = [f"path{c}(t)" if path else f"z{c}" for c in range(rank)]
    membrane = membrane_of(network.neuron, dt_s)
    declared = [*membrane.declared, "bias : 1 (constant)", *(f"e{c} : 1 (constant)" for c in range(rank))]
    declared += [] if path else [f"z{c} : 1 (linked)" for c in range(rank)]
    declared += ["filtered : 1"] if filtered else []
    decay = float(np.exp(-dt_s / network.time_unit_s))
    group = b2.NeuronGroup(
        trials * network.neurons,
        "\n".join(declared),
        name="neurons",  # fixed names, here and below: generated code is found again in Cython's cache
        threshold=membrane.threshold,
        reset="\n".join([*membrane.reset, *(["filtered += jump"] if filtered else [])]),
        clock=clock,
        namespace={
            **membrane.namespace,
            "decay": decay,
            "jump": (1.0 - decay) / dt_s,
            **(path or {}),
        },
    )
    current = " + ".join(["bias", *(f"e{c} * {source}" for c, source in enumerate(sources))])
    update = [f"current = {current}", *membrane.update, *(["filtered = filtered * decay"] if filtered else [])]
    group.run_regularly("\n".join(update), when="groups")
    group.v = voltage.ravel()
    group.bias = np.tile(network.bias, trials)
    for c in range(rank):
        setattr(group, f"e{c}", np.tile(network.encoders[:, c], trials))
    return group


def _latents(plan: Schedule, clock: Any) -> Any:  # noqa: ANN401
    """NeuronGroup of one latent vector per trial, updated at the end of each step."""
    b2 = _brian2()

    rank, factor = plan.network.rank, plan.factor
    noisy = plan.noise_factor.any() or factor is not None
    lines = [f"xi{c} = randn()" for c in range(rank)] if noisy else []
    namespace: dict[str, Any] = {"decay": plan.decay, "gain": 1.0 - plan.decay, "per_dt": 1.0 / plan.dt_s}
    inputs = None if plan.stimulus.empty else plan.inputs()
    for c in range(rank):
        terms = [f"decay * z{c}", f"gain * per_dt * sum{c}"]
        if inputs is not None:
            namespace[f"input{c}"] = b2.TimedArray(inputs[:, c].copy(), dt=plan.dt_s * b2.second)
            terms.append(f"gain * input{c}(t)")
        for other in np.flatnonzero(plan.noise_factor[c]):
            namespace[f"noise{c}_{other}"] = float(plan.noise_factor[c, other])
            terms.append(f"noise{c}_{other} * xi{other}")
        if factor is not None:
            terms += [f"noise_scale * entry{c * rank + other} * xi{other}" for other in range(rank)]
        lines += [f"z{c} = {' + '.join(terms)}", f"sum{c} = 0"]
    declared = "\n".join(f"z{c} : 1\nsum{c} : 1" for c in range(rank))
    if factor is not None:
        namespace |= {"noise_scale": plan.noise_scale, "kept": factor.decay, "taken": (1 - factor.decay) / plan.dt_s}
        for entry in range(rank**2):
            lines += [f"entry{entry} = kept * entry{entry} + taken * part{entry}", f"part{entry} = 0"]
            declared += f"\nentry{entry} : 1\npart{entry} : 1"
    group = b2.NeuronGroup(plan.trials, declared, name="latents", clock=clock, namespace=namespace)
    group.run_regularly("\n".join(lines), when="end")
    for c in range(rank):
        setattr(group, f"z{c}", plan.initial_latent[:, c])
    if factor is not None:
        for entry in range(rank**2):
            setattr(group, f"entry{entry}", factor.start[:, entry])
    return group


def _closed_loop(plan: Schedule) -> _Model:
    b2 = _brian2()

    network, cells = plan.network, plan.trials * plan.network.neurons
    clock = b2.Clock(plan.dt_s * b2.second)
    latents = _latents(plan, clock)
    neurons = _neurons(network, plan.dt_s, plan.initial_voltage, clock)
    trial = np.repeat(np.arange(plan.trials), network.neurons)
    for c in range(network.rank):
        setattr(neurons, f"z{c}", b2.linked_var(latents, f"z{c}", index=trial))
    weights = {f"d{c}": (f"sum{c}", row) for c, row in enumerate(network.decoders)}
    if plan.factor is not None:
        weights |= {f"h{entry}": (f"part{entry}", row) for entry, row in enumerate(plan.factor.decoders)}
    declared = "\n".join(f"{name} : 1 (constant)" for name in weights)
    send = "\n".join(f"{total}_post += {name}" for name, (total, _) in weights.items())
    synapses = b2.Synapses(neurons, latents, declared, on_pre=send, clock=clock, name="decoders", namespace={})
    synapses.connect(i=np.arange(cells), j=trial)
    for name, (_, row) in weights.items():
        setattr(synapses, name, np.tile(row, plan.trials))
    names = [f"z{c}" for c in range(network.rank)]
    interval = plan.stride * plan.dt_s * b2.second
    monitor = b2.StateMonitor(latents, names, record=True, dt=interval, when="start", name="samples")
    spikes = b2.SpikeMonitor(neurons, name="spikes") if plan.record.spikes else None
    parts = [latents, neurons, synapses, monitor, *([spikes] if spikes is not None else [])]
    return _Model(b2.Network(*parts), monitor, spikes)
