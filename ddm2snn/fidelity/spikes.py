"""Spikes of a recording: rates, regularity, silence, the latents that they decode, and their part of the diffusion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive, freeze_arrays
from ddm2snn.conversion.diagnostics import Diagnostics
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal, to_system
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import SpikingNetwork
    from ddm2snn.recording import Spikes

_FEWEST_INTERVALS = 10  # of a neuron, for its irregularity [choice]


@dataclass(frozen=True, eq=False)
class SpikeStatistics:
    """What the spikes of a recording look like, neuron by neuron and in all.

    Parameters
    ----------
    rates_hz
        Mean rate of each neuron over trials, shape (neuron,).
    variations
        Coefficient of variation of each neuron's inter-spike intervals, pooled over trials: 1 for a Poisson process,
        0 for a clock. NaN below ten intervals. Shape (neuron,).
    local_variations
        CV2: mean of 2 |I' - I| / (I' + I) over successive intervals, likewise.
    mean_rate_hz, silent_share
        Mean over neurons, and share of neurons without a spike in any trial.
    mean_variation, mean_local_variation
        Mean of `variations` and `local_variations` where they are known; NaN where they nowhere are.
    spikes_per_second, spikes_per_time_unit
        Spikes of all neurons in one trial.
    """

    rates_hz: Float[np.ndarray, " neuron"]
    variations: np.ndarray
    local_variations: np.ndarray
    mean_rate_hz: float
    silent_share: float
    mean_variation: float
    mean_local_variation: float
    spikes_per_second: float
    spikes_per_time_unit: float

    def __post_init__(self) -> None:
        freeze_arrays(self)
        self.variations.setflags(write=False)
        self.local_variations.setflags(write=False)

    def __repr__(self) -> str:
        """Numbers of the whole network."""
        regularity = f"CV={self.mean_variation:.3g}, CV2={self.mean_local_variation:.3g}"
        return (
            f"SpikeStatistics(neurons={len(self.rates_hz)}, mean_rate_hz={self.mean_rate_hz:.4g}, "
            f"{regularity}, silent={100 * self.silent_share:.3g} %)"
        )

    def as_json(self) -> dict[str, Any]:
        """Numbers of the whole network; None for a regularity that is not known."""
        return {
            "neurons": len(self.rates_hz),
            "mean_rate_hz": self.mean_rate_hz,
            "highest_rate_hz": float(self.rates_hz.max()),
            "mean_variation": _finite_or_none(self.mean_variation),
            "mean_local_variation": _finite_or_none(self.mean_local_variation),
            "silent_share": self.silent_share,
            "spikes_per_second": self.spikes_per_second,
            "spikes_per_time_unit": self.spikes_per_time_unit,
        }


def spike_statistics(
    spikes: Spikes, *, neurons: int, trials: int, duration_s: float, time_unit_s: float, burn_in_s: float = 0.0
) -> SpikeStatistics:
    r"""Rates and regularity of the spikes of a recording.

    .. math:: r_j = \frac{n_j}{T\,(t_1 - t_0)}, \qquad \mathrm{CV}_j = \frac{\operatorname{sd}(I_j)}{\bar I_j}, \qquad
        \mathrm{CV}_{2,j} = \Big\langle \frac{2 |I_{j,i+1} - I_{j,i}|}{I_{j,i+1} + I_{j,i}} \Big\rangle_i

    with n_j spikes of neuron j in T trials and I_j its inter-spike intervals within trials. Slow changes of the rate
    raise CV too, and leave CV2 nearly as it is. Source: Softky, Koch, J. Neurosci. 13 (1993); Holt, Softky, Koch,
    Douglas, J. Neurophysiol. 75 (1996).

    Parameters
    ----------
    spikes
        `Recording.spikes`, in canonical order or not.
    neurons, trials
        Numbers of them, since silent ones leave no trace in the table.
    duration_s, burn_in_s
        End of the recording, and time before which spikes are left out, in seconds.
    time_unit_s
        Seconds per rate time unit.

    Raises
    ------
    InputError
        Where a spike belongs to no neuron or trial, or nothing remains after the burn-in.

    Examples
    --------
    >>> from ddm2snn.recording import Spikes
    >>> clock = np.arange(1, 16) / 16  # one neuron of two fires 16 times a second
    >>> spikes = Spikes.sorted(clock, np.zeros(15, int), np.zeros(15, int))
    >>> spike_statistics(spikes, neurons=2, trials=1, duration_s=1.0, time_unit_s=0.1)
    SpikeStatistics(neurons=2, mean_rate_hz=7.5, CV=0, CV2=0, silent=50 %)
    """
    neurons, trials = as_count("neurons", neurons), as_count("trials", trials)
    check_positive("spike_statistics", duration_s=duration_s, time_unit_s=time_unit_s)
    if not 0 <= burn_in_s < duration_s:
        raise InputError(f"burn_in_s must lie from 0 to below the duration, {duration_s:g} s, got {burn_in_s!r}.")
    for name, index, count in (("neuron", spikes.neuron, neurons), ("trial", spikes.trial, trials)):
        if index.size and not 0 <= index.min() <= index.max() < count:
            raise InputError(
                f"A spike belongs to {name} {index.max()}, but there are {count}. Give their right number."
            )
    within = (spikes.time_s >= burn_in_s) & (spikes.time_s <= duration_s)
    time, neuron, trial = spikes.time_s[within], spikes.neuron[within], spikes.trial[within]
    window = duration_s - burn_in_s
    rates = np.bincount(neuron, minlength=neurons) / (trials * window)
    variations, local = _variations(time, neuron, trial, neurons)
    return SpikeStatistics(
        rates_hz=rates,
        variations=variations,
        local_variations=local,
        mean_rate_hz=float(rates.mean()),
        silent_share=float((rates == 0).mean()),
        mean_variation=_mean(variations),
        mean_local_variation=_mean(local),
        spikes_per_second=float(rates.sum()),
        spikes_per_time_unit=float(rates.sum() * time_unit_s),
    )


def recorded_statistics(recording: Recording, neurons: int | None = None, burn_in: float = 0.0) -> SpikeStatistics:
    """`spike_statistics` of a recording after a burn-in in rate time units.

    By default there are as many neurons as the highest that fired tells of.

    Raises
    ------
    InputError
        Where the recording holds no spikes, or is too short.
    """
    spikes = recording.spikes
    if spikes is None or recording.every <= 0:
        raise InputError("This recording holds no spikes, or a single sample. Simulate with spikes recorded.")
    time, time_s = (recording.latent[name].values for name in ("time", "time_s"))
    unit_s = float(time_s[-1] / time[-1])
    return spike_statistics(
        spikes,
        neurons=int(spikes.neuron.max(initial=0)) + 1 if neurons is None else neurons,
        trials=recording.trials,
        duration_s=float(time_s[-1]),
        time_unit_s=unit_s,
        burn_in_s=burn_in * unit_s,
    )


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _finite_or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _variations(time: np.ndarray, neuron: np.ndarray, trial: np.ndarray, neurons: int) -> tuple[np.ndarray, np.ndarray]:
    """CV and CV2 of each neuron."""
    order = np.lexsort((time, trial, neuron))
    time, neuron, trial = time[order], neuron[order], trial[order]
    same = (neuron[1:] == neuron[:-1]) & (trial[1:] == trial[:-1])
    every = np.diff(time)
    interval, owner = every[same], neuron[1:][same]
    count = np.bincount(owner, minlength=neurons)
    enough = count >= _FEWEST_INTERVALS
    size = np.maximum(count, 1)
    mean = np.bincount(owner, interval, minlength=neurons) / size
    square = np.bincount(owner, (interval - mean[owner]) ** 2, minlength=neurons) / np.maximum(count - 1, 1)
    paired = same[1:] & same[:-1]
    both = every[1:][paired] + every[:-1][paired]
    change = 2 * np.abs(every[1:] - every[:-1])[paired] / np.where(both > 0, both, 1.0)
    follower = neuron[2:][paired]
    pairs = np.maximum(np.bincount(follower, minlength=neurons), 1)
    local = np.bincount(follower, change, minlength=neurons) / pairs
    variation = np.sqrt(square) / np.where(enough, mean, 1.0)
    return np.where(enough, variation, np.nan), np.where(enough, local, np.nan)


@dataclass(frozen=True, eq=False)
class NoiseShare:
    """Which part of a spiking network's diffusion its spikes bring along, and which is injected.

    Variances of the latents' noise, in squared system units per rate time unit, shape (rank,).

    Parameters
    ----------
    target
        Diagonal of G G^T of the rate network.
    injected
        Of what the spiking network adds as noise, mean over its stationary states where it depends on the state.
    spikes
        Of what its spikes bring along, measured open loop over windows of half a time unit; None where the
        conversion did not measure it, as with static decoders.

    Examples
    --------
    >>> NoiseShare(target=np.array([0.3]), injected=np.array([0.2]), spikes=np.array([0.1])).as_json()
    {'target': [0.3], 'injected': [0.2], 'spikes': [0.1]}
    """

    target: Float[np.ndarray, " rank"]
    injected: Float[np.ndarray, " rank"]
    spikes: Float[np.ndarray, " rank"] | None = None

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @classmethod
    def of(cls, network: SpikingNetwork) -> NoiseShare:
        """From the network and what its conversion measured."""
        scale = network.latent_scale**2
        factor = network.internal_factor(to_internal(network, network.initial_latent))
        injected = (factor**2).sum(axis=-1).mean(axis=0) * scale
        diagnostics = Diagnostics.of(network)
        if diagnostics is None or diagnostics.noise is None:
            return cls(injected, injected)  # a conversion that did not measure the noise injects all of the target's
        target, spikes = (np.diag(np.array(tensor)) * scale for tensor in diagnostics.noise.tensors)
        return cls(target, injected, spikes)

    def as_json(self) -> dict[str, Any]:
        """Lists; None where the conversion measured nothing."""
        spikes = None if self.spikes is None else self.spikes.tolist()
        return {"target": self.target.tolist(), "injected": self.injected.tolist(), "spikes": spikes}


def latents_of_spikes(
    spikes: Spikes,
    network: SpikingNetwork,
    *,
    duration: float,
    every: float = 0.02,
    trials: int | None = None,
    initial_latent: Float[np.ndarray, "trial rank"] | None = None,
) -> Recording:
    r"""Latents that a network's decoders read out of spikes, whoever fired them.

    .. math:: T \dot z = -z + q, \qquad \tau_r \dot q = -q + \textstyle\sum_j D_j s_j(t),

    solved exactly between spikes: the equation of `SpikingNetwork` without inputs and noise, which leave no spikes. A
    spike acts from the beginning of the step `dt_s` at whose end it is noted, as where the decoders were solved.

    Parameters
    ----------
    spikes, network
        Spikes, whose neurons are those of the network.
    duration, every
        Length and sampling interval, in the network's rate time units.
    trials
        Number of trials; by default as many as the last that has a spike tells of.
    initial_latent
        States to start from, in system units; by default the origin of the latents. Either is forgotten after some T,
        as is that q starts from zero.

    Returns
    -------
    Recording
        Latents in system units, with the spikes.

    Raises
    ------
    InputError
        Where a neuron or a trial does not exist.

    Examples
    --------
    One spike of a neuron whose decoder is 0.1 per Hz, behind synapses of 0.1 s: a jump by one, which decays.

    >>> from ddm2snn import LIF, Spikes, SpikingNetwork
    >>> one, none = [[1.0]], [[0.0]]
    >>> network = SpikingNetwork(
    ...     encoders=one, bias=[0.0], decoders=[[0.1]], unit=[0], rate_left_vectors=one, diffusion_factor=none,
    ...     input_map=one, latent_offset=[0.0], latent_scale=[1.0], initial_latent=none, neuron=LIF(), time_unit_s=0.1,
    ...     dt_s=0.001, spike_timing="grid", backend="reference", rate_fingerprint="made by hand",
    ... )
    >>> spike = Spikes.sorted(np.array([0.101]), neuron=np.array([0]), trial=np.array([0]))
    >>> latents_of_spikes(spike, network, duration=3, every=1).samples.ravel().round(3).tolist()
    [0.0, 1.0, 0.368]
    """
    check_positive("latents_of_spikes", duration=duration, every=every)
    seen = int(spikes.trial.max(initial=0)) + 1
    count = seen if trials is None else as_count("trials", trials)
    highest = int(spikes.neuron.max(initial=-1))
    if highest >= network.neurons or spikes.neuron.min(initial=0) < 0 or seen > count:
        raise InputError(
            f"The spikes are of neurons up to {highest} in {seen} trial(s), but there are {network.neurons} neurons "
            f"and {count} trial(s). Give the network that fired them."
        )
    unit_s, rise_s, samples = network.time_unit_s, network.rise_s, max(1, math.ceil(duration / every - 1e-9))
    step_s = every * unit_s
    acts_s = spikes.time_s - network.dt_s
    place = np.maximum(np.ceil(acts_s / step_s - 1e-9), 0.0)  # the first sample that feels a spike
    within = place < samples
    at, neuron = place[within].astype(np.int64), spikes.neuron[within]
    lag_s, cell = np.maximum(at * step_s - acts_s[within], 0.0), spikes.trial[within] * samples + at
    states = np.zeros((count, samples, network.rank))
    rise_s = rise_s * (1 + 1e-6) if math.isclose(rise_s, unit_s, rel_tol=1e-6) else rise_s  # the limit of both terms
    for tau_s, sign in ((unit_s, 1.0), (rise_s, -1.0)):
        if tau_s > 0:
            weights = sign * np.exp(-lag_s / tau_s) / (unit_s - rise_s)
            states += _filtered(cell, weights, network.decoders[:, neuron], states.shape, math.exp(-step_s / tau_s))
    if initial_latent is not None:
        decay = np.exp(-np.arange(samples) * every)[:, None]
        states += to_internal(network, np.asarray(initial_latent))[:, None, :] * decay
    return Recording.from_arrays(
        to_system(network, states), every=every, time_unit_s=unit_s, time_scale=network.time_scale, spikes=spikes,
        provenance={"decoders": network.fingerprint, "time_unit_s": unit_s},
    )  # fmt: skip


def _filtered(
    cell: np.ndarray, weights: np.ndarray, decoders: np.ndarray, shape: tuple[int, int, int], decay: float
) -> np.ndarray:
    """Sums of decaying jumps at each sample: `weights` times a column of `decoders` in each `cell`."""
    from scipy.signal import lfilter

    trials, samples, rank = shape
    columns = [np.bincount(cell, weights * decoders[k], minlength=trials * samples) for k in range(rank)]
    jumps = np.stack(columns, axis=-1).reshape(shape)
    return np.asarray(lfilter([1.0], [1.0, -decay], jumps, axis=1))
