"""The verb import_recording: spikes and signals of other simulators, or of animals, as recordings.

Files are HDF5, which a child process reads. NWB and NIRData are read as data, NIX with Neo's own reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.files import damage_refused, digest_of, require_file
from ddm2snn.base.foreign import read_apart
from ddm2snn.base.stored import check_header, parse_json
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.foreign_arrays import (
    LATENTS,
    NO_SIGNAL,
    OUTPUTS,
    chosen_signals,
    hdf5_parts,
    listed,
    neo_parts,
    nix_content,
)
from ddm2snn.exchange.recording_formats import KEY, axes_of, library
from ddm2snn.fidelity.spikes import latents_of_spikes
from ddm2snn.network import SpikingNetwork
from ddm2snn.recording import Recording, Spikes

_EVERY = 0.02  # rate time units, as of `simulate`
_UNEVEN = 1e-3  # of a sampling interval: clocks of devices jitter less
_NIX_PACE = 10.0  # Neo makes objects of some 20 kB of a file in 6 ms each


@dataclass(frozen=True, eq=False)
class _Source:
    """What a source holds: signals that were asked for, of each trial, and spikes with times since its start."""

    names: Sequence[str]
    signals: Mapping[str, Sequence[np.ndarray]]
    step_s: float
    duration_s: float
    trials: int
    spikes: Spikes | None
    header: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def import_recording(
    source: Path | str | object,
    *,
    signal: str | None = None,
    network: SpikingNetwork | None = None,
    time_unit_s: float | None = None,
    every: float | None = None,
) -> Recording:
    """Read a recording that was made elsewhere, or that `export` wrote for another tool.

    What `export` wrote comes back to the last bit. Of other sources a signal holds the latents, or a network's decoders
    make them of the spikes. Trials are the segments of Neo, or the trials of NWB and pynapple, cut to the length of the
    shortest; without any, there is one.

    Parameters
    ----------
    source
        An .nwb, .nix (Neo) or .nir file (NIRData), a Neo block, or objects of pynapple by name as of `to_pynapple`.
    signal
        Name of the signal that holds the latents, or its number from 0; by default "latents", or the only one.
    network
        The spiking network whose decoders make latents of the spikes; see `latents_of_spikes`.
    time_unit_s
        Seconds per rate time unit, 1 by default; a network has its own.
    every
        Sampling interval in rate time units. Of a signal it is a whole multiple of its own, which is the default.

    Returns
    -------
    Recording
        Latents, and the spikes where there are some, with the source as provenance.

    Raises
    ------
    InputError
        Where the file is refused, a package is missing, or the source does not say which latents are meant.

    Examples
    --------
    Positions of an animal in a file of NIR, as another program may write it:

    >>> import tempfile, nir
    >>> walk = nir.TimeGriddedData(np.random.default_rng(0).standard_normal((4, 100, 2)), dt=0.02)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nir.write_data(f"{folder}/walk.nir", nir.NIRGraphData({"position": nir.NIRNodeData({"xy": walk})}))
    ...     import_recording(f"{folder}/walk.nir", time_unit_s=0.2)
    Recording(trials=4, samples=100, rank=2, every=0.1, spikes=None, backend='unknown')
    """
    options = {name: value for name, value in (("time_unit_s", time_unit_s), ("every", every)) if value is not None}
    check_positive("import_recording", **options)
    if network is not None and (signal is not None or time_unit_s is not None):
        raise InputError(
            "import_recording was given a network, whose decoders and time unit it takes. Leave out signal and "
            "time_unit_s, or the network."
        )
    held, label = _read(source, signal if network is None else NO_SIGNAL)
    with damage_refused(Path(label), "a recording"):
        if held.header is not None and network is None and signal is None and not options:
            return _restored(held, label)
        if network is not None:
            return _decoded(held, label, network, every or _EVERY)
        return _of_signal(held, label, time_unit_s or 1.0, every)


def _decoded(held: _Source, label: str, network: SpikingNetwork, every: float) -> Recording:
    """Latents that a network decodes from the spikes of a source."""
    if held.spikes is None:
        raise InputError(f"{label} holds no spikes to decode. Name a signal instead; it has {listed(held.names)}.")
    spikes = _before(held.spikes, held.duration_s)
    duration = held.duration_s / network.time_unit_s
    made = latents_of_spikes(spikes, network, duration=duration, every=every, trials=held.trials)
    return Recording(made.latent, made.spikes, {**made.provenance, "source": label, **held.facts})


def _of_signal(held: _Source, label: str, unit_s: float, every: float | None) -> Recording:
    """Latents that a source has as a signal."""
    if LATENTS not in held.signals:
        raise InputError(
            f"{label} does not say what its latents are: its signals are {listed(held.names)}. Import it with one of "
            "them as signal, or with the network that decodes its spikes."
        )
    own = held.step_s / unit_s
    stride = 1 if every is None else round(every / own)
    if every is not None and (stride < 1 or abs(stride * own / every - 1) > 1e-6):
        raise InputError(
            f"{label} is sampled each {own:g} rate time units of {unit_s:g} s; every = {every:g} is no whole multiple. "
            "Choose another, or another time_unit_s."
        )
    return Recording.from_arrays(
        _stacked(held.signals[LATENTS])[:, ::stride],
        every=stride * own if every is None else every,
        time_unit_s=unit_s,
        spikes=None if held.spikes is None else _before(held.spikes, held.duration_s),
        provenance={"source": label, "time_unit_s": unit_s, **held.facts},
    )


def _read(source: object, signal: str | None) -> tuple[_Source, str]:
    """What a source holds, and what messages call it."""
    if isinstance(source, Path | str):
        file = require_file(source)
        readers = {".nwb": _from_nwb, ".nix": _from_nix, ".nir": _from_nir}
        if file.suffix.lower() not in readers:
            raise FileRefusedError(
                f"{file} is of no known kind; known are {', '.join(readers)}. Read other files with Neo, and give the "
                "block."
            )
        with damage_refused(file, f"a {file.suffix} recording"):
            return readers[file.suffix.lower()](file, signal), str(file)
    if isinstance(source, Mapping):
        return _from_pynapple(source, signal), "the dictionary"
    if hasattr(source, "segments"):
        return _of_neo(*neo_parts(source, signal)), "the Neo block"
    kind = type(source).__name__
    raise InputError(f"import_recording takes a file, a Neo block or objects of pynapple, got a {kind}. Give one.")


def _restored(held: _Source, label: str) -> Recording:
    """The recording that a header belongs to, to the last bit."""
    import xarray as xr

    header = check_header(parse_json(held.header or "", f"{label} is damaged: its header"), Path(label))
    arrays = {name: np.ascontiguousarray(_stacked(trials)) for name, trials in held.signals.items()}
    if header["samples"] == arrays[LATENTS].shape[1]:  # else times of any length could be asked for
        axes = axes_of(header)
        coords = {"time": axes.pop("time"), **{name: ("time", axis) for name, axis in axes.items()}}
        data = {
            name: xr.DataArray(array, dims=("trial", "time", dim), coords=coords, name=called)
            for name, dim, called in ((LATENTS, "rank", "latent"), (OUTPUTS, "output", "outputs"))
            if (array := arrays.get(name)) is not None
        }
        none = np.zeros(0)
        spikes = (held.spikes or Spikes.sorted(none, none, none)) if header["spikes"] else None
        data[LATENTS]["time"].attrs["long_name"] = "time in units of the leak of the rate model"
        recording = Recording(data[LATENTS], spikes, header["provenance"], data.get(OUTPUTS))
        if recording.fingerprint == header["fingerprint"]:
            return recording
    raise FileRefusedError(f"{label} was changed after it was exported. Name its signal to read what it holds.")


def _before(spikes: Spikes, duration_s: float) -> Spikes:
    """Spikes within the shortest trial."""
    within = (spikes.time_s >= 0) & (spikes.time_s <= duration_s)
    return Spikes(spikes.time_s[within], spikes.neuron[within], spikes.trial[within])


def _stacked(trials: Sequence[np.ndarray]) -> np.ndarray:
    samples = min(len(trial) for trial in trials)
    return np.stack([trial[:samples].reshape(samples, -1) for trial in trials])


# --- one time axis for all trials: NWB and pynapple


@dataclass(frozen=True, eq=False)
class _Axis:
    """Trials on one time axis, in seconds."""

    starts: np.ndarray
    stops: np.ndarray

    @classmethod
    def of(cls, trials: tuple[np.ndarray, ...], times: Sequence[np.ndarray]) -> _Axis:
        """From starts and stops; without them, of one trial around all times."""
        if len(trials) == 2:
            order = np.argsort(trials[0], kind="stable")
            return cls(trials[0][order], trials[1][order])
        ends = [(each.min(), each.max()) for each in times if each.size] or [(0.0, 0.0)]
        return cls(np.array([min(first for first, _ in ends)]), np.array([max(last for _, last in ends)]))

    def signal(self, times: np.ndarray, values: np.ndarray) -> tuple[list[np.ndarray], float]:
        """Values of each trial, and the interval between samples."""
        bounds = np.searchsorted(times, self.starts, "left"), np.searchsorted(times, self.stops, "right")
        parts = [slice(first, last) for first, last in zip(*bounds, strict=True)]
        steps = np.concatenate([np.diff(times[part]) for part in parts])
        if not steps.size or min(part.stop - part.start for part in parts) < 2:
            raise InputError("A trial has fewer than two samples of the signal. Choose another signal.")
        step = float(np.median(steps))
        if not step > 0 or np.abs(steps - step).max() > _UNEVEN * step:
            raise InputError("The samples of the signal are not evenly spaced in time. Resample it first.")
        return [values[part] for part in parts], step

    def spikes(self, units: Mapping[int, tuple[np.ndarray, np.ndarray | None]]) -> Spikes | None:
        """Spikes within the trials, of times by unit and, where they are known, times since the start of the trial."""
        columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for unit, (times, in_trial) in units.items():
            trial = np.searchsorted(self.starts, times, "right") - 1
            within = (trial >= 0) & (times <= self.stops[trial])
            since = times - self.starts[trial] if in_trial is None else in_trial
            columns.append((since[within], np.full(int(within.sum()), unit), trial[within]))
        return Spikes.sorted(*map(np.concatenate, zip(*columns, strict=True))) if columns else None


def _on_one_axis(
    names: Sequence[str],
    signals: Mapping[str, tuple[np.ndarray, np.ndarray]],
    units: Mapping[int, tuple[np.ndarray, np.ndarray | None]],
    trials: tuple[np.ndarray, ...],
    header: str | None,
    **facts: object,
) -> _Source:
    """Latents, outputs and spikes by trial."""
    axis = _Axis.of(trials, [times for times, _ in (*signals.values(), *units.values())])
    parts, step = {}, 0.0
    for role, (times, values) in signals.items():
        parts[role], step = axis.signal(times, values)
    duration, count = float((axis.stops - axis.starts).min()), len(axis.starts)
    return _Source(names, parts, step, duration, count, axis.spikes(units), header, facts)


def _from_pynapple(objects: Mapping[str, Any], signal: str | None) -> _Source:
    signals = {
        name: (np.asarray(each.t), np.asarray(each.values))
        for name, each in objects.items()
        if type(each).__name__ in ("Tsd", "TsdFrame")
    }
    names, header = list(signals), objects.get("header")
    chosen = {role: signals[names[i]] for role, i in chosen_signals(names, signal, "The dictionary").items()}
    group, trials = objects.get("spikes", {}), objects.get("trials")
    units = {
        int(unit): (np.asarray(group[unit].t), None if header is None else np.asarray(group[unit].values))
        for unit in group
    }
    bounds = () if trials is None else (np.asarray(trials.start), np.asarray(trials.end))
    return _on_one_axis(names, chosen, units, bounds, header)


_NOTES, _UNITS, _TRIALS = "general/notes", "units/", "intervals/trials/"


def _from_nwb(file: Path, signal: str | None) -> _Source:
    listing, _ = read_apart(hdf5_parts, file, _NOTES)
    shapes, attributes = listing["shapes"], listing["attributes"]
    names = [n.removesuffix("/data") for n, shape in shapes.items() if n.endswith("/data") and len(shape) in (1, 2)]
    names = [n for n in names if f"{n}/timestamps" in shapes or "rate" in attributes.get(f"{n}/starting_time", {})]
    chosen = {role: names[i] for role, i in chosen_signals(names, signal, str(file)).items()}
    wanted = [n for n in shapes if n.startswith((_UNITS, _TRIALS)) or n.rpartition("/")[0] in chosen.values()]
    _, arrays = read_apart(hdf5_parts, file, *wanted)
    signals = {role: _time_series(arrays, attributes, name) for role, name in chosen.items()}
    trials = tuple(arrays[f"{_TRIALS}{name}"] for name in ("start_time", "stop_time") if f"{_TRIALS}{name}" in arrays)
    header = listing["texts"].get(_NOTES)
    own = header is not None and header.startswith("{") and '"type":"Recording"' in header
    facts = {"format": "NWB", "sha256": digest_of(file)}
    return _on_one_axis(names, signals, dict(_units(arrays)), trials, header if own else None, **facts)


def _time_series(
    arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of a TimeSeries of NWB, the latter as its conversion and offset have them."""
    data, about = arrays[f"{name}/data"], attributes.get(f"{name}/data", {})
    conversion, offset = about.get("conversion", 1.0), about.get("offset", 0.0)
    values = data if (conversion, offset) == (1.0, 0.0) else data * conversion + offset
    if f"{name}/timestamps" in arrays:
        return arrays[f"{name}/timestamps"], values
    start = float(arrays[f"{name}/starting_time"])
    return start + np.arange(len(values)) / attributes[f"{name}/starting_time"]["rate"], values


def _units(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray | None]]]:
    """Number and times of each unit of NWB, and the times since the start of the trial that `export` puts beside."""
    times, ends = arrays.get(f"{_UNITS}spike_times"), arrays.get(f"{_UNITS}spike_times_index")
    if times is None or ends is None:
        return
    in_trial, bounds = arrays.get(f"{_UNITS}time_in_trial"), [0, *map(int, ends)]
    for place, unit in enumerate(arrays.get(f"{_UNITS}id", np.arange(len(ends)))):
        part = slice(bounds[place], bounds[place + 1])
        yield int(unit), (times[part], None if in_trial is None else in_trial[part])


def _from_nir(file: Path, signal: str | None) -> _Source:
    listing, _ = read_apart(hdf5_parts, file, KEY)
    shapes, attributes = listing["shapes"], listing["attributes"]
    if attributes.get("", {}).get("__type__") != "NIRGraphData":
        raise FileRefusedError(f"{file} holds no NIRData. Read a graph with ddm2snn.import_network.")
    paths = [name.removesuffix("/data") for name in shapes if name.endswith("/data")]
    names = [path.removeprefix("nodes/").replace("/observables/", "/") for path in paths]
    nodes = [name.rsplit("/", 1)[0] for name in names]  # the header's writer has a node for each
    chosen = {
        role: paths[place]
        for role, place in chosen_signals(nodes if signal is None else names, signal, str(file)).items()
    }
    events = next((name.removesuffix("/idx") for name in shapes if name.endswith("/idx")), "")
    _, arrays = read_apart(
        hdf5_parts, file, *(f"{path}/data" for path in chosen.values()), f"{events}/idx", f"{events}/time"
    )
    signals = {role: list(arrays[f"{path}/data"]) for role, path in chosen.items()}
    step = float(attributes[chosen[LATENTS]]["dt"]) if LATENTS in chosen else 0.0
    duration = step * (len(signals[LATENTS][0]) - 1) if LATENTS in chosen else 0.0
    spikes, count = None, len(signals.get(LATENTS, ()))
    if events:
        index, time = arrays[f"{events}/idx"], arrays[f"{events}/time"]
        trial, place = np.nonzero(index >= 0)
        spikes, last = Spikes.sorted(time[trial, place], index[trial, place], trial), attributes[events]["t_max"]
        duration, count = max(duration, float(last)), len(index)
    facts = {"format": "NIRData", "sha256": digest_of(file)}
    return _Source(names, signals, step, duration, count, spikes, listing["texts"].get(KEY), facts)


# --- trials by themselves: Neo


def _from_nix(file: Path, signal: str | None) -> _Source:
    library("neo", "neo")
    library("nixio", "neo")
    content, arrays = read_apart(nix_content, file, *([] if signal is None else [signal]), pace=_NIX_PACE)
    return replace(_of_neo(content, arrays), facts={"format": "Neo", "sha256": digest_of(file)})


def _of_neo(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> _Source:
    steps, trials = content["steps"], range(content["trials"])
    if steps and max(steps) - min(steps) > 1e-6 * min(steps):
        raise InputError(
            f"The signals of the Neo block are sampled each {min(steps):g} to {max(steps):g} s. Resample them first."
        )
    roles = [role for role in (LATENTS, OUTPUTS) if f"{role}/0" in arrays]
    signals = {role: [arrays[f"{role}/{trial}"] for trial in trials] for role in roles}
    spikes = None
    if "spikes/time_s" in arrays:
        table = {name: arrays[f"spikes/{name}"] for name in ("time_s", "neuron", "trial")}
        spikes = Spikes.sorted(**table)
    duration = min(content["durations"], default=0.0)
    return _Source(content["names"], signals, min(steps, default=0.0), duration, len(trials), spikes, content["header"])
