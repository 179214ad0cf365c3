"""Verdicts in words, from measures made by hand."""

import numpy as np
import pytest

from ddm2snn.fidelity.measures import ReferenceSamples, measures_of
from ddm2snn.fidelity.report import FidelityReport, JudgedDistance, as_lines
from ddm2snn.fidelity.verdict import verdict


def all_entries():
    """Entries of every measure, by name: of a noisy rotation through three wells."""
    rng = np.random.default_rng(0)
    phase = np.cumsum(0.1 + 0.05 * rng.standard_normal((16, 400)), axis=1)
    wells = np.array([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]])
    reference = ReferenceSamples(np.stack([np.cos(phase), np.sin(phase)], axis=-1), 16, 0.1, wells)
    return {entry.name: entry for measure in measures_of(reference) for entry in measure.entries}


ENTRIES = all_entries()


def measure(name, excess=1.0, *, differs=False, informative=True, test=None, reference=None):
    return JudgedDistance(
        ENTRIES[name], distance=0.01 * excess, floor=0.01, interval=(0.0, 0.02), samples=100, trials=8, test=test,
        reference=reference, floor_high=0.02, excess_interval=(0.5, 1.5), informative=informative, differs=differs,
    )  # fmt: skip


LEADING = [measure("d_h"), measure("d_stsp"), measure("sliced_wasserstein")]


def test_a_slow_copy_in_the_right_place():
    found = verdict("brian2", [
        measure("d_h", 2.1, differs=True), measure("d_stsp", 1.1), measure("sliced_wasserstein", 0.9),
        measure("period", 5.0, differs=True, test=6.8, reference=6.8 / 1.02),
    ])  # fmt: skip
    assert found == (
        "brian2: shape as in a second run; 2 % slower. "
        "D_H 2.1 x floor, period 5.0 x floor while D_stsp and sliced Wasserstein are at the floor."
    )


def test_without_a_period_the_drift_tells_the_speed():
    slow = measure("drift_scale", 9.0, differs=True, test=0.95, reference=1.0)
    words = "x: shape as in a second run; 5 % slower. Drift along the reference's 9.0 x floor while D_H, "
    assert verdict("x", [*LEADING, slow]).startswith(words)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ([measure("sd_0", 9, differs=True, test=1.2, reference=1.0)], "latent 0 20 % wider"),
        (
            [measure(f"sd_{c}", 9, differs=True, test=0.9 - c / 10, reference=1.0) for c in (0, 1)],
            "latents 0 and 1 10 to 20 % narrower",
        ),
        ([measure("mean_1", 30, differs=True, test=1.0, reference=0.7)], "latent 1 0.3 sd higher"),
        (
            [measure("diffusion", 9, differs=True, test=1.2, reference=1.0)],
            "diffusion without ripple 20 % larger",
        ),
        ([measure("diffusion_0.1", 9, differs=True, test=1.2, reference=1.0)], "noise at lag 0.1 20 % larger"),
        (
            [measure("diffusion_0.1", 9, differs=True, test=1.001, reference=1.0)],
            "noise at lag 0.1 9 % off by direction",
        ),
        (
            [
                measure("diffusion_0.1", 9, differs=True, test=1.8, reference=1.0),
                measure("diffusion_0.5", 9, differs=True, test=1.2, reference=1.0),
                measure("diffusion_1", 9, differs=True, test=0.5, reference=1.0),
                measure("entropy_production_0.1", 9, differs=True, test=0.7, reference=1.0),
                measure("entropy_production_0.2", 9, differs=True, test=0.9, reference=1.0),
            ],
            "noise at lags 0.1 and 0.5 20 to 80 % larger, noise at lag 1 50 % smaller and "
            "irreversibility at lags 0.1 and 0.2 10 to 30 % smaller",
        ),
        ([measure("ripple", 9, differs=True)], "ripple 0.09 time units off"),
        ([measure("mmd", 9, differs=True)], "its states lie elsewhere"),
        ([measure("autocorrelation", 9, differs=True)], "its course in time differs"),
        ([measure("drift", 9, differs=True)], "its mean velocity (drift) differs by 9 %, that of a second run by 1 %"),
    ],
)
def test_each_change_has_its_words(changed, words):
    found = verdict("x", [*LEADING, *changed])
    assert f" as in a second run; {words}. " in found
    assert changed[0].entry.about not in found.partition(" as in")[0]


def test_several_lags_are_one_piece_of_evidence():
    lags = [measure(f"diffusion_{lag}", 20 - i, differs=True, test=1.2, reference=1.0)
            for i, lag in enumerate((0.1, 0.5, 1))]  # fmt: skip
    production = measure("entropy_production_0.1", 5, differs=True, test=0.9, reference=1.0)
    words = "Diffusion at lag 0.1 20.0 x floor, entropy production at lag 0.1 5.0 x floor while "
    assert words in verdict("x", [*LEADING, *lags, production])


def test_nothing_found_names_the_largest_excess_and_what_cannot_tell():
    found = verdict("x", [*LEADING, measure("mmd", 1.4), measure("dwell", 8.0, informative=False)])
    assert found == (
        "x: timing and shape as in a second run. "
        "All 4 measures that can tell are within chance (largest: MMD 1.4 x floor). "
        "At this sample size dwell times cannot tell."
    )


def test_too_few_trials_say_so():
    found = verdict("x", [measure("d_h", 3.0, informative=False)])
    assert found == "x: too few trials or samples to tell any difference from chance (D_H 3.0 x floor)."


def test_failures_come_first():
    shares = {"died": 0.3, "escaped": 0.1, "lost_mode": 0.0, "failed": 0.4, "recordings": 10}
    assert verdict("x", LEADING, shares).startswith("x: of 10 recordings, 3 died and 1 escaped. Timing and shape as in")


def test_lines_mark_what_differs_and_what_cannot_tell():
    report = FidelityReport(
        "x", (measure("d_h", 2, differs=True), measure("mmd", informative=False)), "", 0.0, verdict="x: 2 % slower."
    )
    first, _, differs, mute = as_lines(report.as_json())
    assert first == "x: 2 % slower."
    assert differs.endswith("0.5 - 1.5  differs")
    assert mute.endswith("cannot tell")


def test_every_entry_has_words_of_its_own():
    shorts = [entry.short or entry.label for entry in ENTRIES.values()]
    assert len(ENTRIES) == 28
    assert len(set(shorts)) == len(ENTRIES)
    about = {"shape", "timing", "period", "drift", "noise", "irreversibility"}
    assert {entry.about for entry in ENTRIES.values()} == about
    for name in ENTRIES:
        assert "9.0 x floor" in verdict("x", [measure(name, 9, differs=True, test=1.2, reference=1.0)])
