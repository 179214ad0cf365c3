"""Recordings in the formats of the field and back: to the last bit where they are ours, by their axes where not."""

# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import dataclasses
import random
import warnings
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import ddm2snn
from ddm2snn import InputError, Recording, Spikes
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange.foreign_arrays import hdf5_parts
from ddm2snn.exchange.recording_formats import header_of
from ddm2snn.fidelity.spikes import recorded_statistics

# Neo, HDMF and their libraries call NumPy and pandas by old names: theirs to repair, no error of ours
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:Some epochs have no duration",
    "ignore:divide by zero",  # of pynapple, for a unit of one spike
)
NEEDS = {"neo": ("neo", "nixio"), "nwb": ("pynwb",), "nir": ("nir",), "csv": (), "parquet": ("pyarrow",)}
SUFFIX = {"neo": "nix"}
OF_A_STEP = 0.1  # of what the latents move in a step: a simulator holds what spikes decode over each


def needs(form):
    for name in NEEDS[form]:
        pytest.importorskip(name, reason=f"{name} is no part of ddm2snn[test]")


@pytest.fixture(scope="module")
def run(quick_spiking):
    """Three trials with spikes, and with conditions by their names."""
    still = np.zeros((1, quick_spiking.input_map.shape[1]))
    named = {name: ddm2snn.Stimulus(times=np.array([1.0]), values=still) for name in "abc"}
    stimulus = ddm2snn.Stimulus.of_trials(named)
    return ddm2snn.simulate(quick_spiking, duration=12, every=0.1, seed=4, stimulus=stimulus, spikes=True)


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    """File of the run in a format, written once."""
    folder, files = tmp_path_factory.mktemp("formats"), {}

    def write(form):
        needs(form)
        if form not in files:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                files[form] = ddm2snn.export(run, folder / f"run.{SUFFIX.get(form, form)}", format=form).files
        return files[form][0]

    return write


def same(recording, other):
    """Whether two recordings agree to the last bit, with what they know of themselves."""
    assert recording.fingerprint == other.fingerprint  # latents, times, outputs and spikes
    assert recording.provenance == other.provenance
    assert recording.latent.coords.keys() == other.latent.coords.keys()
    for name, axis in other.latent.coords.items():
        assert_array_equal(recording.latent[name], axis)
    assert recording.conditions.keys() == other.conditions.keys()


@pytest.mark.parametrize("form", ["neo", "nwb", "nir"])
def test_a_file_gives_the_recording_back_to_the_last_bit(run, written, form):
    assert run.spikes is not None
    assert len(run.spikes.time_s) > 1000
    assert list(run.conditions) == ["a", "b", "c"]
    same(ddm2snn.import_recording(written(form)), run)


@pytest.mark.parametrize("form", ["neo", "nwb", "nir"])
@pytest.mark.parametrize("case", ["no spikes", "silent", "outputs", "own times", "half precision"])
def test_recordings_of_all_kinds_come_back(recording_of, tmp_path, form, case):
    needs(form)
    none = np.zeros(0)
    recording = {
        "no spikes": lambda: recording_of(),
        "silent": lambda: dataclasses.replace(recording_of(), spikes=Spikes.sorted(none, none, none)),
        "outputs": lambda: recording_of(spikes=True, output=np.arange(36.0).reshape(2, 6, 3), time_scale=0.3),
        "own times": lambda: uneven(recording_of()),
        "half precision": lambda: Recording(recording_of().latent.astype(np.float32)),
    }[case]()
    path = tmp_path / f"run.{SUFFIX.get(form, form)}"
    assert ddm2snn.export(recording, path, format=form).lost == ()
    same(ddm2snn.import_recording(path), recording)


def uneven(recording):
    """The same with times that are no multiples of the first."""
    times = {name: ("time", recording.latent[name].values + 1 / 3) for name in ("time", "time_s")}
    return Recording(recording.latent.assign_coords(times))


def test_objects_give_the_recording_back(run):
    for library, make in (("neo", ddm2snn.to_neo), ("pynapple", ddm2snn.to_pynapple)):
        pytest.importorskip(library)
        same(ddm2snn.import_recording(make(run)), run)


def test_a_unit_id_stays_where_neurons_are_silent(run, written):
    neo = pytest.importorskip("neo")
    with neo.io.NixIO(str(written("neo")), "ro") as file:
        block = file.read_block()
    fired = np.unique(run.spikes.neuron)
    assert [segment.annotations["condition"] for segment in block.segments] == ["a", "b", "c"]
    for trial, segment in enumerate(block.segments):
        assert [train.annotations["neuron"] for train in segment.spiketrains] == fired.tolist()
        assert_array_equal(segment.analogsignals[0].magnitude, run.samples[trial])
        for train in segment.spiketrains:
            own = (run.spikes.neuron == train.annotations["neuron"]) & (run.spikes.trial == trial)
            assert_array_equal(train.rescale("s").magnitude, run.spikes.time_s[own])


def test_pynapple_reads_the_nwb_file_and_finds_each_trial(run, written):
    nap = pytest.importorskip("pynapple")
    content = nap.load_file(str(written("nwb")))
    trials, units, latents = content["trials"], content["units"], content["latents"]
    assert len(trials) == run.trials
    assert sorted(units.keys()) == np.unique(run.spikes.neuron).tolist()
    for trial in range(run.trials):
        assert_array_equal(latents.restrict(trials[trial]).values, run.samples[trial])
        count = sum(len(units.restrict(trials[trial])[unit]) for unit in units.keys())  # noqa: SIM118 - no dict
        assert count == np.sum(run.spikes.trial == trial)
    assert list(trials["condition"]) == ["a", "b", "c"]


def test_nwb_is_valid_and_its_inspector_has_nothing_critical(written):
    pynwb, inspector = pytest.importorskip("pynwb"), pytest.importorskip("nwbinspector")
    path = str(written("nwb"))
    assert not pynwb.validate(path=path)
    messages = list(inspector.inspect_nwbfile(nwbfile_path=path))
    severe = {inspector.Importance.CRITICAL, inspector.Importance.ERROR, inspector.Importance.PYNWB_VALIDATION}
    assert [message for message in messages if message.importance in severe] == []
    assert any(message.check_function_name == "check_subject_species_exists" for message in messages)  # it did look


def test_nir_reads_its_data(run, written):
    nir = pytest.importorskip("nir")
    data = nir.read_data(written("nir"))
    events, latents = data.nodes["neurons"].observables["spikes"], data.nodes["latents"].observables["value"]
    assert_array_equal(latents.data, run.samples)
    assert latents.dt == pytest.approx(run.every * run.provenance["time_unit_s"])
    trial, place = np.nonzero(events.idx >= 0)
    assert_array_equal(events.time[trial, place], run.spikes.time_s)
    assert_array_equal(events.idx[trial, place], run.spikes.neuron)
    assert_array_equal(trial, run.spikes.trial)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_hold_every_number(run, written, form):
    import pandas

    path = written(form)
    read = {"csv": lambda file: pandas.read_csv(file, float_precision="round_trip"), "parquet": pandas.read_parquet}[
        form
    ]
    samples, spikes = read(path), read(path.with_name(f"run.spikes.{form}"))
    columns = [f"latent_{k}" for k in range(run.rank)]
    assert_array_equal(samples[columns].to_numpy().reshape(run.samples.shape), run.samples)
    assert_array_equal(samples["time_s"].to_numpy()[: run.samples.shape[1]], run.latent["time_s"])
    for name in ("time_s", "neuron", "trial"):
        assert_array_equal(spikes[name], getattr(run.spikes, name))
    if form == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        assert parquet.read_schema(path).metadata[b"ddm2snn"].decode() == header_of(run)


def test_csv_says_what_it_leaves_out(run, tmp_path):
    with pytest.warns(UserWarning, match="provenance and the fingerprint are left out"):
        assert len(ddm2snn.export(run, tmp_path / "run.csv", format="csv").lost) == 1


def test_a_table_of_others_is_not_written_over(run, refuses, tmp_path):
    (tmp_path / "run.spikes.csv").write_text("mine")
    with refuses(FileRefusedError, "run.spikes.csv", "no file of an export"):
        ddm2snn.export(run, tmp_path / "run.csv", format="csv")
    assert [path.name for path in tmp_path.iterdir()] == ["run.spikes.csv"]


# --- statistics of others


def test_elephant_has_our_statistics_of_the_same_spikes(run):
    elephant = pytest.importorskip("elephant.statistics")
    conversion, correlation = (pytest.importorskip(f"elephant.{n}") for n in ("conversion", "spike_train_correlation"))
    import quantities

    block, neurons = ddm2snn.to_neo(run), np.unique(run.spikes.neuron)
    ours = recorded_statistics(run, neurons=int(neurons.max()) + 1)
    trains = np.array([list(segment.spiketrains) for segment in block.segments], dtype=object)
    last = float(run.latent["time_s"][-1]) * quantities.s
    zero = 0 * quantities.s
    rates = [[elephant.mean_firing_rate(t, zero, last).item() if len(t) else 0.0 for t in row] for row in trains]
    np.testing.assert_allclose(np.mean(rates, axis=0), ours.rates_hz[neurons], rtol=1e-12)
    for column, neuron in enumerate(neurons):
        each = [elephant.isi(train.magnitude[train.magnitude <= last.item()]) for train in trains[:, column]]
        intervals = np.concatenate(each)
        if len(intervals) < 10:
            assert np.isnan(ours.variations[neuron])
        if np.isfinite(ours.variations[neuron]):
            # ours has the unbiased variance
            bias = np.sqrt(len(intervals) / (len(intervals) - 1))
            np.testing.assert_allclose(bias * elephant.cv(intervals), ours.variations[neuron], rtol=1e-12)
            pairs = [(elephant.cv2(part), len(part) - 1) for part in each if len(part) > 1]
            local = np.average([value for value, _ in pairs], weights=[count for _, count in pairs])
            np.testing.assert_allclose(local, ours.local_variations[neuron], rtol=1e-12)
    assert np.isfinite(ours.variations).sum() > 5
    edges = 0.00025 + 0.1 * np.arange(12)  # between the spikes of a grid of 0.0005 s
    first = run.spikes.trial == 0
    counts = np.stack([np.histogram(run.spikes.time_s[first & (run.spikes.neuron == n)], edges)[0] for n in neurons])
    active = counts.std(axis=1) > 0
    assert active.sum() > 20
    cut = [train.time_slice(*(edges[[0, -1]] * quantities.s)) for train in trains[0][active]]
    binned = conversion.BinnedSpikeTrain(cut, n_bins=11, bin_size=0.1 * quantities.s, t_start=edges[0] * quantities.s)
    assert_array_equal(binned.to_array(), counts[active])
    theirs = correlation.correlation_coefficient(binned)
    np.testing.assert_allclose(theirs, np.corrcoef(counts[active]), rtol=1e-9, atol=1e-12)


# --- recordings of others


def example_block(segments=6):
    """Block of Neo's own generator of examples: four signals of 10 kHz, and six spike trains."""
    datasets = pytest.importorskip("neo.test.generate_datasets")
    from neo.core import AnalogSignal, Block, Segment, SpikeTrain

    np.random.seed(3)  # noqa: NPY002 - the generator's own
    random.seed(3)
    return datasets.generate_one_simple_block(
        nb_segment=segments, supported_objects=[Block, Segment, AnalogSignal, SpikeTrain]
    )


def test_a_block_of_neos_own_examples_is_compared(tmp_path):
    neo, nixio = pytest.importorskip("neo"), pytest.importorskip("nixio")
    assert nixio is not None
    runs = []
    for number in range(2):
        block, path = example_block(), tmp_path / f"example-{number}.nix"
        with neo.io.NixIO(str(path), "ow") as file:
            file.write_block(block)
        read = ddm2snn.import_recording(path, signal="0", time_unit_s=0.1, every=0.1)
        in_memory = ddm2snn.import_recording(block, signal="sig 0 for segment seg0", time_unit_s=0.1, every=0.1)
        assert_array_equal(read.samples, in_memory.samples)
        assert_array_equal(read.samples[2, :, 0], block.segments[2].analogsignals[0].magnitude[::100, 0])
        first = block.segments[1].spiketrains[4]
        own = (read.spikes.neuron == 4) & (read.spikes.trial == 1)
        assert_array_equal(
            read.spikes.time_s[own], first.rescale("s").magnitude[first.rescale("s").magnitude <= 5.9999]
        )
        runs.append(read)
    other = np.random.default_rng(1).random((6, 600, 1)) ** 4
    report = ddm2snn.compare(runs[0], other, every=0.1, label="other")
    assert report["wasserstein"].differs
    again = ddm2snn.compare(runs[0], runs[1].samples[:, ::-1].copy(), every=0.1)
    assert not again["wasserstein"].differs


def test_spikes_of_others_are_decoded(quick_spiking, run):
    neo = pytest.importorskip("neo")
    block = neo.Block()
    for trial in range(run.trials):
        segment = neo.Segment()
        for neuron in range(quick_spiking.neurons):
            own = (run.spikes.neuron == neuron) & (run.spikes.trial == trial)
            segment.spiketrains.append(neo.SpikeTrain(run.spikes.time_s[own] * 1e3, units="ms", t_stop=1200.0))
        block.segments.append(segment)
    decoded = ddm2snn.import_recording(block, network=quick_spiking, every=0.1)
    expected = ddm2snn.latents_of_spikes(run.spikes, quick_spiking, duration=12, every=0.1)
    np.testing.assert_allclose(decoded.samples, expected.samples, atol=1e-9)
    assert decoded.provenance["decoders"] == quick_spiking.fingerprint


def test_latents_decoded_from_spikes_are_those_of_the_run(quick_spiking):
    # without noise and inputs the spikes are all that moves the latents
    quiet = dataclasses.replace(quick_spiking, diffusion_factor=np.zeros((2, 2)))
    run = ddm2snn.simulate(quiet, duration=10, every=0.05, trials=2, seed=1, spikes=True)
    decoded = ddm2snn.latents_of_spikes(run.spikes, quiet, duration=10, every=0.05, initial_latent=run.samples[:, 0])
    late = run.latent["time"].values > 6  # the rise starts from steady rates, and the decoding from zero
    per_step = np.abs(np.diff(run.samples, axis=1)).max(axis=(0, 1)) * quiet.dt_s / (0.05 * quiet.time_unit_s)
    assert (np.abs(decoded.samples - run.samples)[:, late].max(axis=(0, 1)) < OF_A_STEP * per_step).all()
    later = dataclasses.replace(run.spikes, time_s=run.spikes.time_s + quiet.dt_s)
    shifted = ddm2snn.latents_of_spikes(later, quiet, duration=10, every=0.05)
    assert (np.abs(shifted.samples - run.samples)[:, late].max(axis=(0, 1)) > OF_A_STEP * per_step).all()
    without = ddm2snn.latents_of_spikes(run.spikes, quiet, duration=10, every=0.05)
    assert np.abs(without.samples - run.samples)[:, 0].max() > np.abs(without.samples - run.samples)[:, -1].max()


@pytest.fixture
def animal(tmp_path):
    """An NWB file as a laboratory writes one: a position, a pupil, units and trials."""
    pynwb = pytest.importorskip("pynwb")
    rng, path = np.random.default_rng(0), tmp_path / "animal.nwb"
    file = pynwb.NWBFile("a session", "x", datetime(2020, 1, 1, tzinfo=UTC), notes="sunny")
    place = pynwb.behavior.SpatialSeries(
        name="place", data=np.cumsum(rng.standard_normal((1000, 2)), axis=0), reference_frame="corner", rate=50.0,
        starting_time=2.0, conversion=0.01,
    )  # fmt: skip
    module = file.create_processing_module("behavior", "where it went")
    module.add(pynwb.behavior.Position(spatial_series=place))
    times = np.arange(1000) / 50 + 2.0
    file.add_acquisition(pynwb.TimeSeries(name="pupil", data=rng.random(1000), unit="mm", timestamps=times))
    for start in (4.0, 10.0, 16.0):
        file.add_trial(start_time=start, stop_time=start + 5.0)
    for _ in range(3):
        file.add_unit(spike_times=np.sort(rng.uniform(0, 22, 100)))
    with pynwb.NWBHDF5IO(path, "w") as writer:
        writer.write(file)
    return path


def test_signals_and_spikes_of_an_animal_are_cut_into_its_trials(animal, refuses):
    with refuses(
        InputError, "does not say what its latents are", "'acquisition/pupil'", "Import it with one of them as signal"
    ):
        ddm2snn.import_recording(animal)
    place = ddm2snn.import_recording(animal, signal="place", time_unit_s=0.2)
    assert place.samples.shape == (3, 251, 2)
    with h5py.File(animal) as file:
        data = file["processing/behavior/Position/place/data"][:]
        spikes = file["units/spike_times"][:100]
    assert_array_equal(place.samples[0], data[100:351] * 0.01)
    assert place.every == pytest.approx(0.1)
    assert place.spikes is not None
    of_first = place.spikes.time_s[(place.spikes.neuron == 0) & (place.spikes.trial == 1)]
    assert_array_equal(of_first, spikes[(spikes >= 10) & (spikes <= 15)] - 10)
    pupil = ddm2snn.import_recording(animal, signal="acquisition/pupil")
    assert pupil.samples.shape == (3, 251, 1)
    assert place.provenance["format"] == "NWB"


MISTAKES = {
    "another interval": ({"signal": "place", "every": 0.03}, "no whole multiple"),
    "no such signal": ({"signal": "nose"}, "has 0 signals 'nose'"),
    "a negative unit": ({"signal": "place", "time_unit_s": -1.0}, "must be a finite number above zero"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_does_not_fit_is_refused(animal, refuses, case):
    options, words = MISTAKES[case]
    with refuses(InputError, words):
        ddm2snn.import_recording(animal, **options)


def test_neurons_that_the_network_lacks_are_refused(animal, quick_spiking, spiking_of, refuses):
    assert ddm2snn.import_recording(animal, network=quick_spiking).trials == 3
    with refuses(InputError, "Leave out signal"):
        ddm2snn.import_recording(animal, network=quick_spiking, signal="place")
    few = Spikes.sorted(np.array([0.1]), neuron=np.array([20]), trial=np.array([0]))
    with refuses(InputError, "there are 20 neurons"):
        ddm2snn.latents_of_spikes(few, spiking_of(), duration=1)


def test_a_changed_file_is_no_longer_the_recording(run, written, tmp_path, refuses):
    path = tmp_path / "run.nwb"
    path.write_bytes(written("nwb").read_bytes())
    with h5py.File(path, "a") as file:
        file["processing/latents/latents/data"][0, 0] += 1.0
    with refuses(FileRefusedError, "run.nwb", "was changed after it was exported"):
        ddm2snn.import_recording(path)
    changed = ddm2snn.import_recording(path, signal="latents", time_unit_s=run.provenance["time_unit_s"])
    assert_array_equal(changed.samples[1:], run.samples[1:])


@pytest.mark.parametrize("suffix", [".nwb", ".nix", ".nir"])
@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n damaged", b"text"], ids=["empty", "damaged", "text"])
def test_damaged_files_are_refused(tmp_path, refuses, suffix, content):
    if suffix == ".nix":
        needs("neo")
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with refuses(FileRefusedError, path.name):
        ddm2snn.import_recording(path)


def test_a_file_that_announces_more_than_it_holds_is_refused(tmp_path, refuses):
    for suffix, name in ((".nwb", "acquisition/x"), (".nir", "nodes/x/observables/y")):
        with h5py.File(tmp_path / f"x{suffix}", "w") as file:
            file.attrs["__type__"] = "NIRGraphData"
            group = file.create_group(name)
            group.create_dataset("data", shape=(2**30,), dtype="f8", chunks=(2**10,))
            group.create_dataset("timestamps", data=np.arange(3.0))
            group.attrs["dt"] = 0.1
        with refuses(FileRefusedError, f"x{suffix}"):
            ddm2snn.import_recording(tmp_path / f"x{suffix}", signal="0")


def test_links_out_of_a_file_are_not_followed(tmp_path, refuses):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"], file["timestamps"] = np.zeros(9), np.arange(9.0)
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        file.create_group("acquisition")["x"] = h5py.ExternalLink("secret.h5", "/")
    assert hdf5_parts(tmp_path / "x.nwb")[0]["shapes"] == {}
    if h5py and pytest.importorskip("nixio"):
        with h5py.File(tmp_path / "x.nix", "w") as file:
            file["data"] = h5py.ExternalLink("secret.h5", "/")
        with refuses(FileRefusedError, "x.nix", "in another file"):
            ddm2snn.import_recording(tmp_path / "x.nix")


def test_a_package_that_is_missing_is_named(run, tmp_path, refuses, monkeypatch):
    import sys

    for form, package in (("neo", "nixio"), ("nwb", "pynwb"), ("parquet", "pyarrow")):
        monkeypatch.setitem(sys.modules, package, None)
        with refuses(InputError, f"needs the package {package}", f"Install ddm2snn[{form}]"):
            ddm2snn.export(run, tmp_path / f"run.{form}", format=form)
    assert list(tmp_path.iterdir()) == []


def test_formats_belong_to_networks_or_to_recordings(run, spiking_of, rate_of, refuses, tmp_path):
    for content, form in ((run, "hdf5"), (spiking_of(), "nwb"), (rate_of(), "nwb"), (run, "card")):
        with refuses(InputError, f"There is no format {form!r}; known are", f"for a {type(content).__name__}"):
            ddm2snn.export(content, tmp_path / "x", format=form)
    with refuses(InputError, "export needs a network or a recording, got a dict"):
        ddm2snn.export({}, tmp_path / "x")
    with refuses(InputError, "card is none of format 'nwb' of a Recording"):
        ddm2snn.export(run, tmp_path / "x", format="nwb", card=ddm2snn.Card())
    one = Recording.from_arrays(np.zeros((1, 1, 1)), every=1.0, time_unit_s=1.0)
    with refuses(InputError, "a single sample"):
        ddm2snn.export(one, tmp_path / "x", format="nir")


@pytest.mark.parametrize("form", ["neo", "nwb", "nir"])
def test_load_and_compare_read_recordings_of_other_tools(run, written, quick_spiking, form):
    again = ddm2snn.simulate(quick_spiking, duration=12, every=0.1, seed=5)
    for read in (ddm2snn.load, Recording.load):
        same(read(written(form)), run)
    report = ddm2snn.compare(str(written(form)), again)
    assert report.provenance["reference"]["fingerprint"] == run.fingerprint
    assert report.as_json() == ddm2snn.compare(run, again).as_json()


def test_load_asks_for_the_signal_and_knows_a_graph(animal, tmp_path, refuses):
    with refuses(InputError, "'acquisition/pupil'", "or with the network that decodes its spikes"):
        ddm2snn.load(animal)
    nir = pytest.importorskip("nir")
    nir.write(tmp_path / "graph.nir", nir.NIRGraph.from_list(nir.Linear(np.eye(2))))
    with refuses(FileRefusedError, "holds no NIRData. Read a graph with ddm2snn.import_network"):
        ddm2snn.load(tmp_path / "graph.nir")


# --- the command line


@pytest.mark.slow
def test_the_command_line_goes_there_and_back(cli, run, quick_spiking, animal, tmp_path):
    run.save(tmp_path / "run.nc")
    quick_spiking.save(tmp_path / "snn.safetensors")
    assert cli("export", "run.nc", "-o", "out.nwb", "--format", "nwb")[0] == 0
    assert cli("import", "out.nwb", "-o", "back.nc")[0] == 0
    same(ddm2snn.load(tmp_path / "back.nc"), run)
    code, out, _ = cli("export", "run.nc", "-o", "out.csv", "--format", "csv")
    assert (code, "out.spikes.csv" in out, "Warning: The provenance" in out) == (0, True, True)
    assert cli("import", animal, "-o", "walk.nc", "--signal", "place", "--time-unit-s", "0.2", "--every", "0.2")[0] == 0
    assert ddm2snn.load(tmp_path / "walk.nc").samples.shape == (3, 126, 2)
    assert cli("import", animal, "-o", "decoded.nc", "--network", "snn.safetensors")[0] == 0
    assert ddm2snn.load(tmp_path / "decoded.nc").rank == quick_spiking.rank
    plain = ddm2snn.simulate(quick_spiking, duration=12, every=0.1, trials=8, seed=5)
    plain.save(tmp_path / "plain.nc")
    ddm2snn.export(plain, tmp_path / "plain.nwb", format="nwb")
    code, out, err = cli("compare", "plain.nc", "plain.nwb", "-o", "report")
    assert (code, "report.html" in out) == (0, True), err
    code, _, err = cli("export", "run.nc", "-o", "out.csv", "--format", "nwb")
    assert (code, "ends in '.csv'" in err) == (2, True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import x.nwb -o x.safetensors", "ends in '.safetensors', but this command writes .nc"),
        ("import x.nwb -o x.nc --activation tanh", "activation belong to the import of a network"),
        ("import w.npz -o x.safetensors --signal y", "signal belong to the import of a recording"),
        ("import w.npz -o x.nc", "is of no known kind; known are .nwb, .nix, .nir"),
        ("compare x.nwb x.nwb -o out", "does not say what its latents are: its signals are none"),
    ],
)
def test_the_command_line_refuses_in_one_line(cli, tmp_path, line, words):
    np.savez(tmp_path / "w.npz", W=np.eye(2))
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        file["x"] = np.zeros(2)
    code, out, err = cli(*line.split())
    assert (code, out) == (2, "")
    assert words in err.strip().splitlines()[-1]
