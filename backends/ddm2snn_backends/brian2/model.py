"""Brian2 objects of the factored loop: what stands in the code, and the values that come in at run time."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ddm2snn.schedule import OpenLoop, Schedule

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.neuron import NeuronModel

Precision = Literal["double", "single"]
_SECTION = ("b0", "b1", "b2", "a1", "a2")  # of `Schedule.noise_sections`
Values = dict[str, "float | np.ndarray"]
"""Values of a group's variables by name: a number for all, or an array, of neurons over those of one trial."""


def brian2() -> Any:  # noqa: ANN401 - brian2 is untyped
    """Import Brian2, and undo what that does: exception hook, redirected warnings, Ctrl-C, files of a log."""
    import logging

    first = "brian2" not in sys.modules
    hook, show, interrupt = sys.excepthook, warnings.showwarning, signal.getsignal(signal.SIGINT)
    import brian2.only

    if first:
        _remove_logs()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupt)  # Brian2's fails where a shell ignores interruptions
    sys.excepthook = hook
    if warnings.showwarning is not show:
        logging.captureWarnings(capture=False)
    return brian2.only


def _remove_logs() -> None:
    """Remove Brian2's log and its copy of the running script, which a process that is killed would leave behind."""
    import logging

    from brian2.utils.logger import BrianLogger

    if BrianLogger.file_handler is not None:
        logging.getLogger("brian2").removeHandler(BrianLogger.file_handler)
        BrianLogger.file_handler.close()
    for name in (BrianLogger.tmp_log, BrianLogger.tmp_script):
        if name is not None:
            Path(name).unlink(missing_ok=True)
    BrianLogger.file_handler = BrianLogger.tmp_log = BrianLogger.tmp_script = None


@dataclass(frozen=True)
class Membrane:
    """Lines of Brian2 code for a group with a voltage `v`; `update` finds the input in `current`.

    `values` takes a neuron model and a step in seconds and gives the values of the `constants`.
    """

    declared: tuple[str, ...]
    update: tuple[str, ...]
    threshold: str
    reset: tuple[str, ...]
    constants: tuple[str, ...]
    values: Callable[[Any, float], Values]


def _leaky_values(neuron: Any, dt_s: float) -> Values:  # noqa: ANN401 - each membrane knows its model
    return {"membrane_decay": neuron.decay_factor(dt_s), "refractory_steps": float(neuron.refractory_steps(dt_s))}


def _adaptive_values(neuron: Any, dt_s: float) -> Values:  # noqa: ANN401
    threshold = {"threshold_decay": neuron.threshold_factor(dt_s), "threshold_jump": neuron.threshold_jump}
    return _leaky_values(neuron, dt_s) | threshold


# A neuron waits at negative voltages, which count its refractory steps down: one array for both, so one pass of
# memory. Comparisons with whole numbers, and no `clip`: floating-point literals would turn single precision to double.
_LEAKY = Membrane(
    declared=("v : 1",),
    update=(
        "moved = current + (v - current) * membrane_decay",
        "v = int(v < 0) * (v + int(v < 0)) + int(v >= 0) * int(moved > 0) * moved",
    ),
    threshold="v > 1",
    reset=("v = -refractory_steps",),
    constants=("membrane_decay", "refractory_steps"),
    values=_leaky_values,
)
_LINEAR = Membrane(
    declared=("v : 1",),
    update=("v = v + int(current > 0) * current * per_step",),
    threshold="v > 1",
    reset=("v = clip(v - 1, 0, 1)",),
    constants=("per_step",),
    values=lambda neuron, dt_s: {"per_step": dt_s / neuron.tau_membrane_s},
)
_ADAPTIVE = Membrane(
    declared=(*_LEAKY.declared, "raised : 1"),
    update=(*_LEAKY.update, "raised = raised * threshold_decay"),
    threshold="v > 1 + raised",
    reset=(*_LEAKY.reset, "raised += threshold_jump"),
    constants=(*_LEAKY.constants, "threshold_decay", "threshold_jump"),
    values=_adaptive_values,
)
MEMBRANES = {"lif": _LEAKY, "loihi-lif": _LEAKY, "rectified-linear": _LINEAR, "adaptive-lif": _ADAPTIVE}
"""Code by the name of the neuron model."""


def _constants_of(neuron: NeuronModel, dt_s: float) -> Values:
    """Values of the constants of a neuron model in steps of `dt_s`."""
    return MEMBRANES[neuron.name].values(neuron, dt_s)


def _own_constants(neuron: NeuronModel, dt_s: float) -> tuple[str, ...]:
    """Names of the constants that each neuron has its own."""
    return tuple(name for name, value in _constants_of(neuron, dt_s).items() if np.ndim(value))


@dataclass(frozen=True)
class Shape:
    """What of a problem stands in the generated code. Brian2's time is counted in steps: its second is one step.

    Parameters
    ----------
    neurons, rank
        Neurons of one trial, and latents.
    membrane, own_constants
        Name of the neuron model, and those of its constants that each neuron has its own.
    driven
        Open loop: latents are given, and each neuron filters its spikes.
    noise
        Rows and columns of the noise factor that are not zero.
    decoded_noise
        Whether spikes decode a diffusion factor.
    stimulus
        Whether there is latent input.
    dense
        Whether spikes also reach neurons through single weights, which then replace the encoders of what spikes decode.
    precision
        Of the neurons; latents are always in double.
    rising, coloured
        Whether synapses take time to rise, and whether the noise is coloured.
    """

    neurons: int
    rank: int
    membrane: str
    own_constants: tuple[str, ...] = ()
    driven: bool = False
    noise: tuple[tuple[int, int], ...] = ()
    decoded_noise: bool = False
    stimulus: bool = False
    dense: bool = False
    precision: Precision = "double"
    rising: bool = False
    coloured: bool = False

    @classmethod
    def of_run(cls, schedule: Schedule, precision: Precision, *, dense: bool = False) -> Shape:
        """Shape of a closed loop."""
        return cls(
            neurons=schedule.network.neurons,
            rank=schedule.network.rank,
            membrane=schedule.network.neuron.name,
            own_constants=_own_constants(schedule.network.neuron, schedule.dt_s),
            noise=tuple((int(row), int(column)) for row, column in np.argwhere(schedule.noise_factor)),
            decoded_noise=schedule.factor is not None,
            stimulus=not schedule.stimulus.empty,
            dense=dense,
            precision=precision,
            rising=schedule.network.rise_s > 0,
            coloured=schedule.noise_sections is not None,
        )

    @classmethod
    def of_drive(cls, loop: OpenLoop, precision: Precision) -> Shape:
        """Shape of an open loop."""
        snn = loop.network
        own = _own_constants(snn.neuron, loop.dt_s)
        shape = cls(snn.neurons, snn.rank, snn.neuron.name, own, driven=True, precision=precision)
        return replace(shape, rising=snn.rise_s > 0)

    @property
    def dtype(self) -> type[np.floating]:
        """Of what each neuron holds."""
        return np.float32 if self.precision == "single" else np.float64

    def noise_names(self) -> list[str]:
        """Constants of the noise factor."""
        return [f"noise{row}_{column}" for row, column in self.noise]


def _group(name: str, size: int, equations: list[str], wide: list[str], clock: Any, namespace: dict[str, Any]) -> Any:  # noqa: ANN401
    """NeuronGroup whose variables named in `wide` are in double precision."""
    dtypes = dict.fromkeys(wide, np.float64)
    # fixed names: generated code is found again, by Cython and by whoever sets values at run time
    return brian2().NeuronGroup(
        size, "\n".join(equations), name=name, clock=clock, dtype=dtypes, namespace=namespace
    )  # fmt: skip


def latents_group(
    shape: Shape,
    trials: int,
    clock: Any,  # noqa: ANN401
    feed: Float[np.ndarray, "step trial rank"] | None = None,
) -> Any:  # noqa: ANN401
    """One latent vector for each trial, updated at the end of a step; neurons see `seen0`..

    `feed` holds the path of an open loop, or the latent input of a closed one, row by step, of each trial or one for
    all. Without it (in a standalone program) whoever runs the steps writes `seen0`.. or `input0`..
    """
    ranks = range(shape.rank)
    seen = [f"seen{c}" for c in ranks]
    namespace: dict[str, Any] = {}
    fed = seen if shape.driven else [f"input{c}" for c in ranks]
    lines = []
    if feed is not None:
        step, at = brian2().second, "t" if feed.shape[1] == 1 else "t, i"
        columns = feed[:, 0] if feed.shape[1] == 1 else feed
        namespace = {f"path{c}": brian2().TimedArray(columns[..., c].copy(), dt=step) for c in ranks}
        lines = [f"{name} = path{c}({at})" for c, name in enumerate(fed)]
    if shape.driven:
        group = _group("latents", trials, [f"{name} : 1" for name in seen], [], clock, namespace)
        if lines:
            group.run_regularly("\n".join(lines), when="start")
        return group
    states = [f"{name}{c}" for name in ("z", "sum", *(["rest"] if shape.dense else [])) for c in ranks]
    states += fed if shape.stimulus else []
    states += [f"q{c}" for c in ranks if shape.rising]
    states += [f"{name}{c}" for name in ("before", "earlier") for c in ranks if shape.coloured]
    constants = ["decay", "gain", *shape.noise_names(), *(["rise_decay"] if shape.rising else [])]
    constants += [f"{name}_{c}" for name in _SECTION for c in ranks if shape.coloured]
    if shape.decoded_noise:
        states += [f"{name}{entry}" for name in ("entry", "part") for entry in range(shape.rank**2)]
        constants += ["noise_scale", "entry_decay", "entry_gain"]
    constants += ["steps", "stride", "first", "last", "report", "seed"]  # read by the standalone program's own loop
    equations = [f"{name} : 1" for name in (*states, *seen)] + [f"{name} : 1 (shared)" for name in constants]
    group = _group("latents", trials, equations, [*states, *constants], clock, namespace)
    group.run_regularly("\n".join([*lines, *_latent_step(shape)]), when="end")
    return group


def _latent_step(shape: Shape) -> list[str]:
    """Lines of one step of the latents; `gain` holds the step's share and the spikes' unit, 1/dt."""
    noisy = bool(shape.noise) or shape.decoded_noise
    lines = [f"xi{c} = randn()" for c in range(shape.rank)] if noisy else []
    source = "chi" if shape.coloured else "xi"
    for c in range(shape.rank if shape.coloured and noisy else 0):
        lines += [
            f"chi{c} = b0_{c} * xi{c} + before{c}",
            f"before{c} = b1_{c} * xi{c} - a1_{c} * chi{c} + earlier{c}",
            f"earlier{c} = b2_{c} * xi{c} - a2_{c} * chi{c}",
        ]
    for c in range(shape.rank):
        added = [f"(1 - decay) * input{c}"] if shape.stimulus else []
        added += [f"noise{row}_{column} * {source}{column}" for row, column in shape.noise if row == c]
        if shape.decoded_noise:
            added += [f"noise_scale * entry{c * shape.rank + other} * xi{other}" for other in range(shape.rank)]
        if shape.dense:
            lines += [
                f"own{c} = {' + '.join(added) or '0'}",
                f"rest{c} = decay * rest{c} + own{c}",
                f"seen{c} = rest{c}",
            ]
            added = [f"own{c}"]
        if shape.rising:
            lines.append(f"q{c} = rise_decay * q{c} + (1 - rise_decay) * gain * sum{c}")
        arrived = f"q{c}" if shape.rising else f"gain * sum{c}"
        lines.append(f"z{c} = {' + '.join([f'decay * z{c}', arrived, *added])}")
        lines += [f"sum{c} = 0", *([] if shape.dense else [f"seen{c} = z{c}"])]
    for entry in range(shape.rank**2 if shape.decoded_noise else 0):
        lines += [f"entry{entry} = entry_decay * entry{entry} + entry_gain * part{entry}", f"part{entry} = 0"]
    return lines


def sums_of(shape: Shape) -> dict[str, str]:
    """Weights of each neuron, and the sum of its trial that each is added to at a spike."""
    sums = {f"d{c}": f"sum{c}" for c in range(shape.rank)}
    if shape.decoded_noise:
        sums |= {f"h{entry}": f"part{entry}" for entry in range(shape.rank**2)}
    return {} if shape.driven else sums


def neurons_group(shape: Shape, latents: Any, trials: int, clock: Any, *, sends: bool) -> Any:  # noqa: ANN401
    """All trials' neurons, which see their trial's latents.

    With `sends`, the reset adds a spike's weights to the sums of the latents: right where resets go through neurons
    one by one (C++), wrong in NumPy, where two spikes of a step would overwrite one another.
    """
    b2, membrane, ranks = brian2(), MEMBRANES[shape.membrane], range(shape.rank)
    constants = [name for name in membrane.constants if name not in shape.own_constants]
    constants += ["filter_decay", "filter_gain"] if shape.driven else []
    constants += ["dense_decay", "dense_gain"] if shape.dense else []
    risen = shape.rising and (shape.driven or shape.dense)  # elsewhere it is the latents that take time
    constants += ["rise_decay"] if risen else []
    sums = sums_of(shape) if sends else {}
    equations = [*membrane.declared, "trial : integer", "bias : 1", *(f"e{c} : 1" for c in ranks)]
    equations += [f"{name} : 1" for name in (*shape.own_constants, *sums)]
    equations += [f"{name} : 1 (shared)" for name in constants]
    equations += [f"{name} : 1 (linked)" for name in (*(f"seen{c}" for c in ranks), *sums.values())]
    equations += ["filtered : 1"] if shape.driven else []
    equations += ["arrived : 1", "recurrent : 1"] if shape.dense else []
    equations += ["risen : 1"] if risen else []
    reset = [*membrane.reset]
    if shape.driven:
        gets = "(1 - rise_decay) * filter_gain" if risen else "filter_gain"
        reset += [f"{name} += {gets}" for name in (("risen", "filtered") if risen else ("filtered",))]
    reset += [f"{total} += {name}" for name, total in sums.items()]
    terms = ["bias", *(["recurrent"] if shape.dense else []), *(f"e{c} * seen{c}" for c in ranks)]
    kept = "risen = risen * rise_decay"
    update = ["filtered = filtered * filter_decay"] if shape.driven else []
    if risen and shape.driven:
        update = [kept, "filtered = filtered * filter_decay + risen"]
    update += [f"{kept} + (1 - rise_decay) * dense_gain * arrived"] if risen and shape.dense else []
    arriving = "risen" if risen else "dense_gain * arrived"
    update += [f"recurrent = recurrent * dense_decay + {arriving}", "arrived = 0"] if shape.dense else []
    update += [f"current = {' + '.join(terms)}", *membrane.update]
    group = b2.NeuronGroup(
        trials * shape.neurons, "\n".join(equations), name="neurons", clock=clock, dtype=shape.dtype, namespace={},
        threshold=membrane.threshold, reset="\n".join(reset),
    )  # fmt: skip
    group.run_regularly("\n".join(update), when="groups")
    for c in ranks:  # one trial's latents are one number for all neurons, which is read outside the loop
        index = {"index": "trial"} if trials > 1 else {}
        setattr(group, f"seen{c}", b2.linked_var(latents, f"seen{c}", **index))
    for total in sums.values():
        setattr(group, total, b2.linked_var(latents, total, index="trial"))
    return group


def latent_values(shape: Shape, schedule: Schedule) -> Values:
    """Values of the latents' variables, those of all trials along the last axis."""
    initial, rank = schedule.initial_latent, shape.rank
    values: Values = {f"z{c}": initial[:, c] for c in range(rank)}
    values |= {f"seen{c}": np.zeros(len(initial)) if shape.dense else initial[:, c] for c in range(rank)}
    values |= {"decay": schedule.decay, "gain": (1.0 - schedule.decay) / schedule.dt_s}
    values |= {f"noise{row}_{column}": float(schedule.noise_factor[row, column]) for row, column in shape.noise}
    if shape.rising:
        start = schedule.initial_decoded * (1.0 - schedule.decay)
        values |= {"rise_decay": schedule.rise_decay, **{f"q{c}": start[:, c] for c in range(rank)}}
    if schedule.noise_sections is not None:
        sections = zip(_SECTION, schedule.noise_sections.T, strict=True)
        values |= {f"{name}_{c}": float(row[c]) for name, row in sections for c in range(rank)}
    if schedule.factor is not None:
        decay = schedule.factor.decay
        values |= {
            "noise_scale": schedule.noise_scale,
            "entry_decay": decay,
            "entry_gain": (1.0 - decay) / schedule.dt_s,
        }
        values |= {f"entry{entry}": schedule.factor.start[:, entry] for entry in range(rank**2)}
    return values


def neuron_values(shape: Shape, schedule: Schedule | OpenLoop) -> Values:
    """Values of the neurons' variables, the same for all trials but for their voltages."""
    snn = schedule.network
    values: Values = {**_constants_of(snn.neuron, schedule.dt_s), "bias": snn.bias}
    values |= {f"e{c}": snn.encoders[:, c] for c in range(shape.rank)}
    per_spike = (1.0 - schedule.decay) / schedule.dt_s
    if shape.driven:
        values |= {"filter_decay": schedule.decay, "filter_gain": per_spike}
    if shape.dense:
        values |= {"dense_decay": schedule.decay, "dense_gain": per_spike}
    if shape.rising and (shape.driven or shape.dense):
        values |= {"rise_decay": schedule.rise_decay}
    return values


def weight_values(shape: Shape, schedule: Schedule) -> Values:
    """Weights with which neurons reach latents."""
    values: Values = {f"d{c}": row for c, row in enumerate(schedule.network.decoders)}
    if schedule.factor is not None:
        values |= {f"h{entry}": row for entry, row in enumerate(schedule.factor.decoders)}
    return values
