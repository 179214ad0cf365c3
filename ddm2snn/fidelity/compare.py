"""The verb: recordings in, distances beside their floor out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.threads import one_thread
from ddm2snn.errors import InputError
from ddm2snn.fidelity.failure import failure_shares, find_failure
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.reference import Reference
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.fidelity.verdict import verdict
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples

_FEWEST_SAMPLES = 64  # of a recording behind the burn-in [choice]
Recordings = Recording | Sequence[Recording]
Latents = Recording | Path | str | np.ndarray
"""What `compare` takes for a recording: its file, or latents of shape (trial, time, rank), as well."""


def compare(
    reference: Latents,
    test: Latents | Sequence[Latents],
    *,
    floor: Latents | Sequence[Latents] = (),
    every: float | None = None,
    burn_in: float | None = None,
    label: str | None = None,
    seed: int = 0,
    wells: Float[np.ndarray, "well rank"] | None = None,
) -> FidelityReport:
    """Compare a test recording with a reference in the latent space.

    The report holds some twenty distances. Beside each stands its floor, the distance of two runs of the reference:
    a test whose distances are near their floors is as good as another run of the reference.

    Parameters
    ----------
    reference
        Recording of the reference. Each recording may be given as its file, or as an array of shape (trial, time,
        rank).
    test
        Recording to judge, or a list of recordings, of one network or of several that differ by seed only; distances
        are then means over the list, and the report counts the recordings that failed.
    floor
        Further, independent recordings of the reference; the test's distance from each recording of the reference is
        averaged. Without any, the floor comes from halves and quarters of the reference's trials, extrapolated to the
        full number of trials.
    every
        Sampling interval of arrays, in rate time units.
    burn_in
        Rate time units to leave out at the start; by default a tenth of the shortest recording.
    label
        Name of the test; by default its backend.
    seed
        Seed of the splits of trials and of their resampling, from which floors and intervals come.
    wells
        Centres of wells, shape (well, rank), for dwell times, transitions and lost modes.

    Returns
    -------
    FidelityReport
        The distances by name, each beside its floor, with a verdict in words.

    Raises
    ------
    InputError
        Where recordings cannot be compared: other rank or sampling interval, too few samples, values
        that are not finite, a latent that does not move.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> runs = [Recording.from_arrays(rng.standard_normal((8, 200, 1)), every=0.1, time_unit_s=0.1) for _ in range(3)]
    >>> report = compare(runs[0], runs[1], floor=runs[2], label="again")
    >>> report["sd_0"].differs
    False
    >>> report.verdict.split(".")[0]
    'again: shape, timing, period, drift and noise as in a second run'
    """
    first, tests, floors = (
        [
            _recording(each, every)
            for each in ([some] if isinstance(some, str) or not isinstance(some, Sequence) else some)
        ]
        for some in ([reference], test, floor)
    )
    if not tests:
        raise InputError("compare was given no test recording. Give one or more.")
    name = label or tests[0].backend or "test"
    return compare_each(first[0], {name: tests}, floor=floors, burn_in=burn_in, seed=seed, wells=wells)[0]


def compare_each(
    reference: Recording,
    tests: Mapping[str, Recordings],
    *,
    floor: Recordings = (),
    burn_in: float | None = None,
    seed: int = 0,
    wells: Float[np.ndarray, "well rank"] | None = None,
    prepared: Reference | None = None,
) -> list[FidelityReport]:
    """Compare several networks, each by its label, with one reference, whose floors are measured once.

    All recordings are cut to one size. Parameters and errors are those of `compare`. What `prepare_reference` made of
    the same reference, floor, burn-in, seed and wells can be given as `prepared`; tests are then of the same size.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> runs = [Recording.from_arrays(rng.standard_normal((2, 100, 1)), every=0.1, time_unit_s=0.1) for _ in range(3)]
    >>> [report.label for report in compare_each(runs[0], {"a": runs[1], "b": runs[2]})]
    ['a', 'b']
    """
    references = {"reference": reference} | {f"floor {i}": run for i, run in enumerate(_as_list(floor), start=1)}
    by_label = {label: _named(label, _as_list(test), alone=len(tests) == 1) for label, test in tests.items()}
    recordings = references | {name: run for runs in by_label.values() for name, run in runs.items()}
    _check_alike(recordings)
    trials, start, stop = _common_size(recordings, burn_in)
    cut = {name: recording.samples[:trials, start:stop] for name, recording in recordings.items()}
    of_reference = {name: cut[name] for name in references}
    _check_content(of_reference)
    if len(references) == 1 and trials < 2:
        raise InputError("A single trial gives no floor. Give a second recording of the reference as floor.")
    if prepared is None:
        places = None if wells is None else _checked_wells(wells, reference.rank)
        prepared = Reference(ReferenceSamples.of(list(of_reference.values()), reference.every, places), seed)
    elif not np.array_equal(prepared.samples.samples, np.concatenate(list(of_reference.values()))):
        raise InputError("The prepared reference has other samples than these recordings. Prepare it from them.")
    notes, reports = _size_notes(recordings, trials, stop, len(references)), []
    with one_thread():
        for label, runs in by_label.items():
            samples = {name: cut[name] for name in runs}
            provenance = {name.removesuffix(f" ({label})"): run for name, run in runs.items()} | references
            its_notes = [*notes, *_seed_notes(references | runs)]
            reports.append(_report(label, prepared, samples, its_notes, start * reference.every, provenance))
    return reports


def prepare_reference(
    reference: Recording,
    floor: Recordings,
    *,
    burn_in: float | None = None,
    seed: int = 0,
    wells: Float[np.ndarray, "well rank"] | None = None,
) -> Reference:
    """What comparisons with one reference share, computed once for all of them: the greatest part of their time.

    Parameters and errors are those of `compare`. The result goes to `compare_each`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> runs = [Recording.from_arrays(rng.standard_normal((2, 100, 1)), every=0.1, time_unit_s=0.1) for _ in range(3)]
    >>> prepared = prepare_reference(runs[0], runs[2])
    >>> report = compare_each(runs[0], {"again": runs[1]}, floor=runs[2], prepared=prepared)[0]
    >>> report["sd_0"].differs
    False
    """
    recordings = {"reference": reference} | {f"floor {i}": run for i, run in enumerate(_as_list(floor), start=1)}
    _check_alike(recordings)
    trials, start, stop = _common_size(recordings, burn_in)
    cut = {name: recording.samples[:trials, start:stop] for name, recording in recordings.items()}
    _check_content(cut)
    places = None if wells is None else _checked_wells(wells, reference.rank)
    prepared = Reference(ReferenceSamples.of(list(cut.values()), reference.every, places), seed)
    with one_thread():
        _ = prepared.limit  # which takes all measures
    return prepared


def _recording(latents: Latents, every: float | None) -> Recording:
    if isinstance(latents, Path | str):
        return Recording.load(latents)
    if isinstance(latents, Recording):
        return latents
    if not isinstance(latents, np.ndarray):
        raise InputError(
            f"compare takes recordings, their files or arrays, got a {type(latents).__name__}. Simulate first."
        )
    if every is None:
        raise InputError("compare does not know the sampling interval of arrays. Give it as every, in rate time units.")
    return Recording.from_arrays(latents, every=every, time_unit_s=1.0)


def _as_list(recordings: Recordings) -> list[Recording]:
    return [recordings] if isinstance(recordings, Recording) else list(recordings)


def _named(label: str, runs: Sequence[Recording], *, alone: bool) -> dict[str, Recording]:
    """Recordings of one network by the names that messages call them, with its label unless it is the only one."""
    of_label = "" if alone else f" ({label})"
    return {f"test {i}{of_label}" if len(runs) > 1 else f"test{of_label}": run for i, run in enumerate(runs, start=1)}


def _report(
    label: str,
    reference: Reference,
    tests: Mapping[str, Samples],
    notes: Sequence[str],
    burn_in: float,
    provenance: Mapping[str, Recording],
) -> FidelityReport:
    """Judge the recordings of one network; `tests` holds their samples by name."""
    pooled = reference.samples
    shares = failure_shares(
        [find_failure(test, pooled.samples, every=pooled.every, wells=pooled.wells) for test in tests.values()]
    )
    finite = [test for test in tests.values() if np.isfinite(test).all()]
    if len(tests) == 1 or not finite:
        _check_finite(tests)
    notes = list(notes)
    if broken := len(tests) - len(finite):
        notes.append(f"{broken} recording(s) with NaN or infinity count as escaped, without distances.")
    measures, missing = reference.judge(finite)
    if missing:
        notes.append(f"Not measured (too few samples, no oscillation or no switches): {', '.join(missing)}.")
    return FidelityReport(
        label=label,
        measures=tuple(measures),
        floor_from=f"{pooled.runs - 1} independent recording(s)" if pooled.runs > 1 else "halves of the reference",
        burn_in=burn_in,
        notes=tuple(notes),
        provenance={name: {"fingerprint": run.fingerprint, **run.provenance} for name, run in provenance.items()},
        verdict=verdict(label, measures, shares),
        failures=shares,
    )


def _size_notes(recordings: Mapping[str, Recording], trials: int, stop: int, references: int) -> list[str]:
    notes = []
    if any(recording.samples.shape[:2] != (trials, stop) for recording in recordings.values()):
        notes.append(f"Recordings differ in size; {trials} trial{'s' * (trials > 1)} of {stop} samples are compared.")
    if references == 1:
        notes.append("The floor is continued from halves and quarters of the reference's trials.")
    if trials * references < 6:
        notes.append("Too few trials for intervals: the reference needs six in total.")
    return notes


def _seed_notes(recordings: Mapping[str, Recording]) -> list[str]:
    """What is not independent: runs of networks with one seed draw the same initial states, and so do those of SDEs."""
    by_seed: dict[tuple[str, bool], list[str]] = {}
    for name, recording in recordings.items():
        if recording.seed is not None:
            by_seed.setdefault((str(recording.seed), recording.origin.network is not None), []).append(name)
    return [
        f"{', '.join(names)} were simulated with the same seed {seed}: their trials start from the same states, so "
        "they are not independent. Give each its own `seed`."
        for (seed, _), names in by_seed.items()
        if len(names) > 1
    ]


def _check_alike(recordings: Mapping[str, Recording]) -> None:
    first = recordings["reference"]
    for name, recording in recordings.items():
        if recording.rank != first.rank:
            raise InputError(
                f"The {name} recording has rank {recording.rank}, the reference {first.rank}. "
                "Compare recordings of one system."
            )
        if abs(recording.every - first.every) > 1e-6 * first.every:
            raise InputError(
                f"The {name} recording is sampled each {recording.every:g} rate time units, the reference each "
                f"{first.every:g}. Simulate both with the same `every`."
            )
        if name.startswith("floor") and recording.fingerprint == first.fingerprint:
            raise InputError(f"The {name} recording is the reference itself. Simulate another with its own `seed`.")


def _common_size(recordings: Mapping[str, Recording], burn_in: float | None) -> tuple[int, int, int]:
    """Trials, first and last sample that all recordings have after the burn-in."""
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


def _check_finite(samples: Mapping[str, Samples]) -> None:
    for name, array in samples.items():
        broken = int((~np.isfinite(array)).any(axis=(1, 2)).sum())
        if broken:
            raise InputError(f"{broken} of {len(array)} trials of the {name} recording hold NaN or infinity.")


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
