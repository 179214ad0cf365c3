"""A file of weights: its arrays by the names that its dialect uses, behind any prefix, and what the mapping says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.foreign import Arrays
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.exchange.import_network import ArrayMapping

USUAL_NAMES = {
    "left": ("Gamma", "left_vectors"),
    "right": ("W_s", "right_vectors"),
    "m": ("m",),
    "n": ("n",),
    "weights": ("W", "W_rec", "w_rec", "wrec", "J"),
    "bias": ("b", "bias", "b_rec"),
    "threshold": ("threshold", "theta"),
    "inputs": ("wi", "W_in", "w_in", "w_inp"),
    "input_gains": ("si", "w_inp_scale"),
    "diffusion": ("diffusion_factor", "G", "cholesky"),
    "covariance": ("covariance", "noise_covariance"),
    "start": ("h0", "x0", "init_state", "initial_state"),
    "outputs": ("wo", "w_out", "W_out", "output_layer.weight", "observation.B", "B", "output_vectors"),
    "output_gains": ("so", "w_out_scale"),
    "output_bias": ("b_out", "output_layer.bias", "output_bias"),
}
_OF_READOUT = {  # of a read-out or of its training, by the last part of their names
    "so", "w_out_scale", "b_out", "Dale_out", "output_connectivity", "Bias", "R_x", "Adam",
    "Adam_1", "w_out0", "o",
}  # fmt: skip
DIALECTS = {  # by the names that no other has; the first whose names are all there
    "spikeRNN": {"w", "m", "som_m", "w_in"},
    "PsychRNN": {"W_rec", "W_in", "b_rec", "Dale_rec"},
    "latent circuit": {"recurrent_layer.weight", "input_layer.weight"},
    "piecewise linear": {"A", "W", "h"},
    "shallow piecewise linear": {"A", "W1", "W2", "h1", "h2"},
    "stochastic low-rank": {"m", "n", "h", "AW"},
    "stochastic low-rank, later": {"m", "n", "h", "decay_param"},
    "torch RNN": {"weight_hh_l0", "weight_ih_l0"},
    "embedded circuit": {"Q", "w"},
    "factors": {"Gamma", "W_s"},
    "low-rank module": {"m", "n", "wi", "wo"},
    "low-rank cell": {"m", "n", "w_inp", "w_inp_scale"},
    "full-rank module": {"wrec", "wi", "wo"},
    "m and n": {"m", "n"},
}
LARGEST_WEIGHT = 1e100  # its square is a number
_NUMERICAL_RANK = 1e-6  # relative error of factors that are as good as W
_LARGEST_ERROR = 0.1  # of factors of a rank that was asked for, unless a tolerance was too
_LONGEST_LIST = 12  # of names in a message


@dataclass(frozen=True, eq=False)
class WeightFile:
    """Arrays of a file, and the mapping that says what they are.

    Parameters
    ----------
    path, arrays, mapping
        The file, what it holds, and what it does not say.
    used
        Names of the arrays that were asked for so far.
    assumed
        What the dialect's own code takes where nobody says otherwise, by field of the mapping.
    noise_vectors
        Directions, as columns (unit, latent), in which noise of units is carried by latents of its own.
    """

    path: Path | str
    arrays: Arrays
    mapping: ArrayMapping
    used: set[str] = field(default_factory=set)
    assumed: dict[str, Any] = field(default_factory=dict)
    noise_vectors: Float[np.ndarray, "unit latent"] | None = None

    @cached_property
    def prefix(self) -> str:
        """What stands before the names of the network's arrays, such as ``rnn.``."""
        if self.mapping.prefix is not None:
            if not any(name.startswith(self.mapping.prefix) for name in self.arrays):
                raise InputError(
                    f"{self.path} has no array that begins with {self.mapping.prefix!r}; it has {self.listed()}. "
                    "Give another prefix."
                )
            return self.mapping.prefix
        marks = {name for names in DIALECTS.values() for name in names} | set(USUAL_NAMES["weights"])
        prefixes = {name.removesuffix(mark) for name in self.arrays for mark in marks if name.endswith(mark)}
        prefixes = {prefix for prefix in prefixes if not prefix or prefix[-1] in "./"}
        networks = sorted(prefix for prefix in prefixes if self._is_network(prefix))
        if len(networks) > 1:
            raise InputError(
                f"{self.path} holds more than one network, behind {', '.join(map(repr, networks))}. Give prefix: one."
            )
        return networks[0] if networks else ""

    def _is_network(self, prefix: str) -> bool:
        inside = {name.removeprefix(prefix) for name in self.arrays if name.startswith(prefix)}
        return any(inside >= names for names in DIALECTS.values()) or bool(inside & set(USUAL_NAMES["weights"]))

    @cached_property
    def dialect(self) -> str | None:
        """Family of the file by the names of its arrays; None where the mapping names the recurrent matrix."""
        mapped = {part for part in ("left", "right", "m", "n", "weights") if getattr(self.mapping, part) is not None}
        if mapped:
            return None
        inside = {name.removeprefix(self.prefix) for name in self.arrays if name.startswith(self.prefix)}
        return next((name for name, marks in DIALECTS.items() if inside >= marks), None)

    def listed(self) -> str:
        """Names and shapes of the arrays, for a message."""
        shown = [f"{name or 'without a name'} {self.arrays[name].shape}" for name in sorted(self.arrays)]
        more = len(shown) - _LONGEST_LIST
        return ", ".join(shown[:_LONGEST_LIST]) + (f" and {more} more" if more > 0 else "")

    def full_name(self, name: str) -> str | None:
        """Name in the file of an array of the network, or of the module around it; None where there is none."""
        prefix = self.prefix
        while prefix + name not in self.arrays and prefix:
            prefix = prefix[: 1 + max(prefix[:-1].rfind("."), prefix[:-1].rfind("/"))]
        return prefix + name if prefix + name in self.arrays else None

    def name_of(self, part: str) -> str | None:
        """Name in the file of a part of the network, by the mapping or as usual; None where there is none."""
        mapped = getattr(self.mapping, part, None)
        if mapped is None:
            usual = (self.full_name(name) for name in USUAL_NAMES[part])
            return next((name for name in usual if name is not None), None)
        name = mapped if mapped in self.arrays else self.full_name(mapped)
        if name is None:
            raise InputError(f"{self.path} has no array {mapped!r} for {part}; it has {self.listed()}. Name one.")
        return name

    def array(self, name: str | None) -> np.ndarray:
        """Array by its name in the file: finite numbers of a usual size, a vector or a matrix."""
        if name is None or name not in self.arrays:
            raise InputError(f"{self.path} has no array {name!r}; it has {self.listed()}. Name one.")
        self.used.add(name)
        array = np.atleast_1d(self.arrays[name]).astype(np.float64)
        if array.ndim > 2:
            raise InputError(
                f"{self.path}: {name!r} has shape {array.shape}; vectors and matrices are read. Name another array."
            )
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise InputError(f"{self.path}: {name!r} holds {bad} value(s) that are NaN or infinite. Repair them.")
        largest = np.abs(array).max(initial=0.0)
        if largest >= LARGEST_WEIGHT:
            raise InputError(
                f"{self.path}: {name!r} holds a weight of {largest:.1e}, which no network has. Repair it, or map "
                "other arrays."
            )
        return array

    def own(self, name: str, *shape: int | None) -> np.ndarray:
        """Array by the name that the dialect gives it, refused in another shape than `shape`; None is any length."""
        array = self.array(self.full_name(name) or name)
        fits = len(shape) == array.ndim and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if shape and not fits:
            needed = ", ".join("any" if length is None else str(length) for length in shape)
            raise InputError(f"{self.path}: {name!r} must have shape ({needed}), found {array.shape}. Repair it.")
        return array

    def number(self, name: str) -> float | None:
        """The only number of an array of any shape, or that of all its entries; None where there is no such array."""
        full = self.full_name(name)
        if full is None or not self.arrays[full].size or self._varies(full):
            return None
        self.used.add(full)
        value = float(self.arrays[full].flat[0])
        if not np.isfinite(value):
            raise InputError(f"{self.path}: {full!r} is {value}. Repair it.")
        return value

    def _varies(self, name: str) -> bool:
        array = self.arrays[name]
        return array.size > 1 and bool((array != array.flat[0]).any())

    def vector(self, part: str, length: int) -> np.ndarray | None:
        """Entries of a part, one for each unit; None where the file has no such part."""
        name = self.name_of(part)
        if name is None:
            return None
        entries = self.array(name).reshape(-1)
        if len(entries) != length:
            raise InputError(
                f"{self.path}: the {part} {name!r} has {len(entries)} entries, the network {length} units. Name "
                "another array."
            )
        return entries

    def stated(self, field: str, choices: str, of_dialect: str | None = None) -> str:
        """Value of a field of the mapping; where it has none that of the dialect's own code, if there is one."""
        value = getattr(self.mapping, field)
        if value is None and of_dialect is not None:
            self.assumed[field] = of_dialect
            return of_dialect
        if value is None:
            raise InputError(f"{self.path} does not say which {field} its network has. Give {field}: {choices}.")
        return value

    @property
    def step(self) -> float | None:
        """Time step in units of tau: of the mapping, or of an array alpha, dt and tau, or decay; None without one."""
        if self.mapping.step is not None:
            return self.mapping.step
        for name in map(self.full_name, ("alpha", "decay")):
            if name is not None and self._varies(name):
                raise InputError(f"{self.path}: {name!r} differs from unit to unit, which is not read. Give step.")
        step, dt, tau, decay = (self.number(name) for name in ("alpha", "dt", "tau", "decay"))
        if step is None and dt is not None and tau:
            step = dt / tau
        if step is None and decay is not None:
            step = 1.0 - decay
        if step is not None and not 0 < step <= 1:
            raise InputError(
                f"{self.path} states a time step of {step:g} tau; one above 0, and at most 1, is read. Give step."
            )
        return step

    def facts(self) -> dict[str, Any]:
        """Names of all arrays and of those that nothing was made of, and what was assumed."""
        left_over = self.arrays.keys() - self.used
        left_over = sorted(name for name in left_over if re.split(r"[./]", name)[-1] not in _OF_READOUT)
        facts: dict[str, Any] = {"arrays": sorted(self.arrays), "not_used": left_over}
        return facts | ({"assumed": self.assumed} if self.assumed else {})


def factors_of(file: WeightFile, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Factors of a dense W, of the rank that was asked for or of its numerical rank, with their relative error."""
    mapping = file.mapping
    left, right, error = factored(dense, mapping.rank, mapping.tolerance or _NUMERICAL_RANK)
    allowed = _LARGEST_ERROR if mapping.tolerance is None else mapping.tolerance
    if mapping.rank is not None and error > allowed:
        enough = factored(dense, None, allowed)[0].shape[1]
        raise InputError(
            f"{file.path}: factors of rank {mapping.rank} miss W by {error:.2g} of its size (Frobenius norm), more "
            f"than {allowed:g}. Give rank = {enough} or more, or tolerance = {error:.2g} to have it so."
        )
    return left, right, {"factorisation_error": error}


def factored(
    weights: Float[np.ndarray, "unit unit"], rank: int | None = None, tolerance: float = 1e-6
) -> tuple[Float[np.ndarray, "unit rank"], Float[np.ndarray, "unit rank"], float]:
    r"""Left and right vectors of :math:`W \approx \Gamma W_s`, the best of their rank (Eckart, Young, 1936).

    Parameters
    ----------
    weights
        W; row i holds what unit i receives.
    rank
        Rank of the factors; None for the smallest whose relative Frobenius error is within `tolerance`.
    tolerance
        See `rank`.

    Returns
    -------
    left_vectors, right_vectors
        :math:`\Gamma = U_k\sqrt n`, :math:`W_s^\top = V_k S_k/\sqrt n`: entries of the left vectors are of order one.
    error
        :math:`|W - \Gamma W_s|_F / |W|_F`.

    Examples
    --------
    >>> left, right, error = factored(np.diag([2.0, 1.0, 0.0]))
    >>> left.shape, bool(np.allclose(left @ right.T, np.diag([2.0, 1.0, 0.0])))
    ((3, 2), True)
    """
    units = len(weights)
    if weights.ndim != 2 or weights.shape[1] != units or not units:
        raise InputError(f"A recurrent matrix must be square, got shape {weights.shape}. Name another array.")
    u, s, vt = np.linalg.svd(weights)
    if not s[0] > 0:
        raise InputError("The recurrent matrix is zero: there is nothing to factor. Name another array.")
    errors = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0.0) / np.sum(s**2))  # of rank 0, 1, ...
    if rank is None:
        rank = int(np.argmax(errors <= tolerance))
    if not 1 <= rank <= units:
        raise InputError(
            f"A matrix of {units} units has factors of rank 1 to {units}, not {rank}. Ask for one of these."
        )
    return u[:, :rank] * np.sqrt(units), vt[:rank].T * s[:rank] / np.sqrt(units), float(errors[rank])
