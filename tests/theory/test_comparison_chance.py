"""Floors, intervals and verdicts where nothing differs; planted changes; recordings out of the ordinary."""

# pyright: reportArgumentType=false
# there are wells, so that there is a measure

import numpy as np
import pytest
from planted_changes import CHANGES, EVERY, ornstein_uhlenbeck, planted

import ddm2snn
from ddm2snn.fidelity.chance import find_chance
from ddm2snn.fidelity.compare import compare_each
from ddm2snn.fidelity.measures import Entry, Measure, ReferenceSamples
from ddm2snn.fidelity.measures.moments import Moments
from ddm2snn.fidelity.measures.switching import Switching
from ddm2snn.fidelity.reference import Reference
from ddm2snn.workflow.report import Page

WELLS = np.array([[-1.0, 0.0], [1.0, 0.0]])


def recording(samples, every=EVERY):
    return ddm2snn.Recording.from_arrays(samples, every=every, time_unit_s=0.1)


def small(seed, trials=16, samples=300, **change):
    return recording(ornstein_uhlenbeck(seed, trials=trials, samples=samples, **change))


def test_a_floor_from_splits_is_the_mean_over_independent_pairs():
    # one latent's mean: |difference of two means of 16 trials|, whose expectation is 2 / sqrt(pi) times their deviation
    rng = np.random.default_rng(1)
    floors, distances = [], []
    for _ in range(60):
        offset = rng.standard_normal((48, 1, 1))
        samples = offset + 0.1 * rng.standard_normal((48, 64, 1))
        moments = Moments(np.zeros(1), np.ones(1))
        floors.append(find_chance(moments, moments.summarise(samples), 16, 3, 0).floor[1])
        distances.append(abs(samples[:16].mean() - samples[16:32].mean()))
    expected = 2 / np.sqrt(np.pi) / 4
    # 48 trials know their deviation to a tenth, over 60 repeats to 0.013; a single pair to 0.76, to 0.1
    assert np.mean(floors) == pytest.approx(expected, rel=0.05)
    assert np.std(floors) < 0.3 * np.std(distances)


def test_one_recording_extrapolates_to_the_same_floor():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(60):
        samples = rng.standard_normal((16, 1, 1)) + 0.1 * rng.standard_normal((16, 64, 1))
        moments = Moments(np.zeros(1), np.ones(1))
        found.append(find_chance(moments, moments.summarise(samples), 16, 1, 0).floor[1])
    assert np.mean(found) == pytest.approx(2 / np.sqrt(np.pi) / 4, rel=0.1)


@pytest.fixture(scope="module")
def nothing_planted():
    """Ten comparisons of independent runs of one process; `tests/benchmarks/calibration.py` does more."""
    reports = []
    for i in range(5):
        runs = [ornstein_uhlenbeck(100 * i + k, trials=16, samples=300) for k in range(4)]
        reference = Reference(ReferenceSamples.of(runs[:2], EVERY), i)
        reports += [reference.judge([run])[0] for run in runs[2:]]
    return reports


def test_without_a_difference_the_excess_is_one_and_its_interval_holds_one(nothing_planted):
    excess = np.array([[m.excess for m in measures] for measures in nothing_planted])
    covered = [m.excess_interval[0] <= 1 <= m.excess_interval[1] for measures in nothing_planted for m in measures]
    # 17 correlated measures of ten comparisons with a relative scatter of 0.5 or less
    assert excess.mean() == pytest.approx(1.0, abs=0.25)
    assert np.mean(covered) > 0.85


def test_without_a_difference_hardly_any_verdict_cries_wolf(nothing_planted):
    # at 5 % or fewer, three or more of ten happen once in a hundred
    assert sum(any(m.differs for m in measures) for measures in nothing_planted) <= 2


MEANT = {
    "drift 5 % slower": {"drift_scale": 0.05},
    "diffusion 20 % up": {"diffusion": 0.2, "diffusion_0.05": 0.2, "sd_1": np.sqrt(1.2) - 1},
    "mean shifted": {"mean_0": 0.1 / 0.379},
    "rotation added": {},
}
BLIND = {
    "drift 5 % slower": ("mean_0", "mean_1", "diffusion", "diffusion_0.05", "ripple"),
    "diffusion 20 % up": ("d_h", "autocorrelation", "mean_0", "mean_1", "drift_scale"),
    "mean shifted": ("d_h", "autocorrelation", "sd_0", "sd_1", "diffusion", "diffusion_0.05", "ripple"),
    "rotation added": ("mean_0", "mean_1", "diffusion_0.05"),  # noise is turned in the longer lags of the fit
}
SEEN = {
    "drift 5 % slower": ("drift_scale",),
    "diffusion 20 % up": ("diffusion", "sd_0", "sd_1", "sliced_wasserstein"),
    "mean shifted": ("mean_0", "sliced_wasserstein", "mmd", "c2st_point"),
    "rotation added": ("d_h", "autocorrelation", "drift", "entropy_production_0.05", "entropy_production_0.1"),
}


@pytest.fixture(scope="module")
def reference():
    return Reference(ReferenceSamples.of([planted(seed=s) for s in range(3)], EVERY), 0)


@pytest.mark.parametrize("change", CHANGES)
def test_a_planted_change_is_seen_with_its_size_and_blind_measures_stay_at_the_floor(reference, change):
    found = {m.name: m for m in reference.judge([planted(change, seed=9)])[0]}
    for name, size in MEANT[change].items():
        low, high = found[name].interval
        assert low <= size <= high, name
    assert [name for name in SEEN[change] if not found[name].differs] == []
    assert [name for name in BLIND[change] if found[name].differs] == []


class TestOutOfTheOrdinary:
    def test_a_dead_latent_of_the_test_is_a_distance_not_an_error(self):
        still = small(3).samples.copy()
        still[..., 1] = 0.3
        report = ddm2snn.compare(small(1), recording(still), floor=small(2))
        assert report["sd_1"].distance == pytest.approx(1.0)
        assert report["d_h"].distance > 0.5
        assert report["d_h"].differs

    def test_a_test_far_away_is_a_distance_not_an_error(self):
        report = ddm2snn.compare(small(1), recording(small(3).samples + 100.0), floor=small(2))
        assert report["mean_0"].differs
        assert report["sliced_wasserstein"].differs
        assert "drift" not in [m.name for m in report.measures]  # no cell that both visit
        assert "drift field" in " ".join(report.notes)

    def test_among_several_recordings_one_with_nan_counts_as_escaped(self):
        broken = small(4).samples.copy()
        broken[2, 50:] = np.nan
        report = ddm2snn.compare(small(1), [small(3), recording(broken)], floor=small(2), label="snn")
        assert report.failures["escaped"] == 0.5
        assert report["d_h"].recordings == 1
        assert "count as escaped" in " ".join(report.notes)
        assert report.verdict.startswith("snn: of 2 recordings, 1 escaped. ")

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("which", ["reference", "floor 1"])
    def test_a_reference_that_is_not_finite_is_refused(self, which, bad):
        broken = small(2).samples.copy()
        broken[3, 60, 1] = bad
        runs = {"reference": small(1), "floor 1": small(5), which: recording(broken)}
        with pytest.raises(ddm2snn.InputError, match=f"1 of 16 trials of the {which} recording hold NaN or infinity"):
            ddm2snn.compare(runs["reference"], small(3), floor=runs["floor 1"])

    def test_a_floor_of_another_rank_or_interval_is_refused_by_name(self):
        with pytest.raises(ddm2snn.InputError, match="The floor 1 recording has rank 1, the reference 2"):
            ddm2snn.compare(small(1), small(3), floor=recording(small(2).samples[..., :1]))
        with pytest.raises(
            ddm2snn.InputError, match=r"floor 1 recording is sampled each 0\.1 .* the reference each 0.05"
        ):
            ddm2snn.compare(small(1), small(3), floor=recording(small(2).samples, every=0.1))

    def test_a_test_of_one_trial_cuts_all_to_one(self, tmp_path):
        one = recording(small(3).samples[:1])
        with pytest.raises(ddm2snn.InputError, match="A single trial gives no floor"):
            ddm2snn.compare(small(1), one)
        report = ddm2snn.compare(small(1), one, floor=small(2), label="one")
        assert "Recordings differ in size; 1 trial of 300 samples are compared." in report.notes
        assert "Too few trials for intervals" in " ".join(report.notes)
        assert not any(m.differs or m.informative for m in report.measures)
        Page("", "", {"reference": small(1), "one": one}, [report], "").write(tmp_path)  # nothing of it needs more

    def test_a_constant_latent_of_a_floor_is_refused_and_rank_one_is_compared(self):
        still = small(2).samples * [1.0, 0.0]
        with pytest.raises(ddm2snn.InputError, match="Latent 1 of the floor 1 recording is constant"):
            ddm2snn.compare(small(1), small(3), floor=recording(still))
        single = [recording(small(seed).samples[..., :1]) for seed in (1, 2, 3)]
        report = ddm2snn.compare(single[0], single[1], floor=single[2])
        assert "current" not in [m.name for m in report.measures]
        assert not any(m.differs for m in report.measures)

    def test_other_lengths_of_floors_are_cut_too(self):
        report = ddm2snn.compare(small(1, samples=400), small(3), floor=small(2, trials=12, samples=350))
        assert "Recordings differ in size; 12 trials of 300 samples are compared." in report.notes
        assert {m.samples for m in report.measures} == {12 * 270}

    def test_one_seed_for_reference_and_test_is_named_in_a_note(self):
        def seeded(process, seed, **provenance):
            samples = small(process).samples
            return ddm2snn.Recording.from_arrays(
                samples, every=EVERY, time_unit_s=0.1, provenance={"seed": seed, **provenance}
            )

        network, target = {"network": "abc"}, {"system": "ornsteinuhlenbeck"}
        reference, floor = seeded(1, 7, **network), seeded(2, 8, **network)
        tests = {"same": seeded(3, 7, **network), "own": seeded(4, 9, **network), "target": seeded(5, 7, **target)}
        same, own, other = compare_each(reference, {**tests, "unknown": small(6)}, floor=floor)[:3]
        assert same.notes == (
            "reference, test (same) were simulated with the same seed 7: their trials start from the same states, so "
            "they are not independent. Give each its own `seed`.",
        )
        assert own.notes == other.notes == ()

    def test_only_recordings_with_nan_are_refused(self):
        broken = np.full((16, 300, 2), np.nan)
        with pytest.raises(ddm2snn.InputError, match="16 of 16 trials of the test 1 recording hold NaN"):
            ddm2snn.compare(small(1), [recording(broken), recording(broken)], floor=small(2))

    def test_the_reference_is_no_floor_of_itself(self):
        with pytest.raises(ddm2snn.InputError, match="The floor 1 recording is the reference itself"):
            ddm2snn.compare(small(1), small(2), floor=small(1))

    def test_no_test_at_all(self):
        with pytest.raises(ddm2snn.InputError, match="no test recording"):
            ddm2snn.compare(small(1), [])

    def test_wells_of_another_shape(self):
        with pytest.raises(ddm2snn.InputError, match=r"wells must be two or more finite centres of shape \(well, 2\)"):
            ddm2snn.compare(small(1), small(2), wells=np.zeros((1, 2)))

    def test_an_unknown_measure_lists_the_known(self):
        report = ddm2snn.compare(small(1, trials=2), small(2, trials=2))
        with pytest.raises(
            ddm2snn.InputError, match=r"no measure 'kl'; it has sliced_wasserstein, wasserstein, d_stsp"
        ):
            report["kl"]
        assert not any(m.informative for m in report.measures)
        assert "too few trials" in report.verdict

    def test_wells_give_dwell_times(self):
        rng = np.random.default_rng(5)
        flips = rng.random((3, 16, 2000)) < 0.01
        sign = np.where(np.cumsum(flips, axis=2) % 2, -1.0, 1.0)
        noise = 0.1 * rng.standard_normal((2, 3, 16, 2000))
        a, b, c = (recording(np.stack([s + n, m], axis=-1)) for s, n, m in zip(sign, *noise, strict=True))
        report = ddm2snn.compare(a, c, floor=b, wells=WELLS, burn_in=0)
        # a flip per hundred samples of 0.05
        assert report["dwell"].reference == pytest.approx(5.0, rel=0.2)
        assert not report["dwell"].differs


class _Sparse(Measure):
    """The mean of the trials, and the same only where `share` of all selections have it."""

    def __init__(self, share):
        self.share, self.rng = share, np.random.default_rng(0)

    @property
    def entries(self):
        return tuple(Entry(name, name, "", coarse=10.0, kind="change") for name in ("always", "sometimes"))

    def summarise(self, samples):
        return samples.mean(axis=(1, 2))

    def distances(self, test, reference):
        apart = abs(float(test - reference))
        return apart, apart if self.rng.random() < self.share else np.nan


@pytest.mark.parametrize(("runs", "share"), [(1, 0.5), (2, 0.5), (4, 0.5), (1, 0.05)])
def test_a_split_without_a_distance_is_no_split_without_a_deviation(runs, share):
    samples = np.random.default_rng(3).standard_normal((16 * runs, 64, 1))
    sparse = _Sparse(share)
    chance = find_chance(sparse, sparse.summarise(samples), 16, runs, 0)
    always, sometimes = chance.deviation
    if share < 0.1:  # 12 of 240 pretended comparisons
        assert np.isnan(sometimes)
        assert chance.known.tolist() == [True, False]
    else:  # of half as many comparisons at least, each mean being over fewer references
        assert 0.8 * always < sometimes < 1.6 * always
        assert sometimes == pytest.approx(chance.scatter[np.isfinite(chance.scatter[:, 1]), 1].std(ddof=1))


def flips(seed, rate, trials=16, samples=1000):
    """Two wells at -1 and 1, left with this probability per sample."""
    rng = np.random.default_rng(seed)
    sign = np.where(np.cumsum(rng.random((trials, samples)) < rate, axis=1) % 2, -1.0, 1.0)
    return np.stack([sign + 0.1 * rng.standard_normal(sign.shape), rng.standard_normal(sign.shape)], axis=-1)


@pytest.mark.parametrize(("rate", "fewest"), [(0.0015, 0), (0.0026, 10)])  # 12 and 21 departures from each well
def test_wells_that_are_seldom_left_raise_no_false_alarm(rate, fewest):
    alarms, told = 0, 0
    for pair in range(40):
        reference = Reference(ReferenceSamples(flips(2 * pair, rate), 16, EVERY, WELLS), pair)
        switching = reference.prepare(Switching.of(reference.samples))
        only = Reference(reference.samples, pair)
        only.__dict__["prepared"] = [switching]
        found, _ = only.judge([flips(2 * pair + 1, rate)])
        told += sum(m.informative for m in found)
        alarms += sum(m.differs for m in found)
    assert told >= fewest
    assert alarms <= 3  # at 2 % each, four of forty happen once in a hundred
