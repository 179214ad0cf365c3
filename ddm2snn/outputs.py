r"""Outputs of a spiking network in a run: latents that no neuron encodes, behind a filter of their own.

Any simulator runs one more latent, whose filter is that of the others, of one rate time unit. That of an output is
shorter. With :math:`x` behind the time constant T and :math:`y` behind :math:`\tau`, both of one signal,

.. math:: (1 + \tau\,\partial_t)\, y = (1 + T\,\partial_t)\, x

so that samples of x give those of y, if they are not far apart beside :math:`\tau`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.network import SpikingNetwork, to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.schedule import Schedule

_OF_FILTER = 0.4  # between two samples at most, beside the time constant [choice]


class Refilter:
    """Signals behind one exponential filter, put behind another, block after block of their samples.

    Parameters
    ----------
    decay, new_decay
        What is left of a filtered signal after one sampling interval, of the filter that it is behind and of the other.

    Examples
    --------
    >>> from scipy.signal import lfilter
    >>> signal = np.random.default_rng(0).standard_normal((1, 200, 1))
    >>> slow, fast = (lfilter([1 - a], [1, -a], signal, axis=1) for a in (0.9, 0.5))
    >>> bool(np.allclose(Refilter(0.9, 0.5)(slow)[:, 50:], fast[:, 50:]))
    True
    """

    def __init__(self, decay: float, new_decay: float) -> None:
        gain = (1.0 - new_decay) / (1.0 - decay)
        self._filter = [gain, -gain * decay], [1.0, -new_decay]
        self._state: Float[np.ndarray, "trial one column"] | None = None

    def __call__(self, samples: Float[np.ndarray, "trial sample column"]) -> Float[np.ndarray, "trial sample column"]:
        """The next samples; before the first, the signal had their value for ever."""
        from scipy.signal import lfilter

        if self._state is None:
            self._state = (1.0 - self._filter[0][0]) * samples[:, :1]
        filtered, self._state = lfilter(*self._filter, samples, axis=1, zi=self._state)
        return np.asarray(filtered)


def with_outputs(schedule: Schedule) -> Schedule:
    """The same run with each output as one more latent, which no neuron encodes: any simulator runs that.

    Its decoders are as large as the largest of the others. It starts with what steady rates decode. There are as many
    samples more as its filter needs.
    """
    network, more = schedule.network, schedule.network.outputs
    if network.output_decoders is None or network.output_bias is None:
        return schedule
    size = np.linalg.norm(network.decoders, axis=1).max()
    scale = np.linalg.norm(network.output_decoders, axis=1) / (size or 1.0)
    scale[scale == 0] = 1.0
    decoders = network.output_decoders / scale[:, None]
    start = network.steady_rates_hz(schedule.initial_latent) @ decoders.T
    factor, colour = network.diffusion_decoders, network.noise_colour
    extended = replace(
        network,
        encoders=np.pad(network.encoders, ((0, 0), (0, more))),
        decoders=np.concatenate([network.decoders, decoders]),
        rate_left_vectors=np.pad(network.rate_left_vectors, ((0, 0), (0, more))),
        diffusion_factor=np.pad(network.diffusion_factor, (0, more)),
        diffusion_decoders=None if factor is None else np.pad(factor, ((0, more), (0, more), (0, 0))),
        noise_colour=None if colour is None else np.pad(colour, ((0, more), (0, 0)), mode="edge"),
        input_map=np.pad(network.input_map, ((0, more), (0, 0))),
        latent_offset=np.concatenate([network.latent_offset, network.output_bias]),
        latent_scale=np.concatenate([network.latent_scale, scale]),
        initial_latent=np.pad(network.initial_latent, ((0, 0), (0, more))),
        output_decoders=None, output_map=None, output_bias=None, output_filter_s=None,
    )  # fmt: skip
    start = np.concatenate([schedule.initial_latent, start], axis=1)
    return replace(schedule, network=extended, initial_latent=start, stride=_stride(schedule))


def split_outputs(
    latent: Float[np.ndarray, "trial time latent"], network: SpikingNetwork, run: Schedule, asked: Schedule
) -> tuple[Float[np.ndarray, "trial time rank"], Float[np.ndarray, "trial time output"] | None]:
    """Latents and outputs, in system units, at the times `asked` for, of a `run` of `with_outputs`."""
    if network.output_map is None:
        return latent, None
    latent, output = np.split(latent, [network.rank], axis=-1)
    if network.output_filter_s is not None:
        every_s = run.stride * run.dt_s
        output = Refilter(np.exp(-every_s / network.time_unit_s), np.exp(-every_s / network.output_filter_s))(output)
    thinned = slice(None, None, asked.stride // run.stride)
    latent, output = (np.ascontiguousarray(part[:, thinned]) for part in (latent, output))
    return latent, output + to_internal(network, latent) @ network.output_map.T


def _stride(schedule: Schedule) -> int:
    """Steps between two samples: a whole part of those asked for, few enough for the outputs' filter."""
    filter_s = schedule.network.output_filter_s
    most = np.inf if filter_s is None else max(1.0, _OF_FILTER * filter_s / schedule.dt_s)
    return max(n for n in range(1, schedule.stride + 1) if schedule.stride % n == 0 and n <= most)
