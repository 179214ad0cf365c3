"""A network and its decode neurons as Nengo objects that nengo-loihi places on cores.

nengo-loihi 1.1.0 needs a repair under NumPy 2: its ``np.array(x, copy=False)`` means "copy where needed".
"""
# pyright: reportArgumentType=false
# nengo annotates defaults by a sentinel type, which no real argument has

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import nengo
import numpy as np

from ddm2snn.hardware.layout import layout_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.hardware.device import Device
    from ddm2snn.hardware.layout import Layout
    from ddm2snn.network import SpikingNetwork

_REPAIRED_VERSION = "1.1.0"
_REPAIRED_MODULES = ("block", "neurons")  # the two that say copy=False
_SURE = 1.0 + 1e-9  # a node's value of one must reach the threshold of its on neuron whatever rounding does


@dataclass
class Trial:
    """Nengo's objects of one trial, one of each kind for each group of neurons with its decode neurons."""

    neurons: list[nengo.Ensemble]
    decode: list[nengo.Ensemble]
    latent: list[nengo.Probe]
    spikes: list[nengo.Probe]


def build(
    network: SpikingNetwork,
    device: Device,
    nengo_loihi: ModuleType,
    *,
    trials: int,
    seed: int,
    amplitude: Float[np.ndarray, " rank"] | None,
    signs: Int[np.ndarray, "trial step rank"] | None,
    record_spikes: bool,
) -> tuple[nengo.Network, list[Trial]]:
    """One Nengo network of all trials, each with cores of its own; configured locally, never by Nengo's defaults."""
    layout, decode = layout_of(network.neurons, network.rank, device.config), device.decode_neurons
    neuron, at_rest = network.neuron, {"voltage": nengo.dists.Choice([0])}
    lif = nengo.LIF(neuron.tau_membrane_s, neuron.refractory_s, initial_state=at_rest)
    integrate = nengo.SpikingRectifiedLinear(initial_state=at_rest)
    with nengo.Network(seed=seed) as model:
        nengo_loihi.add_params(model)
        made = []
        for trial in range(trials):
            populations = [_ensemble(lif, 1.0, network.bias[group.neurons]) for group in layout.groups]
            decoding = [
                _ensemble(integrate, decode.swing_hz, decode.bias_hz[decode.of_group(group)])
                for group in range(len(layout.groups))
            ]
            _connect(network, device, layout, populations, decoding)
            if amplitude is not None and signs is not None:
                _drive(device, amplitude, signs[trial], decoding)
            for group, *made_of in zip(layout.groups, populations, decoding, strict=True):
                for ensemble, parts in zip(made_of, (group.neuron_parts, group.decode_parts), strict=True):
                    shape = nengo_loihi.BlockShape((parts[0].stop - parts[0].start,), (ensemble.n_neurons,))
                    model.config[ensemble].block_shape = shape
            made.append(
                Trial(
                    populations, decoding,
                    [nengo.Probe(some.neurons[: network.rank], "input") for some in decoding],
                    [nengo.Probe(some.neurons, "output") for some in populations] if record_spikes else [],
                )
            )  # fmt: skip
    return model, made


def _ensemble(neuron_type: Any, gain: float, bias: Float[np.ndarray, " neuron"]) -> nengo.Ensemble:  # noqa: ANN401
    """Neurons of one gain, to be driven by currents of their own."""
    count = len(bias)
    return nengo.Ensemble(
        count, 1, neuron_type=neuron_type, gain=np.full(count, gain), bias=bias, encoders=np.ones((count, 1)),
        eval_points=np.zeros((1, 1)),
    )  # fmt: skip


def _connect(
    network: SpikingNetwork, device: Device, layout: Layout, populations: list[nengo.Ensemble],
    decoding: list[nengo.Ensemble],
) -> None:  # fmt: skip
    """Neurons -> D -> low-pass of the latents -> their group's decode neurons -> E -> neurons of all groups."""
    decode, filter_s = device.decode_neurons, device.config.decode_neurons.filter_s
    decoders = network.decoders.T[:, decode.latent] * (decode.side / decode.own_radius)
    encoders = network.encoders[:, decode.latent] * decode.output
    for number, (group, ensemble) in enumerate(zip(layout.groups, decoding, strict=True)):
        nengo.Connection(
            populations[number].neurons, ensemble.neurons, transform=decoders[group.neurons, decode.of_group(number)].T,
            synapse=network.time_unit_s,
        )  # fmt: skip
        for target, population in zip(layout.groups, populations, strict=True):
            nengo.Connection(
                ensemble.neurons, population.neurons, transform=encoders[target.neurons, decode.of_group(number)],
                synapse=filter_s or None,
            )  # fmt: skip


def _drive(
    device: Device, amplitude: Float[np.ndarray, " rank"], signs: Int[np.ndarray, "step rank"],
    decoding: list[nengo.Ensemble],
) -> None:  # fmt: skip
    """Input from the host: plus or minus one for each latent, which nengo-loihi sends as one of a pair of spikes."""
    decode, dt_s = device.decode_neurons, device.dt_s
    rank = signs.shape[1]

    def value(t: float) -> np.ndarray:
        step = round(t / dt_s) - 1
        return _SURE * signs[step] if step < len(signs) else np.zeros(rank)

    size = decode.side * amplitude[decode.latent] / decode.total_radius[decode.latent]
    transform = np.equal.outer(decode.latent, np.arange(rank)) * size[:, None]
    node = nengo.Node(value, size_out=rank)
    for group, ensemble in enumerate(decoding):
        nengo.Connection(node, ensemble.neurons, transform=transform[decode.of_group(group)], synapse=None)


def needs_repair(nengo_loihi: ModuleType) -> bool:
    """Whether these versions need the repair."""
    return nengo_loihi.__version__ == _REPAIRED_VERSION and int(np.__version__.split(".")[0]) >= 2


@contextlib.contextmanager
def repaired() -> Iterator[ModuleType]:
    """Yield nengo_loihi, repaired where that is needed, and leave its modules as they were."""
    with warnings.catch_warnings():
        # nengo-loihi 1.1.0 knows Nengo up to 3.2 and says so once; with 4.1 it runs, which the tests hold it to
        warnings.filterwarnings("ignore", message="This version of `nengo_loihi` has not been tested")
        import nengo_loihi

    names = _REPAIRED_MODULES if needs_repair(nengo_loihi) else ()
    modules: list[Any] = [importlib.import_module(f"nengo_loihi.{name}") for name in names]
    originals = [module.np for module in modules]
    for module in modules:
        module.np = _numpy_of_before()
    try:
        yield nengo_loihi
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.np = original


def _numpy_of_before() -> ModuleType:
    """NumPy, but for `array`: ``copy=False`` is NumPy 2's ``copy=None``."""

    def array(*args: Any, copy: bool | None = True, **options: Any) -> np.ndarray:  # noqa: ANN401 - as NumPy's
        return np.array(*args, copy=True if copy else None, **options)

    module = ModuleType("numpy")
    vars(module).update(vars(np) | {"array": array})
    return module
