"""The verb: recordings in, distances beside their floor out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from ddm2snn.errors import InputError
from ddm2snn.fidelity.failure import Failure, FailureShares, failure_shares, find_failure
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.fidelity.verdict import verdict
from ddm2snn.fidelity.yardstick import Yardstick
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.family import Samples

_FEWEST_SAMPLES = 64
Tests = Recording | Sequence[Recording]


def compare(
    reference: Recording,
    test: Tests,
    *,
    floor: Tests = (),
    burn_in: float | None = None,
    label: str | None = None,
    seed: int = 0,
    wells: Float[np.ndarray, "well rank"] | None = None,
) -> FidelityReport:
    """Compare a test recording with a reference in the latent space, beside the sampling floor.

    Parameters
    ----------
    reference
        Recording of the reference.
    test
        Recording to judge, or several of one network or of networks made with other seeds: then distances are their
        means, and the report counts the recordings that failed.
    floor
        Further, independent recordings of the reference. Distances are means over all recordings of the
        reference; the floor is what two sets of its trials of this size are apart. Without any, the floor comes from
        halves and quarters of the reference's trials, continued to their full number.
    burn_in
        Rate time units to leave out at the start; by default a tenth of the shortest recording.
    label
        Name of the test; by default its backend.
    seed
        Seed of the splits and the resampling.
    wells
        Centres of wells, shape (well, rank), for dwell times, transitions and lost modes.

    Raises
    ------
    InputError
        Where recordings cannot be compared: other rank or sampling interval, too few samples, values
        that are not finite, a latent that does not move.
    """
    tests = [test] if isinstance(test, Recording) else list(test)
    if not tests:
        raise InputError("compare was given no test recording. Give one or more.")
    name = label or str(tests[0].provenance.get("backend", "test"))
    return compare_each(reference, {name: tests}, floor=floor, burn_in=burn_in, seed=seed, wells=wells)[0]


def compare_each(
    reference: Recording,
    tests: Mapping[str, Tests],
    *,
    floor: Tests = (),
    burn_in: float | None = None,
    seed: int = 0,
    wells: Float[np.ndarray, "well rank"] | None = None,
) -> list[FidelityReport]:
    """Compare several networks, each by its label, with one reference, whose floors are found once.

    All are cut to one size. Parameters and errors are those of `compare`.
    """
    floors = [floor] if isinstance(floor, Recording) else list(floor)
    named = {label: [test] if isinstance(test, Recording) else list(test) for label, test in tests.items()}
    references = {"reference": reference, **{f"floor {i + 1}": r for i, r in enumerate(floors)}}
    judged = {_name(label, i, named): r for label, each in named.items() for i, r in enumerate(each)}
    everything = {**references, **judged}
    _check_alike(everything)
    trials, start, stop = _common_size(everything, burn_in)
    known = {n: r.samples[:trials, start:stop] for n, r in references.items()}
    _check_content(known)
    if not floors and trials < 2:
        raise InputError("A single trial gives no floor. Give a second recording of the reference (--floor).")
    places = None if wells is None else _checked_wells(wells, reference.rank)
    yardstick = Yardstick.of(list(known.values()), reference.every, places, seed)
    notes = _size_notes(everything, trials, stop, len(floors))
    reports = []
    with threadpool_limits(1):  # products of small matrices, which threads slow down several times where cores are few
        for label, each in named.items():
            mine = {_name(label, i, named): r for i, r in enumerate(each)}
            cut = {n: r.samples[:trials, start:stop] for n, r in mine.items()}
            provenance = {
                "test" if len(each) == 1 else f"test {i + 1}": r for i, r in enumerate(each)
            } | references  # fmt: skip
            reports.append(_report(label, yardstick, cut, notes, start * reference.every, provenance))
    return reports


def _name(label: str, index: int, named: Mapping[str, Sequence[Recording]]) -> str:
    """How messages call a recording."""
    which = f"test {index + 1}" if len(named[label]) > 1 else "test"
    return which if len(named) == 1 else f"{which} ({label})"


def _report(
    label: str,
    yardstick: Yardstick,
    cut: Mapping[str, Samples],
    notes: Sequence[str],
    burn_in: float,
    provenance: Mapping[str, Recording],
) -> FidelityReport:
    shares, failures = _failures(cut, yardstick)
    finite = {name: samples for name, samples in cut.items() if np.isfinite(samples).all()}
    if len(cut) == 1 or not finite:
        _check_finite(cut)
    notes = list(notes)
    if len(finite) < len(cut):
        notes.append(f"{len(cut) - len(finite)} recording(s) with NaN or infinity count as escaped, without distances.")
    measures, missing = yardstick.measures(list(finite.values()))
    if missing:
        notes.append(f"Not measured, for want of samples, of oscillation or of switches: {', '.join(missing)}.")
    runs = yardstick.runs
    return FidelityReport(
        label=label,
        measures=tuple(measures),
        floor_from=f"{runs - 1} independent recording(s)" if runs > 1 else "halves of the reference",
        burn_in=burn_in,
        notes=tuple(notes),
        provenance={name: {"fingerprint": r.fingerprint, **r.provenance} for name, r in provenance.items()},
        verdict=verdict(label, measures, shares),
        failures=_as_json(shares, failures),
    )


def _failures(cut: Mapping[str, Samples], yardstick: Yardstick) -> tuple[FailureShares, list[Failure]]:
    found = [
        find_failure(samples, yardstick.pooled, every=yardstick.every, wells=yardstick.wells)
        for samples in cut.values()
    ]
    return failure_shares(found), found


def _as_json(shares: FailureShares, failures: Sequence[Failure]) -> dict[str, Any]:
    """Shares of recordings, and the trials concerned in each."""
    trials = sum(f.trials for f in failures)
    return {
        "recordings": shares.recordings,
        "died": shares.died,
        "escaped": shares.escaped,
        "lost_mode": shares.lost,
        "failed": shares.failed,
        "trials": trials,
        "trials_died": sum(len(f.died) for f in failures),
        "trials_escaped": sum(len(f.escaped) for f in failures),
        "lost_wells": sorted({well for f in failures for well in f.lost}),
        "definition": shares.definition,
    }


def _size_notes(everything: Mapping[str, Recording], trials: int, stop: int, floors: int) -> list[str]:
    notes = []
    if any(recording.samples.shape[:2] != (trials, stop) for recording in everything.values()):
        many = "s" if trials > 1 else ""
        notes.append(f"Recordings differ in size; {trials} trial{many} of {stop} samples are compared.")
    if not floors:
        notes.append("The floor is continued from halves and quarters of the reference's trials.")
    if trials * (floors + 1) < 6:
        notes.append("Too few trials for intervals: six of the reference, over all its recordings, are the fewest.")
    return notes


def _check_alike(recordings: Mapping[str, Recording]) -> None:
    first = recordings["reference"]
    for name, recording in recordings.items():
        if recording.rank != first.rank:
            raise InputError(f"The {name} recording has rank {recording.rank}, the reference {first.rank}.")
        if abs(recording.every - first.every) > 1e-6 * first.every:
            raise InputError(
                f"The {name} recording is sampled each {recording.every:g} rate time units, the reference each "
                f"{first.every:g}. Simulate both with the same --every."
            )
        if name.startswith("floor") and recording.fingerprint == first.fingerprint:
            raise InputError(f"The {name} recording is the reference itself. Simulate another with its own --seed.")


def _common_size(recordings: Mapping[str, Recording], burn_in: float | None) -> tuple[int, int, int]:
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


def _check_finite(cut: Mapping[str, Samples]) -> None:
    for name, samples in cut.items():
        broken = int((~np.isfinite(samples)).any(axis=(1, 2)).sum())
        if broken:
            raise InputError(f"{broken} of {len(samples)} trials of the {name} recording hold NaN or infinity.")


def _check_content(references: Mapping[str, Samples]) -> None:
    _check_finite(references)
    for name, samples in references.items():
        # about the first sample, since the mean of a constant is rounded
        still = np.flatnonzero((samples == samples[:1, :1]).all(axis=(0, 1)))
        if still.size:
            raise InputError(f"Latent {still[0]} of the {name} recording is constant; there is nothing to compare.")


def _checked_wells(wells: Float[np.ndarray, "well rank"], rank: int) -> Float[np.ndarray, "well rank"]:
    places = np.asarray(wells, dtype=np.float64)
    if places.ndim != 2 or len(places) < 2 or places.shape[1] != rank or not np.isfinite(places).all():
        raise InputError(f"wells must be two or more finite centres of shape (well, {rank}), got {places.shape}.")
    return places
