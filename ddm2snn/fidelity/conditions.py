"""Comparison by condition of a task: courses, outputs, choices and reaction times, beside what chance makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures.measure import Entry
from ddm2snn.fidelity.report import FidelityReport, JudgedDistance
from ddm2snn.fidelity.samples import thinned
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Trials = Float[np.ndarray, "trial time channel"]
    Features = Float[np.ndarray, "trial feature"]

_TIMES, _COVARIANCES = 40, 10  # of a trial, at which courses and covariances are compared [cost]
_AT_END = 0.05  # share of a trial at its end over whose mean a choice is read [choice]
_LEVEL = 0.05  # of all distances of a report together [choice]
_FEWEST_DRAWS, _DRAWS_PER_DISTANCE = 2000, 80  # so that a corrected level is one that draws can reach [cost]
FEWEST_TRIALS = 8  # of a condition [choice]


def compare_conditions(
    reference: Recording,
    test: Recording | Sequence[Recording],
    *,
    floor: Recording | Sequence[Recording] = (),
    boundary: float = 0.0,
    threshold: float | None = None,
    label: str | None = None,
    seed: int = 0,
) -> FidelityReport:
    r"""Compare recordings of a task's trials condition by condition.

    In each condition stand the mean course of the latents and their covariance over time, each in standard deviations
    of the latents, and of each output its mean course (as a share of its range), how often it ends above the boundary
    (the choice), and the mean time until it is further from the boundary than the threshold (the reaction time), unless
    all trials of the reference are so from the start.

    The floor of a distance is its mean where both networks do the same and only trials are drawn anew: the bootstrap
    over trials, :math:`d(\hat\theta^*_\text{test} - \hat\theta_\text{test},
    \hat\theta^*_\text{ref} - \hat\theta_\text{ref})`. A distance differs where Holm's correction over all distances and
    conditions says so at 5 %.

    Parameters
    ----------
    reference, floor
        Recording of the rate network, and further ones, whose trials are pooled with it.
    test
        Recording to judge, or several whose trials are pooled.
    boundary, threshold
        Value of an output between two choices, and the distance from it at which a trial has decided; by default a
        quarter of the output's range in the reference: half way from its middle to its ends. Without outputs the
        latents take their place.
    label
        Name of the test; by default its backend.
    seed
        Seed of the bootstrap.

    Returns
    -------
    FidelityReport
        A distance for each condition, such as ``report["choice_0 in left"]``, and the verdict.

    Raises
    ------
    InputError
        Where recordings have no conditions, not the same ones, or fewer than eight trials of one.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def trials(up):
    ...     course = rng.standard_normal((64, 50, 1)) + np.repeat([[[-up]], [[up]]], 32, axis=0)
    ...     return Recording.from_arrays(
    ...         course, every=0.1, time_unit_s=0.1, output=course, provenance={"conditions": ["left", "right"]}
    ...     )
    >>> compare_conditions(trials(2.0), trials(2.0), label="again").verdict
    'again: no difference found in 10 distances over 2 conditions.'
    >>> report = compare_conditions(trials(2.0), trials(0.0), label="cannot tell left from right")
    >>> report["choice_0 in left"].differs, report["choice_0 in left"].reference
    (True, 0.0)
    """
    tests = [test] if isinstance(test, Recording) else list(test)
    references = [reference, *([floor] if isinstance(floor, Recording) else floor)]
    if not tests:
        raise InputError("compare_conditions was given no test recording. Give one or more.")
    if threshold is not None:
        check_positive("compare_conditions", threshold=threshold)
    _check(references, tests)
    name = label or tests[0].backend or "test"
    scales = _Scales.of(references, boundary, threshold)
    statistics = _statistics(scales, reference.every)
    draws = max(_FEWEST_DRAWS, _DRAWS_PER_DISTANCE * len(statistics) * len(reference.conditions))
    rng = stream(seed, "fidelity", "conditions")
    judged = []
    for condition in reference.conditions:
        own, tried = (_Condition.pooled(runs, condition, scales) for runs in (references, tests))
        weights = tuple(_weights(len(trials.latents), draws, rng) for trials in (tried, own))
        few = _few_trials(min(len(tried.latents), len(own.latents)), len(statistics) * len(reference.conditions))
        judged += [
            _judge(condition, each, each.features(tried), each.features(own), weights, few) for each in statistics
        ]
    measures = _corrected([measure for measure, _ in judged], [chance for _, chance in judged])
    runs = {"reference": reference} | {f"test {i}": run for i, run in enumerate(tests, start=1)}
    return FidelityReport(
        label=name,
        measures=tuple(measures),
        floor_from="trials drawn anew",
        burn_in=0.0,
        provenance={key: {"fingerprint": run.fingerprint, **run.provenance} for key, run in runs.items()},
        verdict=_verdict(name, measures, len(reference.conditions)),
    )


def _check(references: Sequence[Recording], tests: Sequence[Recording]) -> None:
    first = references[0]
    if not first.conditions:
        raise InputError(
            "The reference has no conditions. Simulate it with a Stimulus that names them: Stimulus.of_trials({...})."
        )
    for role, runs in (("floor", references[1:]), ("test", tests)):
        for run in runs:
            if list(run.conditions) != list(first.conditions):
                raise InputError(
                    f"A {role} recording has the conditions {', '.join(run.conditions) or 'none'}, and the reference "
                    f"{', '.join(first.conditions)}. Simulate both with the same stimulus."
                )
            shapes = [(r.samples.shape[1:], None if r.output is None else r.output.shape[2]) for r in (run, first)]
            if shapes[0] != shapes[1] or abs(run.every - first.every) > 1e-6 * first.every:
                raise InputError(
                    f"A {role} recording has samples, latents and outputs {shapes[0]}, and the reference {shapes[1]}. "
                    "Simulate both with the same `duration` and `every`, and of networks with the same outputs."
                )
    for runs in (references, tests):
        fewest = min(sum(len(run.conditions[name]) for run in runs) for name in first.conditions)
        if fewest < FEWEST_TRIALS:
            raise InputError(
                f"A condition has {fewest} trial(s), and {FEWEST_TRIALS} are needed. Give the stimulus more repeats."
            )


def outputs_of(recording: Recording) -> Trials:
    """Outputs of a recording, or its latents where it has none."""
    return recording.samples if recording.output is None else recording.output.values


@dataclass(frozen=True, eq=False)
class _Scales:
    """What makes distances comparable: deviations of latents and ranges of outputs in the reference.

    Outputs, or latents in their place, are what is `read`; all trials may be `decided` from their first moment on.
    """

    deviation: Float[np.ndarray, " rank"]
    extent: Float[np.ndarray, " output"]
    boundary: float
    threshold: Float[np.ndarray, " output"]
    read: str
    decided: Bool[np.ndarray, " output"]

    @classmethod
    def of(cls, references: Sequence[Recording], boundary: float, threshold: float | None) -> _Scales:
        deviation = np.sqrt(np.mean([run.samples.var(axis=(0, 1)) for run in references], axis=0))
        means = np.concatenate(
            [outputs_of(run)[rows].mean(axis=0) for run in references for rows in run.conditions.values()]
        )
        extent = np.maximum(np.ptp(means, axis=0), np.finfo(np.float64).tiny)
        limit = 0.25 * extent if threshold is None else np.full(len(extent), threshold)
        first = np.concatenate([outputs_of(run)[:, 0] for run in references])
        return cls(
            np.maximum(deviation, np.finfo(np.float64).tiny), extent, boundary, limit,
            "latent" if references[0].output is None else "output", np.all(np.abs(first - boundary) > limit, axis=0),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Condition:
    """Trials of one condition: latents in standard deviations, outputs as they are."""

    latents: Trials
    outputs: Trials

    @classmethod
    def pooled(cls, runs: Sequence[Recording], name: str, scales: _Scales) -> _Condition:
        latents = np.concatenate([run.samples[run.conditions[name]] for run in runs])
        return cls(latents / scales.deviation, np.concatenate([outputs_of(run)[run.conditions[name]] for run in runs]))


@dataclass(frozen=True, eq=False)
class _Statistic:
    """A number or several of a set of trials, as a function `value` of mean features of single trials."""

    entry: Entry
    features: Callable[[_Condition], Features]
    value: Callable[[Features], Features]
    single: bool = False


def _statistics(scales: _Scales, every: float) -> list[_Statistic]:
    """All that is compared in a condition."""
    rank = len(scales.deviation)
    statistics = [
        _Statistic(Entry("course", "mean course of the latents", "sd", 0.5, "course"), _course, _as_is),
        _Statistic(
            Entry("covariance", "covariance of the latents", "sd^2", 0.5, "course"), _products, _covariance(rank)
        ),
    ]
    for index, (extent, limit) in enumerate(zip(scales.extent, scales.threshold, strict=True)):
        for name, words, unit, features, value in (
            ("output", f"mean course of {scales.read}", "of its range", _read(index, extent), _as_is),
            ("choice", f"share above the boundary, {scales.read}", "", _chosen(index, scales), _as_is),
            ("reaction_time", f"reaction time, {scales.read}", "time units", _crossing(index, scales, limit, every),
             _ratio),
        ):  # fmt: skip
            if name == "reaction_time" and scales.decided[index]:
                continue
            entry = Entry(f"{name}_{index}", f"{words} {index}", unit, 0.2, "change")
            statistics.append(_Statistic(entry, features, value, single=name != "output"))
    return statistics


def _as_is(means: Features) -> Features:
    return means


def _course(trials: _Condition) -> Features:
    some = thinned(trials.latents.shape[1], 1, _TIMES)
    return trials.latents[:, some].reshape(len(trials.latents), -1)


def _products(trials: _Condition) -> Features:
    """Latents at some times, and their products with each other."""
    z = trials.latents[:, thinned(trials.latents.shape[1], 1, _COVARIANCES)]
    products = z[..., :, None] * z[..., None, :]
    return np.concatenate([z[..., None], products], axis=-1).reshape(len(z), -1)


def _covariance(rank: int) -> Callable[[Features], Features]:
    def value(means: Features) -> Features:
        table = means.reshape(len(means), -1, rank, rank + 1)
        first, second = table[..., 0], table[..., 1:]
        return (second - first[..., :, None] * first[..., None, :]).reshape(len(means), -1)

    return value


def _read(index: int, extent: float) -> Callable[[_Condition], Features]:
    def features(trials: _Condition) -> Features:
        return trials.outputs[:, thinned(trials.outputs.shape[1], 1, _TIMES), index] / extent

    return features


def _chosen(index: int, scales: _Scales) -> Callable[[_Condition], Features]:
    def features(trials: _Condition) -> Features:
        last = max(1, round(_AT_END * trials.outputs.shape[1]))
        return (trials.outputs[:, -last:, index].mean(axis=1) > scales.boundary).astype(np.float64)[:, None]

    return features


def _crossing(index: int, scales: _Scales, limit: float, every: float) -> Callable[[_Condition], Features]:
    """Time of the first crossing, or zero, and whether there is one."""

    def features(trials: _Condition) -> Features:
        beyond = np.abs(trials.outputs[..., index] - scales.boundary) > limit
        decided = beyond.any(axis=1)
        return np.column_stack([np.where(decided, beyond.argmax(axis=1) * every, 0.0), decided])

    return features


def _ratio(means: Features) -> Features:
    """Mean time of the trials that decided; zero where none did."""
    decided = means[:, 1:]
    return np.where(decided > 0, means[:, :1] / np.where(decided > 0, decided, 1.0), 0.0)


def _judge(
    condition: str, statistic: _Statistic, tried: Features, own: Features, weights: tuple[np.ndarray, ...], few: float
) -> tuple[JudgedDistance, float]:
    """A distance with its floor, and how often chance alone makes as large a one."""
    pairs = zip((tried, own), weights, strict=True)
    values, scatter = zip(*(_drawn(statistic, trials, each) for trials, each in pairs), strict=True)
    distance = float(_size(values[0] - values[1])[0])
    by_chance = _size(scatter[0] - scatter[1])
    floor, low, high = float(by_chance.mean()), *(float(v) for v in np.quantile(by_chance, [0.025, 0.975]))
    at_least = max(floor, 1e-12)
    excess = distance / at_least
    numbers = [float(value[0, 0]) if statistic.single else None for value in values]
    entry = statistic.entry
    measure = JudgedDistance(
        Entry(f"{entry.name} in {condition}", f"{entry.label}, {condition}", entry.unit, entry.coarse, entry.kind),
        distance,
        floor,
        (low, high),
        samples=own.shape[1],
        trials=len(tried),
        test=numbers[0],
        reference=numbers[1],
        floor_high=float(np.quantile(by_chance, 0.95)),
        excess_interval=(max(0.0, excess + 1 - high / at_least), excess + 1 - low / at_least),
        informative=high < entry.coarse or statistic.entry.unit == "time units",
    )
    return measure, (1.0 + float((few * by_chance >= distance * (1 - 1e-12)).sum())) / (1.0 + len(by_chance))


def _few_trials(trials: int, distances: int) -> float:
    """How much larger differences must be where few trials tell the scatter: Student's quantile over the normal one.

    >>> round(_few_trials(20, 10), 2), round(_few_trials(500, 10), 2)
    (1.13, 1.0)
    """
    from scipy.stats import norm, t

    level = 1.0 - _LEVEL / (2 * distances)
    return float(t.ppf(level, trials - 1) / norm.ppf(level))


def _weights(count: int, draws: int, rng: np.random.Generator) -> Float[np.ndarray, "draw trial"]:
    """Trials drawn anew: the share of each in every draw."""
    return rng.multinomial(count, np.full(count, 1.0 / count), size=draws) / count


def _drawn(
    statistic: _Statistic, trials: Features, weights: Float[np.ndarray, "draw trial"]
) -> tuple[Float[np.ndarray, "one number"], Float[np.ndarray, "draw number"]]:
    """Value of all trials, and how far those of trials drawn anew are from it."""
    value, count = statistic.value(trials.mean(axis=0, keepdims=True)), len(trials)
    # a mean of n trials scatters by 1 / n of the variance, of which drawing from n shows 1 - 1 / n
    return value, (statistic.value(weights @ trials) - value) * np.sqrt(count / (count - 1.0))


def _size(difference: Float[np.ndarray, "draw number"]) -> Float[np.ndarray, " draw"]:
    return np.sqrt((difference**2).mean(axis=1))


def _corrected(measures: Sequence[JudgedDistance], chances: Sequence[float]) -> list[JudgedDistance]:
    """Distances that differ by Holm's procedure at the level of all together."""
    order, differs = np.argsort(chances), np.zeros(len(measures), dtype=bool)
    for place, index in enumerate(order):
        if chances[index] > _LEVEL / (len(measures) - place):
            break
        differs[index] = True
    return [
        replace(m, differs=bool(d), informative=m.informative or bool(d))
        for m, d in zip(measures, differs, strict=True)
    ]


def _verdict(label: str, measures: Sequence[JudgedDistance], conditions: int) -> str:
    """Where the two differ, by kind of distance, with the largest difference of each."""
    by_name: dict[str, list[JudgedDistance]] = {}
    for measure in measures:
        if measure.differs:
            by_name.setdefault(measure.name.partition(" in ")[0], []).append(measure)
    if not by_name:
        return f"{label}: no difference found in {len(measures)} distances over {conditions} conditions."
    words = []
    for name, those in by_name.items():
        worst = max(those, key=lambda m: m.distance)
        where = worst.name.partition(" in ")[2]
        numbers = f"{worst.distance:.2g} {worst.unit}".rstrip()
        if worst.test is not None and worst.reference is not None:
            numbers = f"{worst.test:.3g} for {worst.reference:.3g} {worst.unit}".rstrip()
        words.append(f"{name} in {len(those)} of {conditions} conditions (largest in {where}: {numbers})")
    return f"{label}: differs in {'; '.join(words)}."
