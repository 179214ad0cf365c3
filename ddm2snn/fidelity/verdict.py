"""Words: where two processes differ, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ddm2snn.fidelity.failure import FailureShares
from ddm2snn.fidelity.report import Measure

_SHAPE = ("d_stsp", "d_stsp_min_max", "sliced_wasserstein", "wasserstein", "mmd", "c2st_point")
_COURSE = ("d_h", "d_h_smoothed", "autocorrelation", "c2st_segment", "transitions")
_SHORT = {
    "sliced_wasserstein": "sliced Wasserstein",
    "wasserstein": "exact Wasserstein",
    "d_stsp": "D_stsp",
    "d_stsp_min_max": "D_stsp (min to max)",
    "mmd": "MMD",
    "c2st_point": "classifier on states",
    "c2st_segment": "classifier on segments",
    "d_h": "D_H",
    "d_h_smoothed": "D_H (smoothed)",
    "autocorrelation": "autocorrelation",
    "period": "period",
    "phase_diffusion": "phase diffusion",
    "drift": "drift",
    "drift_scale": "drift along the reference's",
    "diffusion": "diffusion",
    "entropy_production": "entropy production",
    "current": "probability current",
    "dwell": "dwell times",
    "transitions": "transitions",
}
_CHANGES = ("diffusion", "phase_diffusion", "entropy_production", "current", "dwell")
_MOST = 4  # changes named
_LEADING = ("d_h", "d_stsp", "sliced_wasserstein")  # named in every verdict, since all of these are in use


def verdict(label: str, measures: Sequence[Measure], failures: FailureShares | None = None) -> str:
    """Say in one to three sentences where a test differs from its reference.

    Parameters
    ----------
    label
        Name of the test.
    measures
        Distances with floor and whether they exceed chance.
    failures
        Shares of recordings that failed.
    """
    by_name = {m.name: m for m in measures}
    telling = [m for m in measures if m.informative]
    differing = [m for m in telling if m.differs]
    sentences = [_failed(failures)] if failures and failures.failed else []
    if not telling:
        floor = "; ".join(_times(by_name[name]) for name in _LEADING if name in by_name)
        sentences.append(f"too few trials or samples to tell any difference from chance ({floor})")
    elif not differing:
        worst = max(telling, key=lambda m: m.excess)
        words = f"no difference found, all {len(telling)} measures that can tell are within chance"
        sentences.append(f"{words} (largest: {_times(worst)})")
    else:
        sentences.append(f"{_how(by_name, differing)}: {_evidence(by_name, differing)}")
    mute = [_short(m) for m in measures if not m.informative]
    if mute and telling:
        sentences.append(f"at this sample size {_listed(mute)} cannot tell")
    first, *others = sentences
    return " ".join([f"{label}: {first}.", *(f"{words[:1].upper()}{words[1:]}." for words in others)])


def _how(by_name: Mapping[str, Measure], differing: Sequence[Measure]) -> str:
    """What has changed, from the numbers that differ; else the kind of change."""
    names = {m.name for m in differing}
    words = []
    if "period" in names:
        words.append(_speed(_relative(by_name["period"])))
    elif "drift_scale" in names:
        scale = by_name["drift_scale"]
        same_shape = not names & set(_SHAPE)
        words.append(_speed(-_relative(scale)) if same_shape else _changed(scale))
    words += _widths([m for m in differing if m.name.startswith("sd_")])
    words += [_shifted(m) for m in differing if m.name.startswith("mean_")]
    words += [_changed(by_name[name]) for name in _CHANGES if name in names]
    if not words and names & set(_SHAPE):
        words.append("its states lie elsewhere")
    if names & set(_COURSE) and not names & {"period", "drift_scale", "dwell", "phase_diffusion"}:
        words.append("its course in time differs")
    if not words or ("drift" in names and not names & {"period", "drift_scale"}):
        words.append("its drift field differs")
    return _listed(words[:_MOST] + (["more"] if len(words) > _MOST else []))


def _evidence(by_name: Mapping[str, Measure], differing: Sequence[Measure]) -> str:
    """The leading measures and the largest others that differ; then those at the floor."""
    names = [m.name for m in differing]
    leading = [name for name in _LEADING if name in names]
    others = sorted((m for m in differing if m.name not in _LEADING and m.name in _SHORT), key=lambda m: -m.excess)
    shown = [by_name[name] for name in leading] + others[: max(0, 3 - len(leading))]
    calm = [m for name in _LEADING if name not in names and (m := by_name.get(name)) and m.informative]
    if not shown:
        shown = sorted(differing, key=lambda m: -m.excess)[:2]
    text = ", ".join(_times(m) for m in shown)
    if calm:
        text += f" while {_listed([_short(m) for m in calm])} {'is' if len(calm) == 1 else 'are'} at the floor"
    return text


def _speed(change: float) -> str:
    """In words, from the relative change of a period."""
    return f"{_percent(change)} {'slow' if change > 0 else 'fast'}"


def _widths(deviations: Sequence[Measure]) -> list[str]:
    """Latents that are wider, and those that are narrower, each with their changes."""
    words = []
    for sign, what in ((1, "wider"), (-1, "narrower")):
        chosen = [m for m in deviations if sign * _relative(m) > 0]
        if chosen:
            latents = _listed([m.name.removeprefix("sd_") for m in chosen])
            changes = sorted(abs(_relative(m)) for m in chosen)
            size = _percent(changes[0]) if _percent(changes[0]) == _percent(changes[-1]) else (
                f"{_percent(changes[0])[:-2]} to {_percent(changes[-1])}"
            )  # fmt: skip
            words.append(f"latent{'s' if len(chosen) > 1 else ''} {latents} {size} {what}")
    return words


def _shifted(measure: Measure) -> str:
    sign = "up" if (measure.test or 0.0) > (measure.reference or 0.0) else "down"
    return f"latent {measure.name.removeprefix('mean_')} {measure.distance:.2g} sd {sign}"


def _changed(measure: Measure) -> str:
    what = "drift" if measure.name == "drift_scale" else measure.label.replace(" (trace)", "").removesuffix(" rate")
    what = "dwell times" if measure.name == "dwell" else what
    if measure.test is None or not measure.reference:
        return f"{what} {_percent(measure.distance)} off"
    change = _relative(measure)
    return f"{what} {_percent(change)} {'up' if change > 0 else 'down'}"


def _relative(measure: Measure) -> float:
    return (measure.test or 0.0) / measure.reference - 1.0 if measure.reference else measure.distance


def _percent(change: float) -> str:
    return f"{100 * abs(change):.2g} %" if abs(change) < 0.995 else f"{100 * abs(change):.0f} %"


def _times(measure: Measure) -> str:
    return f"{_short(measure)} {measure.excess:.1f} x floor"


def _short(measure: Measure) -> str:
    return _SHORT.get(measure.name, measure.label)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _failed(failures: FailureShares) -> str:
    counts = {"died": failures.died, "escaped": failures.escaped, "lost a mode": failures.lost}
    parts = [f"{round(share * failures.recordings)} {what}" for what, share in counts.items() if share]
    return f"of {failures.recordings} recording{'s' if failures.recordings > 1 else ''}, {_listed(parts)}"
