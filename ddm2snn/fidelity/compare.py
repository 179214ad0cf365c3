"""The verb: two recordings in, distances beside their floor out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.oscillation import cycle_counts, mean_period
from ddm2snn.fidelity.report import FidelityReport, Measure
from ddm2snn.fidelity.spectrum import hellinger, power_spectra
from ddm2snn.fidelity.wasserstein import Slices, slice_recordings, sliced_wasserstein
from ddm2snn.randomness import stream
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float

    Weights = Float[np.ndarray, " trial"]

_RESAMPLES = 200
_FEWEST_SAMPLES = 64
_NORMAL_95 = 1.959964


def compare(
    reference: Recording,
    test: Recording,
    *,
    floor: Recording | Sequence[Recording] = (),
    burn_in: float | None = None,
    label: str | None = None,
    seed: int = 0,
) -> FidelityReport:
    """Compare a test recording with a reference in the latent space, beside the sampling floor.

    Parameters
    ----------
    reference, test
        Recordings of the same rank and sampling interval.
    floor
        Further, independent recordings of the reference. Distances are means over all recordings of the
        reference, the floor is the mean over their pairs. Without any, the floor is the distance between
        the two halves of the reference's trials, which hold half the samples and so lie further apart.
    burn_in
        Rate time units to leave out at the start; by default a tenth of the shortest recording.
    label
        Name of the test; by default its backend.
    seed
        Seed of the resampling behind the intervals.

    Raises
    ------
    InputError
        Where recordings cannot be compared: other rank or sampling interval, too few samples, values
        that are not finite, a latent that does not move.
    """
    floors = [floor] if isinstance(floor, Recording) else list(floor)
    recordings = {"test": test, "reference": reference, **{f"floor {i + 1}": r for i, r in enumerate(floors)}}
    _check_alike(recordings)
    trials, start, stop = _common_size(recordings, burn_in)
    cut = {name: recording.samples[:trials, start:stop] for name, recording in recordings.items()}
    notes = []
    if any(recording.samples.shape[:2] != (trials, stop) for recording in recordings.values()):
        notes.append(f"Recordings differ in size; {trials} trials of {stop} samples are compared.")
    _check_content(cut)
    if not floors:
        if trials < 2:
            raise InputError("A single trial gives no floor. Give a second recording of the reference (--floor).")
        notes.append("The floor compares halves of the reference, so it holds half the samples.")
    resampling = stream(seed, "fidelity", "bootstrap")
    draws = resampling.multinomial(trials, np.full(trials, 1.0 / trials), size=_RESAMPLES).astype(np.float64)
    return FidelityReport(
        label=label or str(test.provenance.get("backend", "test")),
        measures=tuple(_measures(list(cut.values()), reference.every, draws)),
        floor_from=f"{len(floors)} independent recording(s)" if floors else "halves of the reference",
        burn_in=start * reference.every,
        notes=tuple(notes),
        provenance={name: {"fingerprint": r.fingerprint, **r.provenance} for name, r in recordings.items()},
    )


@dataclass(frozen=True)
class _Summary:
    """Per-trial summaries of one recording, from which every value is computed with trial weights."""

    slices: Slices
    power: Float[np.ndarray, "trial frequency rank"]
    cycles: tuple[Float[np.ndarray, " trial"], Float[np.ndarray, " trial"]]
    moments: Float[np.ndarray, "trial moment rank"]

    def quantiles(self, weights: Weights) -> Float[np.ndarray, "draw direction level"]:
        return self.slices.quantiles(weights)

    def spectrum(self, weights: Weights) -> Float[np.ndarray, "draw frequency rank"]:
        return np.tensordot(weights, self.power, axes=1) / weights.sum(axis=1)[:, None, None]

    def period(self, weights: Weights) -> Float[np.ndarray, " draw"]:
        return mean_period(self.cycles[0] * weights, self.cycles[1] * weights)

    def mean(self, weights: Weights) -> Float[np.ndarray, "draw rank"]:
        return weights @ self.moments[:, 0] / weights.sum(axis=1, keepdims=True)

    def deviation(self, weights: Weights) -> Float[np.ndarray, "draw rank"]:
        square = weights @ self.moments[:, 1] / weights.sum(axis=1, keepdims=True)
        return np.sqrt(np.maximum(square - self.mean(weights) ** 2, 0.0))


def _measures(
    samples: list[Float[np.ndarray, "trial time rank"]],
    every: float,
    draws: Weights,
) -> list[Measure]:
    """Measures of the first array against the others."""
    reference = samples[1]
    centre, scale = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
    summaries = [
        _Summary(
            slices,
            power_spectra(x, every)[1],
            cycle_counts(x, every, centre, scale),
            np.stack([(x - centre).mean(axis=1), ((x - centre) ** 2).mean(axis=1)], axis=1),
        )
        for x, slices in zip(samples, slice_recordings(*samples, scale=scale), strict=True)
    ]
    table = _Table(summaries, draws, reference.shape[1])
    rank = reference.shape[2]
    measures = [
        table.measure(
            "sliced_wasserstein", "sliced Wasserstein", "reference sd", _Summary.quantiles, sliced_wasserstein,
        ),
        table.measure("d_h", "power-spectrum Hellinger D_H", "", _Summary.spectrum, hellinger),
    ]  # fmt: skip
    if all(s.cycles[0].sum() for s in summaries):
        measures.append(table.ratio("period", "oscillation period", _Summary.period))
    measures += [
        table.ratio(f"sd_{c}", f"standard deviation of latent {c}", lambda s, w, c=c: s.deviation(w)[:, c])
        for c in range(rank)
    ]
    measures += [
        table.measure(
            f"mean_{c}", f"mean of latent {c}", "reference sd",
            lambda s, w, c=c: s.mean(w)[:, c] / scale[c], lambda a, b: float(abs(a - b)),
        )
        for c in range(rank)
    ]  # fmt: skip
    return measures


@dataclass(frozen=True)
class _Table:
    """Turns a value of weighted trials, with a distance between two such values, into a Measure."""

    summaries: list[_Summary]
    draws: Weights
    length: int

    def measure(
        self,
        name: str,
        label: str,
        unit: str,
        value: Callable[[_Summary, Weights], np.ndarray],
        between: Callable[[np.ndarray, np.ndarray], float],
    ) -> Measure:
        test, *references = self.summaries
        trials = len(test.power)
        everyone = np.ones((1, trials))
        known = [value(reference, everyone)[0] for reference in references]
        apart = known if len(known) > 1 else value(references[0], self._halves())

        def distance(found: np.ndarray) -> float:
            return float(np.mean([between(found, other) for other in known]))

        here = distance(value(test, everyone)[0])
        return Measure(
            name=name,
            label=label,
            unit=unit,
            distance=here,
            floor=float(np.mean([between(a, b) for a, b in combinations(apart, 2)])),
            interval=_interval(here, [distance(found) for found in value(test, self.draws)]) if trials > 1 else None,
            samples=trials * self.length,
            trials=trials,
        )

    def ratio(self, name: str, label: str, value: Callable[[_Summary, Weights], np.ndarray]) -> Measure:
        """Measure |test / reference - 1| of a positive number, and keep both numbers."""
        measure = self.measure(name, label, "relative", value, lambda a, b: float(abs(a / b - 1.0)))
        everyone = np.ones((1, measure.trials))
        test, *references = (float(value(summary, everyone)[0]) for summary in self.summaries)
        return replace(measure, test=test, reference=float(np.mean(references)))

    def _halves(self) -> Weights:
        """Every second trial, and the others."""
        odd = np.arange(len(self.summaries[0].power)) % 2
        return np.stack([1.0 - odd, odd])


def _interval(value: float, spread: list[float]) -> tuple[float, float] | None:
    """Normal interval around the distance; resampled distances themselves are biased upwards."""
    finite = np.array([s for s in spread if np.isfinite(s)])
    if len(finite) < 2:
        return None
    half = _NORMAL_95 * float(finite.std(ddof=1))
    return max(0.0, value - half), value + half


def _check_alike(recordings: dict[str, Recording]) -> None:
    first = recordings["reference"]
    for name, recording in recordings.items():
        if recording.rank != first.rank:
            raise InputError(f"The {name} recording has rank {recording.rank}, the reference {first.rank}.")
        if abs(recording.every - first.every) > 1e-6 * first.every:
            raise InputError(
                f"The {name} recording is sampled each {recording.every:g} rate time units, the reference each "
                f"{first.every:g}. Simulate both with the same --every."
            )


def _common_size(recordings: dict[str, Recording], burn_in: float | None) -> tuple[int, int, int]:
    trials = min(recording.samples.shape[0] for recording in recordings.values())
    stop = min(recording.samples.shape[1] for recording in recordings.values())
    every = recordings["reference"].every
    start = stop // 10 if burn_in is None else round(burn_in / every) if every > 0 else 0
    if not (np.isfinite(start) and start >= 0) or stop - start < _FEWEST_SAMPLES:
        raise InputError(
            f"{max(stop - start, 0)} samples remain after a burn-in of {start * every:g} rate time units; "
            f"at least {_FEWEST_SAMPLES} are needed. Simulate longer or shorten the burn-in."
        )
    return trials, start, stop


def _check_content(cut: dict[str, np.ndarray]) -> None:
    for name, samples in cut.items():
        broken = int((~np.isfinite(samples)).any(axis=(1, 2)).sum())
        if broken:
            raise InputError(f"{broken} of {len(samples)} trials of the {name} recording hold NaN or infinity.")
    still = np.flatnonzero(cut["reference"].std(axis=(0, 1)) == 0)
    if still.size:
        raise InputError(f"Latent {still[0]} of the reference recording is constant; there is nothing to compare.")
