"""The measures of a comparison, a file for each kind, and their list.

To write a new measure, add a file here with the function that defines the distance and a subclass of `Measure`. Its
classmethod `of(reference)` takes `ReferenceSamples`, fixes all that test and reference have in common, and returns
None where the reference does not allow the measure. Its `entries` name each distance, its unit and its kind, which is
all that reports, verdicts and figures need. Its `summarise` keeps of each trial what `values` needs for any selection
of trials, and `distances` compares two such values. Then add `of` at the end of `MEASURES`: floor, intervals and the
judgement by chance follow for every measure alike.
"""

from __future__ import annotations

from collections.abc import Callable

from ddm2snn.fidelity.measures.autocorrelation import Autocorrelation
from ddm2snn.fidelity.measures.classifier import Classifier
from ddm2snn.fidelity.measures.diffusion import Diffusion
from ddm2snn.fidelity.measures.drift_field import DriftField
from ddm2snn.fidelity.measures.entropy_production import EntropyProduction
from ddm2snn.fidelity.measures.mean_discrepancy import MeanDiscrepancy
from ddm2snn.fidelity.measures.measure import Entry, Kind, Measure, ReferenceSamples
from ddm2snn.fidelity.measures.moments import Moments
from ddm2snn.fidelity.measures.oscillation import Oscillation
from ddm2snn.fidelity.measures.power_spectrum import PowerSpectrum
from ddm2snn.fidelity.measures.probability_current import ProbabilityCurrent
from ddm2snn.fidelity.measures.state_divergence import StateDivergence
from ddm2snn.fidelity.measures.switching import Switching
from ddm2snn.fidelity.measures.wasserstein import ExactWasserstein, SlicedWasserstein

__all__ = ["MEASURES", "Entry", "Kind", "Measure", "ReferenceSamples", "measures_of"]

MEASURES: tuple[Callable[[ReferenceSamples], Measure | None], ...] = (
    SlicedWasserstein.of,
    ExactWasserstein.of,
    StateDivergence.of,
    StateDivergence.of_whole_range,
    MeanDiscrepancy.of,
    Classifier.of_states,
    Classifier.of_segments,
    PowerSpectrum.of,
    PowerSpectrum.of_smoothed,
    Autocorrelation.of,
    Oscillation.of,
    Moments.of,
    DriftField.of,
    Diffusion.of,
    EntropyProduction.of,
    ProbabilityCurrent.of,
    Switching.of,
)
"""Makers of the measures, in the order of a report."""


def measures_of(reference: ReferenceSamples) -> list[Measure]:
    """Measures that a reference allows: fewer where it has no period, no wells or no cells full of samples.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((4, 200, 2))
    >>> measures = measures_of(ReferenceSamples.of([noise], every=0.1))
    >>> [entry.name for measure in measures for entry in measure.entries][:4]
    ['sliced_wasserstein', 'wasserstein', 'd_stsp', 'd_stsp_min_max']
    """
    return [measure for make in MEASURES if (measure := make(reference)) is not None]
