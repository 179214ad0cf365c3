"""Recordings for other tools: objects of Neo and pynapple, and NIX, NWB, NIRData, CSV and parquet files.

Where a format has one time axis for all trials, they follow each other, each at a whole second. Beside what a format's
own readers understand, each file but CSV holds a header (JSON): fingerprint, provenance, and times to the last bit.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import canonical_json
from ddm2snn.base.files import check_neighbour, write_together
from ddm2snn.base.stored import make_header
from ddm2snn.errors import InputError
from ddm2snn.recording import Recording, Spikes

if TYPE_CHECKING:
    from jaxtyping import Float
    from pandas import DataFrame

KEY = "ddm2snn"
"""Name of the header: an annotation in Neo, a dataset in NIRData, an entry of parquet's metadata."""
AXES = ("time", "time_s", "system_time")
_SYSTEM_UNITS = "dimensionless"  # NWB and Neo demand a unit; those of a system are its user's own
_LATENTS, _OUTPUTS = "Latents in the units of the system", "Outputs of the network's read-out"
_NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)


def header_of(recording: Recording) -> str:
    """Fingerprint, provenance and times of a recording, as JSON.

    Times in steps of one size are three numbers, from which they follow to the last bit; others are lists.
    """
    axes = {name: recording.latent[name].values for name in AXES if name in recording.latent.coords}
    regular = _regular(axes)
    times = regular or {name: axis.tolist() for name, axis in axes.items()}
    content = {"spikes": recording.spikes is not None, "times": times, "samples": recording.latent.sizes["time"]}
    return canonical_json(
        make_header("Recording", recording.fingerprint, provenance=dict(recording.provenance), **content)
    )


def axes_of(header: Mapping[str, Any]) -> dict[str, Float[np.ndarray, " time"]]:
    """Times of a header: rate time units, seconds and, where it is another, the system's own time."""
    times = header["times"]
    if "every" not in times:
        return {name: np.array(times[name], dtype=np.float64) for name in AXES if name in times}
    time = np.arange(header["samples"]) * times["every"]
    scales = {"time_s": times["time_unit_s"], "system_time": times["time_scale"]}
    return {"time": time} | {name: time * scale for name, scale in scales.items() if scale is not None}


def _regular(axes: Mapping[str, Float[np.ndarray, " time"]]) -> dict[str, float | None] | None:
    """Step and scales whose products are these times; None where there are none."""
    time = axes["time"]
    if len(time) < 2 or not np.array_equal(time, np.arange(len(time)) * time[1]):
        return None
    scales: dict[str, float | None] = {}
    for name in AXES[1:]:
        axis = axes.get(name)
        near = math.nan if axis is None else float(axis[1] / time[1])
        guesses = [np.nextafter(near, 0.0), near, np.nextafter(near, np.inf)]  # the quotient of a product is rounded
        scales[name] = next((float(guess) for guess in guesses if np.array_equal(time * guess, axis)), None)  # pyright: ignore[reportArgumentType]
        if axis is not None and scales[name] is None:
            return None
    return {"every": float(time[1]), "time_unit_s": scales["time_s"], "time_scale": scales["system_time"]}


@dataclass(frozen=True, eq=False)
class _Session:
    """A recording on one time axis, each trial beginning at a whole second."""

    recording: Recording

    @property
    def step_s(self) -> float:
        """Seconds between samples."""
        time_s = self.recording.latent["time_s"].values
        if len(time_s) < 2:
            raise InputError("This recording has a single sample, and so no sampling interval. Simulate longer.")
        return float(time_s[-1] - time_s[0]) / (len(time_s) - 1)

    @property
    def last_s(self) -> float:
        """Time of the last sample or spike of any trial, since its start."""
        last = float(self.recording.latent["time_s"].values[-1])
        return last if self.recording.spikes is None else max(last, float(self.recording.spikes.time_s.max(initial=0)))

    @property
    def starts_s(self) -> Float[np.ndarray, " trial"]:
        """Start of each trial."""
        return np.arange(self.recording.trials) * math.ceil(self.last_s + self.step_s)

    @property
    def times_s(self) -> Float[np.ndarray, " sample"]:
        """Times of all samples, trial after trial."""
        return (self.starts_s[:, None] + self.recording.latent["time_s"].values).ravel()

    @property
    def signals(self) -> dict[str, tuple[str, Float[np.ndarray, "trial sample rank"]]]:
        """Latents and, where there are some, outputs by name: what they are, and their values."""
        named = {"latents": (_LATENTS, self.recording.latent), "outputs": (_OUTPUTS, self.recording.output)}
        return {name: (text, array.values) for name, (text, array) in named.items() if array is not None}

    @property
    def series(self) -> dict[str, tuple[str, Float[np.ndarray, "sample rank"]]]:
        """The signals, trial after trial."""
        return {name: (text, values.reshape(-1, values.shape[-1])) for name, (text, values) in self.signals.items()}

    @property
    def conditions(self) -> list[str]:
        """Condition of each trial; empty where the stimulus named none."""
        named = self.recording.conditions
        return [
            next(name for name, trials in named.items() if k in trials)
            for k in range(self.recording.trials * bool(named))
        ]


def by_neuron(spikes: Spikes) -> dict[int, Spikes]:
    """Spikes of each neuron that fired, by its number."""
    order = np.argsort(spikes.neuron, kind="stable")  # trials and times stay in order
    neurons, first = np.unique(spikes.neuron[order], return_index=True)
    parts = np.split(order, first[1:]) if len(neurons) else []
    return {
        int(neuron): Spikes(spikes.time_s[part], spikes.neuron[part], spikes.trial[part])
        for neuron, part in zip(neurons, parts, strict=True)
    }


def to_neo(recording: Recording) -> Any:  # noqa: ANN401 - a class of a package that may be missing
    """Neo block of a recording: a segment for each trial, with an analog signal and a spike train for each neuron.

    Neurons that never fired are unknown to a recording. The block's annotation `ddm2snn` is the header, with which
    `import_recording` restores the recording to the last bit.

    Parameters
    ----------
    recording
        A recording of two samples or more.

    Returns
    -------
    neo.Block
        Signals are called latents and outputs; spike trains have the annotation `neuron`.

    Raises
    ------
    InputError
        Where Neo is not installed, or the recording has a single sample.

    Examples
    --------
    >>> spikes = Spikes.sorted(np.array([0.3, 0.1]), neuron=np.array([0, 5]), trial=np.array([0, 1]))
    >>> recording = Recording.from_arrays(np.zeros((2, 51, 3)), every=0.1, time_unit_s=0.2, spikes=spikes)
    >>> block = to_neo(recording)  # doctest: +SKIP
    >>> [len(segment.spiketrains) for segment in block.segments]  # doctest: +SKIP
    [2, 2]
    """
    neo = library("neo", "neo")
    session = _Session(recording)
    period, last = session.step_s, session.last_s
    neurons = {} if recording.spikes is None else by_neuron(recording.spikes)
    block = neo.Block(name="recording of ddm2snn", **{KEY: header_of(recording)})
    for trial in range(recording.trials):
        named = {"condition": session.conditions[trial]} if session.conditions else {}
        segment = neo.Segment(name=f"trial {trial}", index=trial, **named)
        for name, (text, values) in session.signals.items():
            segment.analogsignals.append(
                neo.AnalogSignal(
                    values[trial],
                    units=_SYSTEM_UNITS,
                    sampling_period=_seconds(period),
                    name=name,
                    description=text,
                )
            )
        for neuron, spikes in neurons.items():
            times = spikes.time_s[spikes.trial == trial]
            train = neo.SpikeTrain(times, units="s", t_stop=last, name=f"neuron {neuron}", neuron=neuron)
            segment.spiketrains.append(train)
        block.segments.append(segment)
    return block


def to_pynapple(recording: Recording) -> dict[str, Any]:
    """Objects of pynapple by name, on one time axis: trials, latents and, where there are some, outputs and spikes.

    Spikes are a `TsGroup` with a `Tsd` for each neuron, whose values are the times since the start of the trial. With
    the text `header`, `import_recording` restores the recording from these objects to the last bit.

    Parameters
    ----------
    recording
        A recording of two samples or more.

    Returns
    -------
    dict
        `trials` (IntervalSet), `latents` and `outputs` (TsdFrame), `spikes` (TsGroup) and `header` (text).

    Raises
    ------
    InputError
        Where pynapple is not installed, or the recording has a single sample.

    Examples
    --------
    >>> recording = Recording.from_arrays(np.zeros((2, 51, 3)), every=0.1, time_unit_s=0.2)
    >>> to_pynapple(recording)["latents"].shape  # doctest: +SKIP
    (102, 3)
    """
    nap, session = library("pynapple", "pynapple"), _Session(recording)
    starts = session.starts_s
    trials = nap.IntervalSet(start=starts, end=starts + session.last_s)
    if session.conditions:
        trials.set_info(condition=session.conditions)
    objects: dict[str, Any] = {"trials": trials, "header": header_of(recording)}
    for name, (_, values) in session.series.items():
        objects[name] = nap.TsdFrame(t=session.times_s, d=values, time_support=trials)
    if recording.spikes is not None:
        trains = {
            neuron: nap.Tsd(t=starts[spikes.trial] + spikes.time_s, d=spikes.time_s, time_support=trials)
            for neuron, spikes in by_neuron(recording.spikes).items()
        }
        objects["spikes"] = nap.TsGroup(trains, time_support=trials)
    return objects


def library(name: str, extra: str) -> Any:  # noqa: ANN401 - a module
    """Import a package that only some need, or say how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"This needs the package {name}. Install ddm2snn[{extra}].") from error


def _seconds(number: float) -> Any:  # noqa: ANN401 - a quantity
    return number * library("quantities", "neo").s


Written = tuple[Mapping[Path, bytes], tuple[str, ...]]
"""Contents of files, the one asked for first, and notes on how to use them."""


def _neo(recording: Recording, path: Path) -> Written:
    library("nixio", "neo")
    writer, block = library("neo.io", "neo").NixIO, to_neo(recording)
    with tempfile.TemporaryDirectory(prefix="ddm2snn-") as folder:  # its library takes nothing but a path
        file = Path(folder) / "recording.nix"
        with writer(str(file), "ow") as nix:
            nix.write_block(block)
        content = file.read_bytes()
    return {path: content}, (f'Read with Neo: neo.io.NixIO("{path}", "ro").read_block().',)


def _nwb(recording: Recording, path: Path) -> Written:
    import h5py

    pynwb, session = library("pynwb", "nwb"), _Session(recording)
    file = pynwb.NWBFile(
        session_description="Simulated trials of a network of ddm2snn. The date of the session stands for none.",
        identifier=recording.fingerprint, session_start_time=_NO_DATE, notes=header_of(recording),
        experiment_description="Simulation", keywords=["simulation", "low-rank network", "latent dynamics"],
        # inspectors of NWB demand a subject with an age and a sex
        subject=pynwb.file.Subject(subject_id="none", description="No animal: a simulation", age="P0D", sex="U"),
    )  # fmt: skip
    if session.conditions:
        file.add_trial_column(name="condition", description="Condition of the stimulus")
    for trial, start in enumerate(session.starts_s):
        named = {"condition": session.conditions[trial]} if session.conditions else {}
        file.add_trial(start_time=float(start), stop_time=float(start + session.last_s), **named)
    module = file.create_processing_module(name="latents", description="What the spikes of the network decode")
    for name, (text, values) in session.series.items():
        module.add(
            pynwb.TimeSeries(name=name, description=text, data=values, unit=_SYSTEM_UNITS, timestamps=session.times_s)
        )
    neurons = {} if recording.spikes is None else by_neuron(recording.spikes)
    if neurons:
        file.add_unit_column(name="trial", description="Trial of each spike, from 0", index=True)
        file.add_unit_column(name="time_in_trial", description="Seconds since the trial's start", index=True)
        made = recording.provenance
        if isinstance(step_s := made.get("dt_s"), float):
            file.units.resolution = step_s
    for neuron, spikes in neurons.items():
        times = session.starts_s[spikes.trial] + spikes.time_s
        file.add_unit(id=neuron, spike_times=times, trial=spikes.trial, time_in_trial=spikes.time_s)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as content, pynwb.NWBHDF5IO(file=content, mode="w") as writer:
        writer.write(file)
    return {path: buffer.getvalue()}, (f'Read with pynapple: pynapple.load_file("{path}"), or with pynwb.',)


def _nir(recording: Recording, path: Path) -> Written:
    import h5py

    nir, session, spikes = library("nir", "nir"), _Session(recording), recording.spikes
    nodes = {
        name: nir.NIRNodeData({"value": nir.TimeGriddedData(values, session.step_s)})
        for name, (_, values) in session.signals.items()
    }
    if spikes is not None:
        counts = np.bincount(spikes.trial, minlength=recording.trials)
        shape = (recording.trials, max(counts.max(initial=0), 1))
        place = spikes.trial, np.arange(len(spikes.trial)) - (np.cumsum(counts) - counts)[spikes.trial]
        index, time = np.full(shape, -1), np.full(shape, np.inf)  # as NIR has them for no event
        index[place], time[place] = spikes.neuron, spikes.time_s
        events = nir.EventData(index, time, int(spikes.neuron.max(initial=-1)) + 1, session.last_s)
        nodes["neurons"] = nir.NIRNodeData({"spikes": events})
    buffer = io.BytesIO()
    nir.write_data(buffer, nir.NIRGraphData(nodes))
    with h5py.File(buffer, "a") as file:
        file.create_dataset(KEY, data=header_of(recording), dtype=h5py.string_dtype())
    return {path: buffer.getvalue()}, (f'Read with NIR: nir.read_data("{path}"); its times are in seconds.',)


def _tables(recording: Recording) -> dict[str, DataFrame]:
    """Latents and outputs in a row for each sample, and spikes in a row for each."""
    from pandas import DataFrame  # which xarray brings along

    trials, samples, _ = recording.latent.shape
    columns = {"trial": np.repeat(np.arange(trials), samples)}
    columns |= {n: np.tile(recording.latent[n].values, trials) for n in AXES if n in recording.latent.coords}
    for name, (_, values) in _Session(recording).series.items():
        columns |= {f"{name[:-1]}_{i}": column for i, column in enumerate(values.T)}
    tables = {"": DataFrame(columns)}
    if recording.spikes is not None:
        spikes = recording.spikes
        tables[".spikes"] = DataFrame({"trial": spikes.trial, "neuron": spikes.neuron, "time_s": spikes.time_s})
    return tables


def _csv(recording: Recording, path: Path) -> Written:
    tables = _tables(recording)
    texts = {key: table.to_csv(index=False, na_rep="nan", lineterminator="\n") for key, table in tables.items()}
    return {_beside(path, key): text.encode() for key, text in texts.items()}, ()


def _parquet(recording: Recording, path: Path) -> Written:
    arrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")
    header, contents = header_of(recording), {}
    for key, table in _tables(recording).items():
        buffer = io.BytesIO()
        parquet.write_table(arrow.Table.from_pandas(table).replace_schema_metadata({KEY: header}), buffer)
        contents[_beside(path, key)] = buffer.getvalue()
    return contents, ()


def _beside(path: Path, key: str) -> Path:
    """Name of a further table; a file of that name that is no such table is not written over."""
    beside = path.with_name(f"{path.stem}{key}{path.suffix}")
    if key:
        check_neighbour(beside, lambda file: file.read_bytes().startswith((b"trial,neuron,time_s", b"PAR1")))
    return beside


_CSV_LOST = (
    "The provenance and the fingerprint are left out: CSV holds numbers alone. Format parquet or nwb keeps them.",
)
RECORDING_FORMATS: Mapping[str, tuple[Callable[[Recording, Path], Written], tuple[str, ...]]] = {
    "neo": (_neo, ()), "nwb": (_nwb, ()), "nir": (_nir, ()), "csv": (_csv, _CSV_LOST), "parquet": (_parquet, ()),
}  # fmt: skip
"""Writers by the name of their format, and what it leaves out."""


def write_recording(
    recording: Recording, path: Path, form: str
) -> tuple[tuple[Path, ...], tuple[str, ...], tuple[str, ...]]:
    """Write a recording in one of `RECORDING_FORMATS`, all files or none; return files, what is lost, and notes."""
    write, lost = RECORDING_FORMATS[form]
    contents, notes = write(recording, path)
    write_together(contents)
    return tuple(contents), lost, notes
