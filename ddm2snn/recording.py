"""What a run leaves behind: latents, optionally spikes, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import (
    blocks_of,
    canonical_json,
    check_positive,
    check_provenance,
    content_fingerprint,
    freeze_arrays,
    is_own,
)
from ddm2snn.base.files import damage_refused
from ddm2snn.base.foreign import Allowance, Content, read_apart
from ddm2snn.base.html import Plotted, fields_table, html_table
from ddm2snn.base.sealed import sealed_content, sealed_file
from ddm2snn.base.stored import Origin, Stored, check_header, make_header, parse_json, read_entries
from ddm2snn.errors import FileRefusedError, InputError

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float, Int

_KEY = "ddm2snn"
_DIMS = ("trial", "time", "rank")
_OUTPUT_DIMS = ("trial", "time", "output")
_SPIKES = ("spike_time_s", "spike_neuron", "spike_trial")
_TIMES = ("time", "time_s", "system_time")
_TIME = {"long_name": "time in units of the leak of the rate model"}


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spikes of all trials in one ragged table, sorted by trial, then time, then neuron.

    Parameters
    ----------
    time_s, neuron, trial
        Time in seconds since the start of the run, neuron and trial of each spike, shape (spike,).

    Examples
    --------
    >>> import numpy as np
    >>> spikes = Spikes.sorted(np.array([0.3, 0.1, 0.2]), neuron=np.array([0, 5, 5]), trial=np.array([0, 0, 1]))
    >>> spikes
    Spikes(3 spikes in 2 trials, from 0.1 to 0.3 s)
    >>> spikes.time_s
    array([0.1, 0.3, 0.2])
    """

    time_s: Float[np.ndarray, " spike"]
    neuron: Int[np.ndarray, " spike"]
    trial: Int[np.ndarray, " spike"]

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        if not self.time_s.size:
            return "Spikes(0 spikes)"
        trials, first, last = len(np.unique(self.trial)), self.time_s.min(), self.time_s.max()
        return f"Spikes({len(self.time_s)} spikes in {trials} trials, from {first:g} to {last:g} s)"

    @property
    def in_order(self) -> bool:
        """Whether the spikes are sorted by trial, then time, then neuron."""
        for part in blocks_of(len(self.time_s)):
            later = np.ones(1, dtype=bool)
            for column in (self.neuron, self.time_s, self.trial):  # the column that counts most comes last
                rows = column[part.start : part.stop + 1]
                later = (rows[1:] > rows[:-1]) | ((rows[1:] == rows[:-1]) & later)
            if not later.all():
                return False
        return True

    @classmethod
    def sorted(cls, time_s: np.ndarray, neuron: np.ndarray, trial: np.ndarray) -> Spikes:
        """Spikes in canonical order, whatever order a simulator reports."""
        order = np.lexsort((neuron, time_s, trial))
        return cls(time_s=time_s[order], neuron=neuron[order], trial=trial[order])


@dataclass(frozen=True, eq=False)
class Recording(Stored, Plotted):
    """Latent trajectories of independent trials, with optional spikes.

    Parameters
    ----------
    latent
        xarray DataArray with dims (trial, time, rank) in system units; `time` in rate time units, `time_s` in
        seconds and, where it is another, `system_time` in the system's own units are its coordinates, and the names of
        the latents, where the system has some, are those of `rank`. The first sample is the initial state.
    spikes
        Spikes of the same run, where they were asked for.
    provenance
        Backend, versions, fingerprints, seed, step and device: JSON values, which are no part of the fingerprint.
    output
        What the network's read-out said, with dims (trial, time, output) at the times of the latents; None for a
        network without outputs.

    Examples
    --------
    >>> import numpy as np
    >>> recording = Recording.from_arrays(np.zeros((4, 51, 2)), every=0.1, time_unit_s=0.2)
    >>> recording
    Recording(trials=4, samples=51, rank=2, every=0.1, spikes=None, backend='unknown')
    >>> recording.latent.dims
    ('trial', 'time', 'rank')
    """

    latent: xr.DataArray
    spikes: Spikes | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    output: xr.DataArray | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.latent, "dims"):
            name = type(self.latent).__name__
            raise InputError(f"Recording.latent must be an xarray DataArray, got {name}. Use Recording.from_arrays.")
        if tuple(self.latent.dims) != _DIMS:
            raise InputError(f"Recording.latent must have dims {_DIMS}, got {tuple(self.latent.dims)}.")
        if {"time", "time_s"} - set(self.latent.coords):
            raise InputError("Recording.latent needs the coordinates `time` and `time_s` along `time`.")
        if 0 in self.latent.shape:
            raise InputError(f"Recording.latent is empty: shape {self.latent.shape}.")
        if self.output is not None and (self.output.dims, self.output.shape[:2]) != (
            _OUTPUT_DIMS,
            self.latent.shape[:2],
        ):
            raise InputError(
                f"Recording.output must have dims {_OUTPUT_DIMS} and the trials and times of the latents, got "
                f"{self.output.dims} of shape {self.output.shape}."
            )
        check_provenance("Recording", self.provenance)
        for name, kept in (("latent", self.latent), ("output", self.output)):
            if kept is not None and not is_own(kept.values):
                object.__setattr__(self, name, kept.copy())  # frozen in: the caller's array stays writable
                getattr(self, name).values.setflags(write=False)
        if len(self.origin.latent_names) == self.rank:
            object.__setattr__(self, "latent", self.latent.assign_coords(rank=list(self.origin.latent_names)))

    def __repr__(self) -> str:
        return f"Recording({', '.join(f'{name}={value}' for name, value in self._summary().items())})"

    def _repr_html_(self) -> str:
        rows = {
            **self._summary(),
            "seed": "unknown" if self.seed is None else self.seed,
            "fingerprint": self.fingerprint,
        }
        return html_table("Recording", rows)

    def _summary(self) -> dict[str, object]:
        trials, samples, rank = self.latent.shape
        return {
            "trials": trials, "samples": samples, "rank": rank, "every": f"{self.every:g}",
            "spikes": None if self.spikes is None else len(self.spikes.time_s),
            "backend": repr(self.backend or "unknown"),
            **({} if self.output is None else {"outputs": self.output.sizes["output"]}),
        }  # fmt: skip

    @classmethod
    def from_arrays(
        cls,
        latent: Float[np.ndarray, "trial time rank"],
        *,
        every: float,
        time_unit_s: float,
        time_scale: float = 1.0,
        spikes: Spikes | None = None,
        provenance: Mapping[str, Any] | None = None,
        output: Float[np.ndarray, "trial time output"] | None = None,
    ) -> Recording:
        """Recording of latents sampled each `every` rate time units from time zero on.

        Where `time_scale` units of the system's time are one rate time unit, the coordinate `system_time` counts these.
        """
        import xarray as xr

        check_positive("Recording", every=every, time_unit_s=time_unit_s, time_scale=time_scale)
        try:
            own = isinstance(latent, np.ndarray) and latent.dtype == np.float64 and is_own(latent)
            array = latent if own and latent.flags.c_contiguous else np.array(latent, dtype=np.float64, order="C")
        except (TypeError, ValueError) as error:
            raise InputError(f"Recording.latent must be an array of numbers, got {type(latent).__name__}.") from error
        if array.ndim != len(_DIMS):
            raise InputError(f"Recording.latent must have 3 axes ({', '.join(_DIMS)}), got shape {array.shape}.")
        array.setflags(write=False)
        time = np.arange(array.shape[1]) * every
        coords = {"time": time, "time_s": ("time", time * time_unit_s)}
        if time_scale != 1.0:
            coords["system_time"] = ("time", time * time_scale)
        data = xr.DataArray(array, dims=_DIMS, coords=coords, name="latent")
        data["time"].attrs |= _TIME
        read = None if output is None else xr.DataArray(output, dims=_OUTPUT_DIMS, coords=coords, name="outputs")
        return cls(latent=data, spikes=spikes, provenance=provenance or {}, output=read)

    @property
    def trials(self) -> int:
        """Number of independent trials."""
        return self.latent.sizes["trial"]

    @property
    def rank(self) -> int:
        """Dimension of the latent space."""
        return self.latent.sizes["rank"]

    @property
    def every(self) -> float:
        """Sampling interval in rate time units; zero where there is one sample."""
        time = self.latent["time"].values
        return float((time[-1] - time[0]) / (len(time) - 1)) if len(time) > 1 else 0.0

    @property
    def origin(self) -> Origin:
        """What the package reads of the provenance."""
        return read_entries(Origin, self.provenance)

    @property
    def backend(self) -> str | None:
        """Name of the backend; None where it is unknown, as of arrays."""
        return self.origin.backend

    @property
    def seed(self) -> int | None:
        """Seed of the run; None where it is unknown, as of arrays."""
        return self.origin.seed

    @property
    def conditions(self) -> Mapping[str, Int[np.ndarray, " trial"]]:
        """Trials of each condition of the stimulus, by its name; none where it named no conditions."""
        names = np.array(self.origin.conditions, dtype=str)
        if not len(names) or self.trials % len(names):
            return {}
        of_trial = np.repeat(names, self.trials // len(names))
        return {str(name): np.flatnonzero(of_trial == name) for name in dict.fromkeys(names)}

    @property
    def samples(self) -> Float[np.ndarray, "trial time rank"]:
        """The latents as a read-only array."""
        return self.latent.values

    @cached_property
    def fingerprint(self) -> str:
        """Hash of latents, times, outputs and spikes."""
        return content_fingerprint("Recording", {k: v.values for k, v in self._variables().items()}, {})

    def _variables(self) -> dict[str, xr.DataArray]:
        import xarray as xr

        latent = self.latent.drop_vars("rank", errors="ignore")  # the provenance has its names
        variables = {"latent": latent, "time": self.latent["time"], "time_s": self.latent["time_s"]}
        if self.output is not None:
            variables["outputs"] = self.output  # a file has an axis called output
        if self.spikes is not None:
            for name in ("time_s", "neuron", "trial"):
                variables[f"spike_{name}"] = xr.DataArray(getattr(self.spikes, name), dims=("spike",))
        return variables

    def save(self, path: Path | str) -> None:
        """Write as netCDF-4, whole or not at all; equal content gives equal bytes."""
        import xarray as xr

        header = canonical_json(make_header("Recording", self.fingerprint, provenance=dict(self.provenance)))
        variables = {name: v for name, v in self._variables().items() if name not in _TIMES}
        dataset = xr.Dataset(variables, attrs={_KEY: header})
        with sealed_file(path, header) as file:
            dataset.to_netcdf(file, engine="h5netcdf", format="NETCDF4")


def read_recording(file: Path) -> Recording:
    """Read what `Recording.save` wrote; a damaged, foreign or newer file is refused by name."""
    with damage_refused(file, "a recording"):
        content = _dataset(file)
        header = check_header(parse_json(content.attrs.get(_KEY, "null"), f"{file} is damaged: its header"), file)
        if header["type"] != "Recording" or "latent" not in content:
            raise FileRefusedError(f"{file} holds a {header['type']!r} without latents, not a Recording.")
        try:
            recording = Recording(
                content["latent"], _read_spikes(content), header.get("provenance", {}), content.get("outputs")
            )
        except (InputError, KeyError) as error:
            raise FileRefusedError(f"{file} cannot be used: {error}") from error
        if recording.fingerprint != header.get("fingerprint"):
            raise FileRefusedError(f"{file} is damaged: its content does not match its fingerprint.")
        return recording


def _dataset(path: Path) -> xr.Dataset:
    """Content of a netCDF file; one without the index that `save` puts behind it is read in a process of its own."""
    import xarray as xr

    sealed = sealed_content(path)
    if sealed is not None:
        header, arrays = sealed
        dims = {
            "latent": _DIMS,
            "outputs": _OUTPUT_DIMS,
            **dict.fromkeys(_TIMES, ("time",)),
            **dict.fromkeys(_SPIKES, ("spike",)),
        }
        content = {name: (dims[name], array) for name, array in arrays.items() if name in dims}
        dataset = xr.Dataset(content, attrs={_KEY: header}).set_coords([name for name in _TIMES if name in arrays])
        dataset["time"].attrs |= _TIME
        return dataset
    (dims, coordinates, attributes), arrays = read_apart(netcdf_content, path)
    variables = {name: (tuple(dims[name]), array) for name, array in arrays.items()}
    return xr.Dataset(variables, attrs=attributes).set_coords(coordinates)


def netcdf_content(path: Path) -> Content:
    """Axes, coordinates and header of a netCDF file, with its arrays of numbers, in the process of the caller."""
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            if dataset.nbytes > Allowance(path).left:
                raise FileRefusedError(f"{path} announces more numbers than a file of its size can hold.")
            dataset.load()
    except FileRefusedError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileRefusedError(f"{path} is no recording, or it is damaged or cut short: {reason}.") from error
    arrays = {str(name): v.values for name, v in dataset.variables.items() if v.dtype.kind in "biuf"}
    dims = {name: dataset[name].dims for name in arrays}
    attributes = {_KEY: str(dataset.attrs[_KEY])} if _KEY in dataset.attrs else {}
    return (dims, [name for name in arrays if name in dataset.coords], attributes), arrays


def _read_spikes(content: xr.Dataset) -> Spikes | None:
    if "spike_time_s" not in content:
        return None
    columns = [name.removeprefix("spike_") for name in _SPIKES]
    missing = [f"spike_{name}" for name in columns if f"spike_{name}" not in content]
    if missing:
        raise InputError(f"the spike table lacks {', '.join(missing)}.")
    return Spikes(**{name: content[f"spike_{name}"].values for name in columns})
