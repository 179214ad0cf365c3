"""Chaotic flows: Lorenz's, Dadras' and Momeni's, and those of the collection dysts, scaled alike in space and time."""

from __future__ import annotations

import copy
import difflib
import importlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.systems.integration import integrate, stable_step
from ddm2snn.systems.system import Drift, System

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Latents, States

_CYCLE = 6.6633  # rate time units that a period lasts: van der Pol's cycle at mu = 1
_LARGEST_RANK = 6
_TRANSIENT, _RECORDED, _PER_PERIOD = 20, 140, 30  # periods, periods, points
_TRIALS, _STEPS = 128, 4000  # for a look at whether the noise leaves the basin
_ACCURACY = 1e-10  # of a formula on arrays, relative to itself on single points: rounding alone is far below
_NAMES_HELP = "Take one of ddm2snn.systems.chaos.names()."
_Facts = Mapping[str, Mapping[str, Any]]


def lorenz(sigma: float = 10.0, rho: float = 28.0, beta: float = 8.0 / 3.0, noise: float = 0.1) -> System:
    r"""Lorenz's convection model, driven by white noise.

    .. math:: f(x, y, z) = (\sigma (y - x),\; x (\rho - z) - y,\; x y - \beta z)

    The noise, in each variable, is per square root of the time unit (our choice). A widely copied spiking example of
    Lorenz's system has one term too many, which amounts to rho = 38.5. Source: Lorenz, J. Atmos. Sci. 20 (1963); as a
    target of drift-diffusion matching in arXiv 2602.14885.

    Examples
    --------
    >>> system = lorenz()
    >>> system.known["lyapunov"]
    (0.9056, 0.0, -14.5723)
    >>> system.drift(np.array([1.0, 1.0, 1.0])).round(3)
    array([ 0.   , 26.   , -1.667])
    """

    def drift(state: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        x, y, z = state[..., 0], state[..., 1], state[..., 2]
        return np.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z], axis=-1)

    usual = (sigma, rho, beta) == (10.0, 28.0, 8.0 / 3.0)
    # Lyapunov spectrum: Sprott, Chaos and Time-Series Analysis (2003), appendix A
    known = {"lyapunov": (0.9056, 0.0, -14.5723), "mean_z": 23.55, "deviations": (7.92, 9.01, 8.62)} if usual else {}
    return System(
        name="lorenz",
        rank=3,
        drift=drift,
        diffusion=noise,
        initial=lambda rng, count: rng.normal([0.0, 0.0, 25.0], [8.0, 8.0, 8.0], (count, 3)),
        time_scale=1.0,
        units=512,
        known=known,
        summary="stochastic Lorenz system, sigma = 10, rho = 28, beta = 8/3, noise 0.1",
        latent_names=("x", "y", "z"),
    )


def dadras(
    a: float = 3.0, b: float = 2.7, c: float = 1.7, d: float = 2.0, e: float = 9.0, noise: float = 0.1
) -> System:
    r"""Chaotic flow whose attractor has two to four scrolls, driven by white noise.

    .. math:: f(x, y, z) = (y - a x + b y z,\; c y - x z + z,\; d x y - e z)

    Source: Dadras, Momeni, Phys. Lett. A 373 (2009); as a target of drift-diffusion matching in
    arXiv 2602.14885. The noise, per square root of the time unit, is our choice.

    Examples
    --------
    >>> dadras().drift(np.array([1.0, 1.0, 1.0]))
    array([ 0.7,  1.7, -7. ])
    """

    def drift(state: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        x, y, z = state[..., 0], state[..., 1], state[..., 2]
        return np.stack([y - a * x + b * y * z, c * y - x * z + z, d * x * y - e * z], axis=-1)

    return System(
        name="dadras",
        rank=3,
        drift=drift,
        diffusion=noise,
        initial=lambda rng, count: rng.standard_normal((count, 3)),
        time_scale=1.0,
        units=1024,
        summary="stochastic Dadras-Momeni system, a, b, c, d, e = 3, 2.7, 1.7, 2, 9, noise 0.1",
        latent_names=("x", "y", "z"),
    )


def from_dysts(name: str, noise: float = 0.01) -> System:
    r"""Autonomous chaotic flow of the collection ``dysts``, with a little white noise.

    With F the published flow, m and s the mean and standard deviation of its variables on the attractor
    and T its period (the dominant peak of its spectrum, from the collection),

    .. math:: dz = \frac{T}{6.6633}\,\frac{F(m + s z)}{s}\,dt + \sigma\,dw

    so every latent has zero mean and unit variance, and a period lasts as many rate time units as the cycle
    of the van der Pol oscillator does. ``known`` holds that period, the largest Lyapunov exponent per rate
    time unit as the collection estimates it (for Rossler twice the textbook's), and ``offset``, ``scale``
    and ``time_unit``: m, s and the original time that a rate time unit lasts. m, s and the starting points come
    from one noise-free trajectory of 140 periods; the collection's own are far off for some flows, such as Bouali2.

    Names are as the collection spells them; `names` lists them. The noise sigma (our choice) is per square root of the
    rate time unit in latents of unit variance.

    Flows of small basins, which noise 0.01 drives to infinity (SprottL, SprottQ, RabinovichFabrikant), are refused;
    most of them take 0.001. Flows that preserve volumes (NoseHoover, SprottA, NuclearQuadrupole) wander away from
    their orbits under noise: they have no stationary state.

    Source: Gilpin, Chaos as an interpretable benchmark for forecasting and data-driven modelling, NeurIPS
    Datasets and Benchmarks (2021), arXiv 2110.05266. The scaling and the noise are ours.

    Raises
    ------
    InputError
        Where the package is missing, there is no such flow, or a rate network cannot have it as its target: it
        has a delay, a drive, a latent that grows without bound or more than six dimensions, it lives in discrete
        time, it comes to rest, or its noise drives it to infinity.
    """
    if not isinstance(noise, int | float) or not 0 <= noise < np.inf:
        raise InputError(f"from_dysts.noise must be a finite number, zero or above, got {noise!r}.")
    flows, all_facts, maps = _collection()
    facts = _facts(name, all_facts, maps)
    reason = _why_not(flows, name, facts)
    if reason:
        raise InputError(f"dysts:{name} cannot be a target here: {reason}. {_NAMES_HELP}")
    model = getattr(flows, name)()
    path = _attractor(name, model, facts)
    offset, scale, time_unit = path.mean(axis=0), path.std(axis=0), facts["period"] / _CYCLE
    points, flow = (path - offset) / scale, _on_arrays(model)

    def drift(z: Latents) -> Latents:
        return time_unit * flow(offset + scale * z) / scale

    _check_confined(name, drift, points, noise)
    return System(
        name=f"dysts:{name}",
        rank=path.shape[1],
        drift=drift,
        diffusion=noise,
        initial=lambda rng, count: points[rng.integers(len(points), size=count)],
        time_scale=1.0,
        units=256,
        known={
            "period": _CYCLE,
            "largest_lyapunov": facts["maximum_lyapunov_estimated"] * time_unit,
            "offset": offset,
            "scale": scale,
            "time_unit": time_unit,
        },
        summary=f"{facts['description'].strip().rstrip('.')}, from the collection dysts, noise {noise:g}",
    )


def names() -> list[str]:
    """Names of the flows that `from_dysts` takes; a few are refused later, for their trajectories."""
    flows, all_facts, _ = _collection()
    return sorted(name for name, facts in all_facts.items() if _why_not(flows, name, facts) is None)


def _collection() -> tuple[ModuleType, _Facts, _Facts]:
    """Classes of the package's flows, and what it states about its flows and its maps, by name."""
    try:
        with warnings.catch_warnings():
            # the formulas are used uncompiled, on arrays
            warnings.filterwarnings("ignore", message="Numba not installed", category=UserWarning)
            flows, base = importlib.import_module("dysts.flows"), importlib.import_module("dysts.base")
    except ModuleNotFoundError as error:
        raise InputError(
            f"The flows dysts:Name need the package dysts, and {error.name!r} is not installed. "
            "Get it by: pip install 'ddm2snn[dysts]'."
        ) from error
    files = (base.DATAPATH_CONTINUOUS, base.DATAPATH_DISCRETE)
    facts, maps = (json.loads(Path(file).read_text(encoding="utf-8")) for file in files)
    return flows, facts, maps


def _facts(name: str, facts: _Facts, maps: _Facts) -> Mapping[str, Any]:
    if name in facts:
        return facts[name]
    if name in maps:
        raise InputError(f"dysts:{name} is a map in discrete time, not a flow. {_NAMES_HELP}")
    spellings = {flow.lower(): flow for flow in facts}
    similar = [spellings[flow] for flow in difflib.get_close_matches(name.lower(), spellings, n=3, cutoff=0.6)]
    hint = f"Did you mean {' or '.join(f'dysts:{flow}' for flow in similar)}?" if similar else _NAMES_HELP
    raise InputError(f"There is no flow {name!r} in the collection dysts. {hint}")


def _why_not(flows: ModuleType, name: str, facts: Mapping[str, Any]) -> str | None:
    """Why a rate network cannot have this flow as its target; None where it can."""
    if facts["delay"]:
        return "it has a delay, so its state is a stretch of its past and no vector"
    if facts["nonautonomous"]:
        return "it is driven from outside, so its drift depends on time"
    if facts["unbounded_indices"]:
        return f"latent(s) {facts['unbounded_indices']} are angles or places that grow without bound"
    if facts["embedding_dimension"] > _LARGEST_RANK:
        return f"it has {facts['embedding_dimension']} dimensions, and at most {_LARGEST_RANK} are taken"
    model = getattr(flows, name)()
    rng = np.random.default_rng(0)
    start = np.asarray(facts["initial_conditions"], dtype=np.float64)
    points = start + 0.1 * np.asarray(facts["std"]) * rng.standard_normal((8, len(start)))
    # the package's own function takes one state
    early, late = (np.array([model.rhs(point, time) for point in points], dtype=np.float64) for time in (0.0, 1.7))
    if not np.array_equal(early, late, equal_nan=True):
        return "its drift depends on time"
    return None if _agrees(model, points, early) else "its formula holds for single points only, not for arrays"


def _agrees(model: Any, points: States, expected: States) -> bool:  # noqa: ANN401 - of the optional package
    """Whether the formula on arrays gives what the package's own gives point by point."""
    try:
        values = _on_arrays(model)(points)
    except (ValueError, TypeError):  # what `max(0, x)` or a bare `if` of an array raise
        return False
    return bool((np.abs(values - expected) <= _ACCURACY * np.abs(expected).max(axis=0)).all())


def _on_arrays(model: Any) -> Drift:  # noqa: ANN401
    """Right-hand side on arrays (..., rank)."""
    shared = importlib.import_module("dysts.base").DynSys.rhs
    if type(model).rhs is shared:
        formula = getattr(model._rhs, "py_func", model._rhs)  # under Numba the plain function hides behind the compiled

        def evaluate(columns: Float[np.ndarray, "rank sample"]) -> Any:  # noqa: ANN401
            return formula(*columns, 0.0, *model.param_list)
    else:
        wide = copy.copy(model)
        for key, value in model.params.items():
            if np.ndim(value) == 1:
                setattr(wide, key, np.asarray(value)[:, None])

        def evaluate(columns: Float[np.ndarray, "rank sample"]) -> Any:  # noqa: ANN401
            return wide.rhs(columns, 0.0)

    def drift(z: Latents) -> Latents:
        columns = np.moveaxis(np.asarray(z), -1, 0).reshape(np.shape(z)[-1], -1)
        rows = [np.broadcast_to(row, columns.shape[1:]) for row in evaluate(columns)]
        return np.stack(rows, axis=-1).reshape(np.shape(z))

    return drift


def _attractor(name: str, model: Any, facts: Mapping[str, Any]) -> States:  # noqa: ANN401
    """Noise-free trajectory after its transient; refused where it comes to rest.

    Integrates the formula on arrays, which rounds alike with and without Numba: another rounding would lead
    to another chaotic path, and so to another mean and scale.
    """
    from scipy.integrate import solve_ivp

    period, spread = facts["period"], np.asarray(facts["std"], dtype=np.float64)
    field = _on_arrays(model)
    times = period * np.linspace(_TRANSIENT, _TRANSIENT + _RECORDED, _RECORDED * _PER_PERIOD)
    with np.errstate(all="ignore"):
        solution = solve_ivp(
            lambda time, state: field(state),
            (0.0, times[-1]), np.asarray(facts["initial_conditions"], dtype=np.float64), method="LSODA",
            t_eval=times, rtol=1e-6, atol=1e-6 * spread,
        )  # fmt: skip
    path = solution.y.T
    if solution.status != 0 or len(path) != len(times) or not np.isfinite(path).all():
        raise InputError(f"dysts:{name} could not be integrated from its initial condition: {solution.message}.")
    last = path[-len(path) // 4 :]
    if (last.std(axis=0) < 1e-2 * path.std(axis=0)).any():
        raise InputError(f"dysts:{name} comes to rest: its chaos is a transient only. {_NAMES_HELP}")
    return path


def _check_confined(name: str, drift: Drift, points: States, noise: float) -> None:
    """Refuse noise that drives trajectories out of the basin of their attractor."""
    rng = np.random.default_rng(0)
    state = points[rng.integers(len(points), size=_TRIALS)]
    with np.errstate(all="ignore"):
        dt = stable_step(drift, state)
        try:
            integrate(drift, noise * np.eye(points.shape[1]), state, dt=dt, steps=_STEPS + 1, stride=100, rng=rng)
        except InputError as error:
            remedy = "Take another flow"
            if noise:
                less = f"from_dysts({name!r}, noise={noise / 10:g})"
                remedy = f"Take less of it: {less}, for commands as file.py:attribute"
            raise InputError(f"dysts:{name} runs away to infinity under noise {noise:g}. {remedy}.") from error
