"""The measures of a comparison, fixed by the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.autocorrelation import autocorrelation, lagged_products
from ddm2snn.fidelity.dynamics import Currents, Entropy, Fields
from ddm2snn.fidelity.family import Family
from ddm2snn.fidelity.moments import Moments
from ddm2snn.fidelity.occupancy import Discrepancy, Matching, States, Transport
from ddm2snn.fidelity.rhythm import Correlation, Oscillation, Spectrum
from ddm2snn.fidelity.separation import _DELAYS, Separation
from ddm2snn.fidelity.switching import Switching

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.family import Samples

_ENOUGH = 64  # trials from which the typical segment is read
_LAGS_PER_SEGMENT = 20  # fine against the motion, and as coarse against spikes as that allows


def battery(
    reference: Samples, every: float, trials: int, wells: Float[np.ndarray, "well rank"] | None = None
) -> list[Family]:
    """All measures that this reference allows: where it has no period, wells or cells full of samples, fewer.

    Parameters
    ----------
    reference
        Trials of all recordings of the reference.
    every
        Sampling interval in rate time units.
    trials
        Trials of one recording.
    wells
        Centres of the wells, two or more.
    """
    segment = _segment(reference)
    lag = _lag(segment)
    fields = Fields.of(reference, every, trials, lag)
    families = [
        Transport.of(reference),
        Matching.of(reference, trials),
        States.of(reference, "two_sd"),
        States.of(reference, "min_max"),
        Discrepancy(reference),
        Separation.of(reference, trials, delays=1, stride=1),
        Separation.of(reference, trials, delays=_DELAYS, stride=max(1, segment // (_DELAYS - 1))),
        Spectrum(every),
        Spectrum(every, smoothed=True),
        Correlation.of(reference),
        Oscillation.of(reference, every),
        Moments.of(reference),
        fields,
        Entropy.of(reference, every, lag),
        Currents.of(reference, fields) if fields else None,
        Switching(np.asarray(wells, dtype=np.float64), every) if wells is not None and len(wells) > 1 else None,
    ]
    return [family for family in families if family is not None]


def field_lag(reference: Samples) -> int:
    """Samples over which drift, diffusion and entropy production are measured."""
    return _lag(_segment(reference))


def _lag(segment: int) -> int:
    return max(1, segment // _LAGS_PER_SEGMENT)


def _segment(reference: Samples) -> int:
    """Samples after which the mean autocorrelation first is halved, twice: half a period, or a correlation time."""
    length = reference.shape[1]
    some = reference[:: -(-len(reference) // _ENOUGH)]
    correlation = autocorrelation(lagged_products(some, max(2, length // 4)))[0].mean(axis=1)
    below = np.flatnonzero(correlation < 0.5)
    return min(2 * int(below[0]) if len(below) else length // 4, length // 4)
