"""Words: what is as in a second run of the reference, what differs, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ddm2snn.fidelity.measures.measure import Kind
from ddm2snn.fidelity.report import JudgedDistance

_MOST_CHANGES = 4  # in a sentence [code]
_MOST_EVIDENCE = 3  # measures in a sentence [code]
_KEPT = 0.5  # of the distance of two tensors, below which their traces are alike [choice]
_NAMED_IN_CHANGES: tuple[Kind, ...] = ("deviation", "mean")  # with their numbers, so that evidence need not repeat them
_EXPLAIN_COURSE: tuple[Kind, ...] = ("period", "pace", "timing")  # a change of these changes the course as well


def verdict(label: str, measures: Sequence[JudgedDistance], failures: Mapping[str, Any] | None = None) -> str:
    """Say in plain words what is as in a second run of the reference and what differs; then give the numbers.

    The words follow from the aspects and kinds of the distances: see `Entry` and `Kind`.

    Parameters
    ----------
    label
        Name of the test.
    measures
        Distances with floor and whether they exceed chance.
    failures
        What `failure_shares` returned.

    Examples
    --------
    >>> from ddm2snn.fidelity.measures import Entry
    >>> entry = Entry("period", "oscillation period", "relative", coarse=0.2, kind="period", short="period")
    >>> slow = JudgedDistance(entry, 0.03, 0.01, None, 1000, 8, 6.18, 6.0, informative=True, differs=True)
    >>> verdict("brian2", [slow])
    'brian2: 3 % slower. Period 3.0 x floor.'
    """
    telling = [m for m in measures if m.informative]
    differing = [m for m in telling if m.differs]
    sentences = [_failed(failures)] if failures and failures["failed"] else []
    alike = _listed(_alike(telling, differing))
    same = f"{alike} as in a second run" if alike else ""
    if not telling:
        floor = "; ".join(map(_times, _leading(measures)))
        sentences.append(f"too few trials or samples to tell any difference from chance ({floor})")
    elif not differing:
        largest = _times(max(telling, key=lambda m: m.excess))
        sentences += [same, f"all {len(telling)} measures that can tell are within chance (largest: {largest})"]
    else:
        sentences += ["; ".join([*([same] if same else []), _changes(differing)]), _evidence(measures, differing)]
    mute = [_short(m) for m in measures if not m.informative]
    if mute and telling:
        sentences.append(f"at this sample size {_listed(mute)} cannot tell")
    first, *others = sentences
    return " ".join([f"{label}: {first}.", *(f"{words[:1].upper()}{words[1:]}." for words in others)])


def _prominent_first(measures: Sequence[JudgedDistance]) -> list[JudgedDistance]:
    return sorted(measures, key=lambda m: -m.entry.prominence)


def _leading(measures: Sequence[JudgedDistance]) -> list[JudgedDistance]:
    """Those that every verdict names."""
    return [m for m in _prominent_first(measures) if m.entry.leading]


def _of_kind(measures: Sequence[JudgedDistance], *kinds: Kind) -> list[JudgedDistance]:
    return [m for m in measures if m.entry.kind in kinds]


def _alike(telling: Sequence[JudgedDistance], differing: Sequence[JudgedDistance]) -> list[str]:
    """Aspects in which no measure differs, each once."""
    off = {m.entry.about for m in differing}
    if any(m.entry.kind in _EXPLAIN_COURSE for m in differing):
        off.add("timing")  # in which another measure may be blind to it
    return [about for about in dict.fromkeys(m.entry.about for m in telling) if about not in off]


def _changes(differing: Sequence[JudgedDistance]) -> str:
    """What has changed, from the numbers that differ; else the kind of change."""
    states, course = _of_kind(differing, "states"), _of_kind(differing, "course")
    periods, paces = _of_kind(differing, "period"), _of_kind(differing, "pace")
    if periods:
        words = [_speed(_relative(period)) for period in periods]
    else:
        words = [_changed(pace) if states else _speed(-_relative(pace)) for pace in paces]
    words += _ranged(_of_kind(differing, "deviation"), ("wider", "narrower"), lambda places: f"latent{places}")
    words += [_shifted(m) for m in _of_kind(differing, "mean")]
    at_lags = _of_kind(differing, "lag")
    for subject in dict.fromkeys(m.entry.subject for m in at_lags):
        its = [m for m in at_lags if m.entry.subject == subject]
        words += _ranged(its, ("larger", "smaller"), lambda places, about=its[0].entry.about: f"{about} at lag{places}")
    words += [_changed(m) for m in _prominent_first(_of_kind(differing, "change", "timing"))]
    if not words and states:
        words.append("its states lie elsewhere")
    if course and not _of_kind(differing, *_EXPLAIN_COURSE):
        words.append("its course in time differs")
    drifts = _of_kind(differing, "drift")
    if not words or (drifts and not periods and not paces):
        second = [f" by {_percent(m.distance)}, that of a second run by {_percent(m.floor)}" for m in drifts]
        words.append(f"its mean velocity (drift) differs{''.join(second[:1])}")
    return _listed(words[:_MOST_CHANGES] + (["more"] if len(words) > _MOST_CHANGES else []))


def _evidence(measures: Sequence[JudgedDistance], differing: Sequence[JudgedDistance]) -> str:
    """The leading distances and the largest others that differ; then the leading ones at the floor."""
    leading = _leading(differing)
    others = sorted((m for m in differing if m not in leading and m.entry.kind not in _NAMED_IN_CHANGES),
                    key=lambda m: -m.excess)  # fmt: skip
    first_of = {m.entry.subject if m.entry.kind == "lag" else m.name: m for m in reversed(others)}  # of several lags
    shown = leading + [m for m in others if m in first_of.values()][: max(0, _MOST_EVIDENCE - len(leading))]
    if not shown:
        shown = sorted(differing, key=lambda m: -m.excess)[:2]
    text = ", ".join(map(_times, shown))
    at_floor = [_short(m) for m in _leading(measures) if m.informative and m not in leading]
    if at_floor:
        text += f" while {_listed(at_floor)} {'is' if len(at_floor) == 1 else 'are'} at the floor"
    return text


def _speed(change: float) -> str:
    """In words, from the relative change of a period."""
    return f"{_percent(change)} {'slower' if change > 0 else 'faster'}"


def _ranged(measures: Sequence[JudgedDistance], signs: tuple[str, str], named: Callable[[str], str]) -> list[str]:
    """Latents or lags of which a number is larger, then those of which it is smaller, each with the changes.

    Last come those of a tensor whose trace is kept while its parts are not.
    """
    words = []
    turned = [m for m in measures if m.unit == "relative" and abs(_relative(m)) < _KEPT * m.distance]
    for sign, what in ((1, signs[0]), (-1, signs[1]), (0, "off by direction")):
        those = [m for m in measures if m not in turned and sign * _relative(m) > 0] if sign else turned
        if those:
            places = f"{'s' if len(those) > 1 else ''} {_listed([_place(m) for m in those])}"
            sizes = sorted(abs(_relative(m)) if sign else m.distance for m in those)
            low, high = _percent(sizes[0]), _percent(sizes[-1])
            size = low if low == high else f"{low[:-2]} to {high}"
            words.append(f"{named(places)} {size} {what}")
    return words


def _place(measure: JudgedDistance) -> str:
    """The latent or the lag that a number is about, from a name such as ``sd_0``."""
    return measure.name.rpartition("_")[2]


def _shifted(measure: JudgedDistance) -> str:
    sign = "higher" if (measure.test or 0.0) > (measure.reference or 0.0) else "lower"
    return f"latent {_place(measure)} {measure.distance:.2g} sd {sign}"


def _changed(measure: JudgedDistance) -> str:
    subject = measure.entry.subject or _short(measure)
    if measure.test is None or not measure.reference:
        relative = measure.unit in ("", "relative")
        return f"{subject} {_percent(measure.distance) if relative else f'{measure.distance:.2g} {measure.unit}'} off"
    change = _relative(measure)
    return f"{subject} {_percent(change)} {'larger' if change > 0 else 'smaller'}"


def _relative(measure: JudgedDistance) -> float:
    return (measure.test or 0.0) / measure.reference - 1.0 if measure.reference else measure.distance


def _percent(change: float) -> str:
    return f"{100 * abs(change):.2g} %" if abs(change) < 0.995 else f"{100 * abs(change):.0f} %"


def _times(measure: JudgedDistance) -> str:
    return f"{_short(measure)} {measure.excess:.1f} x floor"


def _short(measure: JudgedDistance) -> str:
    return measure.entry.short or measure.label


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _failed(failures: Mapping[str, Any]) -> str:
    kinds = {"died": "died", "escaped": "escaped", "lost_mode": "lost a mode"}
    recordings = failures["recordings"]
    parts = [f"{round(failures[kind] * recordings)} {words}" for kind, words in kinds.items() if failures[kind]]
    return f"of {recordings} recording{'s' if recordings > 1 else ''}, {_listed(parts)}"
