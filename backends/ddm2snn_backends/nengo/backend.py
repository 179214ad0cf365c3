"""Adapter to Nengo's reference simulator: ensembles whose gains, biases and weights are set, not solved for.

Nengo's step n (from 1) has t = n dt and is step n - 1 of the contract.
"""
# pyright: reportArgumentType=false
# nengo annotates defaults by a sentinel type, which no real argument has

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.noise_colour import filter_of
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import child_seed, global_generator_kept
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Spikes
from ddm2snn.schedule import OpenLoop, Schedule, Trace, blocks
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    import nengo
    from jaxtyping import Float

_BLOCK = 512
_TOGETHER = 32_768  # neurons in one ensemble: what Python and SciPy do for each costs little beside them


class NengoBackend:
    """Encoders and decoders become connections; an ensemble holds the neurons of as many trials as fit into 32,768."""

    name = "nengo"
    spike_timing: SpikeTiming = "interpolated"

    def __repr__(self) -> str:
        return "NengoBackend()"

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Nothing is missing: an empty list."""
        return []

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        import nengo

        latents = np.empty((schedule.trials, schedule.samples, schedule.network.rank))
        rows = [np.empty((3, 0))]  # so that there is something to concatenate where no neuron fires
        model = _closed_loop(schedule, latents, rows)
        with _simulator(model, schedule.dt_s) as simulator:
            for block in blocks(schedule.steps, _BLOCK):
                simulator.run_steps(len(block), progress_bar=False)
                progress(block.stop / schedule.steps)
        table = _spikes_of(schedule, rows) if schedule.spikes is not None else None
        return Trace(latents, table, {"nengo": nengo.__version__, "numpy": np.__version__})

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        """Open loop; see `ddm2snn.backend.Backend.drive`."""
        import nengo

        network = loop.network
        risen, filtered, rows = np.zeros(network.neurons), np.zeros(network.neurons), []

        def append(t: float, spikes_hz: Float[np.ndarray, " neuron"]) -> None:
            risen[:] = loop.rise_decay * risen + (1 - loop.rise_decay) * spikes_hz
            filtered[:] = loop.decay * filtered + (1 - loop.decay) * risen
            rows.append(filtered.copy())

        with nengo.Network(seed=child_seed(loop.seed, "nengo", "network")) as model:
            source = nengo.Node(lambda t: loop.path[round(t / loop.dt_s) - 1], size_out=network.rank)
            ensemble = _ensemble(network, loop.initial_voltage[None], loop.dt_s)
            sink = nengo.Node(append, size_in=network.neurons, size_out=0)
            nengo.Connection(source, ensemble.neurons, transform=network.encoders, synapse=None)
            nengo.Connection(ensemble.neurons, sink, synapse=None)
        with _simulator(model, loop.dt_s) as simulator:
            for block in blocks(len(loop.path), _BLOCK):
                simulator.run_steps(len(block), progress_bar=False)
                yield np.array(rows)
                rows.clear()


def _sampling(schedule: Schedule, samples: Float[np.ndarray, "trial sample rank"]) -> Callable[..., None]:
    """Function of the node that records the latents: it gets the latent at the beginning of the step, t - dt."""

    def sample(t: float, latent: Float[np.ndarray, " trialrank"]) -> None:
        step = round(t / schedule.dt_s) - 1
        if step % schedule.stride == 0:
            samples[:, step // schedule.stride] = latent.reshape(len(samples), -1)

    return sample


def _appending(schedule: Schedule, rows: list[np.ndarray], first: int) -> Callable[..., None]:
    """Function of a node that appends what the neurons of trials `first`, `first` + 1 and so on emit."""

    def append(t: float, spikes_hz: np.ndarray) -> None:
        trial, neuron = np.divmod(np.flatnonzero(spikes_hz), schedule.network.neurons)
        if neuron.size:
            rows.append(np.stack([np.full(neuron.size, round(t / schedule.dt_s)), neuron, first + trial]))

    return append


def _spikes_of(schedule: Schedule, rows: list[np.ndarray]) -> Spikes:
    step, neuron, trial = np.concatenate(rows, axis=1)
    return Spikes.sorted(step * schedule.dt_s, neuron.astype(np.int64), trial.astype(np.int64))


def _ensemble(network: SpikingNetwork, voltage: Float[np.ndarray, "trial neuron"], dt_s: float) -> nengo.Ensemble:
    """Neurons of some trials, one trial after the other, to be driven by currents of their own."""
    import nengo

    from ddm2snn_backends.nengo.extensions import neuron_type

    return nengo.Ensemble(
        voltage.size,
        1,
        neuron_type=neuron_type(network.neuron, voltage, dt_s),
        gain=np.ones(voltage.size),
        bias=np.tile(network.bias, len(voltage)),
        encoders=np.ones((voltage.size, 1)),
        noise=None,
        eval_points=np.zeros((1, 1)),  # nothing is solved for, so none are needed
    )


def _rows(trials: slice, each: int) -> slice:
    """Rows of some trials, `each` of every one."""
    return slice(trials.start * each, trials.stop * each)


def _closed_loop(
    schedule: Schedule, latents: Float[np.ndarray, "trial sample rank"], rows: list[np.ndarray]
) -> nengo.Network:
    """One network of all trials: neurons -> D -> lowpass -> latents -> E -> neurons, never E D.

    No node gets more than two inputs: Nengo adds them in an order that changes from run to run, and sums of three with
    it.
    """
    import nengo

    from ddm2snn_backends.nengo.extensions import Repeated

    network, width = schedule.network, schedule.trials * schedule.network.rank
    inputs = schedule.inputs()

    def stimulus(t: float) -> np.ndarray:
        return np.broadcast_to(inputs[round(t / schedule.dt_s) - 1], (schedule.trials, network.rank)).ravel()

    with nengo.Network(seed=child_seed(schedule.seed, "nengo", "network")) as model:
        # one low-pass for all trials and sources: a filter per ensemble costs more than its neurons
        outside, source, relaxing, latent = (nengo.Node(size_in=width) for _ in range(4))
        nengo.Connection(outside, source, synapse=None)
        nengo.Connection(source, relaxing, synapse=nengo.Lowpass(network.time_unit_s))
        nengo.Connection(_unwinding(schedule), relaxing, synapse=None)
        nengo.Connection(relaxing, latent, synapse=None)
        decoded = source if not network.rise_s else nengo.Node(size_in=width)
        if network.rise_s:
            a, c = schedule.decay, schedule.rise_decay
            rising = nengo.LinearFilter([(1 - a) * (1 - c), 0.0], [1.0, -(a + c), a * c], analog=False)
            nengo.Connection(decoded, latent, synapse=rising)
        if not schedule.stimulus.empty:
            nengo.Connection(nengo.Node(stimulus, size_out=width), outside, synapse=None)
        entries = _connect_noise(schedule, outside)
        together = max(1, _TOGETHER // network.neurons)
        for first in range(0, schedule.trials, together):
            voltage = schedule.initial_voltage[first : first + together]
            trials = slice(first, first + len(voltage))
            ensemble = _ensemble(network, voltage, schedule.dt_s)
            to_neurons, to_source = (Repeated(factor, len(voltage)) for factor in (network.encoders, network.decoders))
            nengo.Connection(latent[_rows(trials, network.rank)], ensemble.neurons, transform=to_neurons, synapse=None)
            nengo.Connection(ensemble.neurons, decoded[_rows(trials, network.rank)], transform=to_source, synapse=None)
            if entries is not None and schedule.factor is not None:
                to_entries = Repeated(schedule.factor.decoders, len(voltage))
                target = entries[_rows(trials, network.rank**2)]
                nengo.Connection(ensemble.neurons, target, transform=to_entries, synapse=None)
            if schedule.spikes is not None:
                sink = nengo.Node(_appending(schedule, rows, first), size_in=voltage.size, size_out=0)
                nengo.Connection(ensemble.neurons, sink, synapse=None)
        nengo.Connection(latent, nengo.Node(_sampling(schedule, latents), size_in=width, size_out=0), synapse=None)
    return model


def _decaying(start: Float[np.ndarray, "trial value"], decay: float, dt_s: float) -> nengo.Node:
    """Initial state of a low-pass, which Nengo's synapses do not have: by linearity it is an input that decays."""
    import nengo

    return nengo.Node(lambda t: start.ravel() * decay ** (round(t / dt_s) - 1), size_out=start.size)


def _unwinding(schedule: Schedule) -> nengo.Node:
    """What initial latents, and what spikes have decoded by then, leave of themselves as time goes on."""
    import nengo

    a, c, start = schedule.decay, schedule.rise_decay, schedule.initial_latent
    if not schedule.network.rise_s:
        return _decaying(start, a, schedule.dt_s)
    decoded = schedule.initial_decoded * ((1 - a) * c / (a - c))

    def left(t: float) -> np.ndarray:
        step = round(t / schedule.dt_s) - 1
        return (start * a**step + decoded * (a**step - c**step)).ravel()

    return nengo.Node(left, size_out=start.size)


def _white(schedule: Schedule, width: int) -> nengo.Node:
    """Standard normal numbers, fresh in each step."""
    import nengo

    seed = child_seed(schedule.seed, "nengo", "noise")
    process = nengo.processes.WhiteNoise(nengo.dists.Gaussian(0, 1), scale=False, seed=seed)
    return nengo.Node(process, size_out=width)


def _connect_noise(schedule: Schedule, source: nengo.Node) -> nengo.Node | None:
    """White noise that leaves the low-pass as the scheduled increment, independent for every trial.

    Where spikes decode its factor, the node is returned that they go to. Its filter hands on in a step what spikes
    before that step decode.
    """
    import nengo

    from ddm2snn_backends.nengo.extensions import Repeated

    factor, passed = schedule.factor, 1.0 - schedule.decay  # the low-pass passes this share of a sample
    rank = schedule.network.rank
    width, colour = schedule.trials * rank, filter_of(schedule.noise_sections)

    def coloured(t: float, white: Float[np.ndarray, " value"]) -> np.ndarray:
        return (colour(white.reshape(schedule.trials, rank)) @ schedule.noise_factor.T).ravel() / passed

    if factor is None:
        if schedule.noise_sections is not None:
            node = nengo.Node(coloured, size_in=width, size_out=width)
            nengo.Connection(_white(schedule, width), node, synapse=None)
            nengo.Connection(node, source, synapse=None)
        elif schedule.noise_factor.any():
            transform = Repeated(schedule.noise_factor / passed, schedule.trials)
            nengo.Connection(_white(schedule, width), source, transform=transform, synapse=None)
        return None
    size, scale = factor.start.size, schedule.noise_scale / passed

    def noise(t: float, values: Float[np.ndarray, " value"]) -> np.ndarray:
        by_state, white = values[width:].reshape(schedule.trials, rank, rank), values[:width]
        return coloured(t, white) + scale * np.einsum("trc,tc->tr", by_state, white.reshape(-1, rank)).ravel()

    entries, product = nengo.Node(size_in=size), nengo.Node(noise, size_in=width + size, size_out=width)
    nengo.Connection(_white(schedule, width), product[:width], synapse=None)
    nengo.Connection(entries, product[width:], synapse=nengo.Lowpass(factor.filter_s))
    nengo.Connection(_decaying(factor.start, factor.decay, schedule.dt_s), product[width:], synapse=None)
    nengo.Connection(product, source, synapse=None)
    return entries


def _simulator(model: nengo.Network, dt_s: float) -> Any:  # noqa: ANN401 - nengo is untyped
    import nengo
    from nengo.builder import Model
    from nengo.cache import NoDecoderCache

    store = Model(dt=dt_s, decoder_cache=NoDecoderCache())
    with quiet(), global_generator_kept():
        return nengo.Simulator(model, dt=dt_s, model=store, progress_bar=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings while Nengo derives intercepts and largest rates from gains: the adapters use neither."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="(invalid value|divide by zero) encountered in", category=RuntimeWarning
        )
        warnings.filterwarnings("ignore", message="Non-finite values detected", category=UserWarning)
        yield
