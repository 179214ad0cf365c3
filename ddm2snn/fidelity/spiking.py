"""Statistics of spikes: rates, regularity, silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.frozen import as_count, check_positive, freeze_arrays

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.recording import Spikes


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
    mean_rate_hz, silent_share
        Mean over neurons, and share of neurons without a spike in any trial.
    mean_variation
        Mean of `variations` where they are known; NaN where they nowhere are.
    spikes_per_second, spikes_per_time_unit
        Spikes of all neurons in one trial.
    trial_rates_hz
        Mean rate over neurons of each trial, shape (trial,), for resampling.
    """

    rates_hz: Float[np.ndarray, " neuron"]
    variations: np.ndarray
    mean_rate_hz: float
    silent_share: float
    mean_variation: float
    spikes_per_second: float
    spikes_per_time_unit: float
    trial_rates_hz: Float[np.ndarray, " trial"]

    def __post_init__(self) -> None:
        freeze_arrays(self)
        self.variations.setflags(write=False)


_FEWEST_INTERVALS = 10


def spike_statistics(
    spikes: Spikes, *, neurons: int, trials: int, duration_s: float, time_unit_s: float, burn_in_s: float = 0.0
) -> SpikeStatistics:
    r"""Rates and regularity of the spikes of a recording.

    .. math:: r_j = \frac{n_j}{T\,(t_1 - t_0)}, \qquad \mathrm{CV}_j = \frac{\operatorname{sd}(I_j)}{\bar I_j}

    with n_j spikes of neuron j in T trials and I_j its inter-spike intervals within trials. Slow changes of the rate
    raise CV too. Source: Softky, Koch, J. Neurosci. 13 (1993).

    Parameters
    ----------
    spikes
        `Recording.spikes`, in canonical order or not.
    neurons, trials
        Numbers of them, since silent ones leave no trace in the table.
    duration_s
        End of the recording in seconds.
    time_unit_s
        Seconds per rate time unit.
    burn_in_s
        Spikes before this time are left out.

    Raises
    ------
    InputError
        Where a spike belongs to no neuron or trial, or nothing remains after the burn-in.
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
    kept = (spikes.time_s >= burn_in_s) & (spikes.time_s <= duration_s)
    time, neuron, trial = spikes.time_s[kept], spikes.neuron[kept], spikes.trial[kept]
    window = duration_s - burn_in_s
    rates = np.bincount(neuron, minlength=neurons) / (trials * window)
    of_trials = np.bincount(trial, minlength=trials) / (neurons * window)
    variations = _variations(time, neuron, trial, neurons)
    known = variations[np.isfinite(variations)]
    return SpikeStatistics(
        rates_hz=rates,
        variations=variations,
        mean_rate_hz=float(rates.mean()),
        silent_share=float((rates == 0).mean()),
        mean_variation=float(known.mean()) if len(known) else float("nan"),
        spikes_per_second=float(rates.sum()),
        spikes_per_time_unit=float(rates.sum() * time_unit_s),
        trial_rates_hz=of_trials,
    )


def _variations(time: np.ndarray, neuron: np.ndarray, trial: np.ndarray, neurons: int) -> Float[np.ndarray, " neuron"]:
    order = np.lexsort((time, trial, neuron))
    time, neuron, trial = time[order], neuron[order], trial[order]
    same = (neuron[1:] == neuron[:-1]) & (trial[1:] == trial[:-1])
    interval, owner = np.diff(time)[same], neuron[1:][same]
    count = np.bincount(owner, minlength=neurons)
    enough = count >= _FEWEST_INTERVALS
    size = np.maximum(count, 1)
    mean = np.bincount(owner, interval, minlength=neurons) / size
    square = np.bincount(owner, (interval - mean[owner]) ** 2, minlength=neurons) / np.maximum(count - 1, 1)
    return np.where(enough, np.sqrt(square) / np.where(enough, mean, 1.0), np.nan)
