"""Flow of the latents: Jacobians of its drift, and stationary trajectories."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.diffusion_tensor import symmetric_factor
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import Drift, Factor, Latents, Paths, Tensors

Jacobian = Callable[["Latents"], "Tensors"]

# central differences: rounding over the step balances the step squared near the cube root of the precision
_STEP = float(np.finfo(np.float64).eps ** (1 / 3))

SLOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    # 1 - tanh^2 would lose all digits of saturated units
    "tanh": lambda x: (4.0 * np.exp(-2.0 * np.abs(x))) / (1.0 + np.exp(-2.0 * np.abs(x))) ** 2,
    "relu": lambda x: (np.asarray(x) > 0).astype(np.float64),
}
r"""Derivative :math:`\phi'(x)` by activation, where it is finite everywhere; zero at the kink of a rectifier."""


def central_jacobian(drift: Drift) -> Jacobian:
    r"""Jacobian by central differences: :math:`J_{ij} \approx [f_i(z + h e_j) - f_i(z - h e_j)] / 2h`.

    The step is the cube root of the machine precision times :math:`\max(1, |z_j|)`, so the error is some
    1e-10 of third derivatives.

    Drift and Jacobian are functions of arrays (..., rank); [i, j] is the derivative of f_i by z_j.

    Examples
    --------
    >>> jacobian = central_jacobian(lambda z: z**2)
    >>> jacobian(np.array([1.0, 3.0])).round(6)
    array([[2., 0.],
           [0., 6.]])
    """

    def jacobian(latent: Latents) -> Tensors:
        z = np.asarray(latent, dtype=np.float64)
        step = _STEP * np.maximum(1.0, np.abs(z))
        shift = step[..., None] * np.eye(z.shape[-1])  # (..., latent that is moved, rank)
        upper, lower = z[..., None, :] + shift, z[..., None, :] - shift
        width = np.diagonal(upper - lower, axis1=-2, axis2=-1)  # after rounding
        return np.swapaxes((drift(upper) - drift(lower)) / width[..., None], -1, -2)

    return jacobian


def network_jacobian(network: RateNetwork) -> Jacobian:
    r"""Jacobian of the latent drift of a rate network in system units, shape (..., rank, rank).

    .. math:: J = \Lambda\,[W_s\,\mathrm{diag}(\phi'(\Gamma z + b))\,\Gamma - 1]\,\Lambda^{-1}

    with :math:`\Lambda` the latent scales; O(n k^2) per point. An activation whose slope is not in `SLOPES` is
    differentiated by central differences.

    Examples
    --------
    >>> from ddm2snn.network import RateNetwork
    >>> network = RateNetwork(
    ...     left_vectors=[[2.0]], right_vectors=[[1.0]], bias=[0.0], diffusion_factor=[[0.0]], input_map=[[1.0]],
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=[[-1.0], [1.0]],
    ... )
    >>> network_jacobian(network)(np.array([0.0]))  # 2 phi'(0) - 1
    array([[1.]])
    """
    slope = SLOPES.get(network.activation)
    if slope is None:
        return central_jacobian(network.drift)
    gamma, w_s, rank = network.left_vectors, network.right_vectors.T, network.rank
    products = np.einsum("in,nj->nij", w_s, gamma).reshape(network.units, rank * rank)
    ratio = network.latent_scale[:, None] / network.latent_scale

    def jacobian(latent: Latents) -> Tensors:
        z = to_internal(network, latent)
        gain = slope(z @ gamma.T + network.bias)
        return ((gain @ products).reshape(*z.shape, rank) - np.eye(rank)) * ratio

    return jacobian


def stationary_paths(
    network: RateNetwork,
    *,
    trials: int,
    duration: float,
    every: float,
    burn_in: float,
    rng: np.random.Generator,
    progress: Progress = no_progress,
) -> Paths:
    """Trajectories of ``dz = f(z) dt + G(z) dw`` from the network's initial states, after a burn-in.

    Trajectories are in system units. Their duration, sampling interval and burn-in are in rate time units; the step is
    shortened so that `every` is a multiple of it.

    Raises
    ------
    InputError
        Where a setting makes no sense or a trajectory leaves the range of finite numbers.

    Examples
    --------
    >>> from ddm2snn.network import RateNetwork
    >>> network = RateNetwork(
    ...     left_vectors=[[2.0]], right_vectors=[[1.0]], bias=[0.0], diffusion_factor=[[0.1]], input_map=[[1.0]],
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=[[-1.0], [1.0]],
    ... )
    >>> rng = np.random.default_rng(0)
    >>> path = stationary_paths(network, trials=20, duration=5.0, every=0.5, burn_in=5.0, rng=rng)
    >>> np.abs(path).mean().round(1)  # around the two stable states, at -0.96 and 0.96
    np.float64(1.0)
    """
    check_positive("stationary_paths", duration=duration, every=every)
    if not (np.isfinite(burn_in) and burn_in >= 0):
        raise InputError(f"stationary_paths.burn_in must be a finite number from zero up, got {burn_in!r}.")
    states = network.initial_latent
    count = as_count("stationary_paths.trials", trials)
    start = states[rng.choice(len(states), size=count, replace=count > len(states))]
    stride = int(np.ceil(every / (stable_step(network.drift, states))))
    before, samples = round(burn_in / every), max(1, round(duration / every))
    path = integrate(
        network.drift,
        _factor(network),
        start,
        dt=every / stride,
        steps=(before + samples) * stride,
        stride=stride,
        rng=rng,
        progress=progress,
    )
    return path[:, before:]


def _factor(network: RateNetwork) -> Float[np.ndarray, "rank rank"] | Factor:
    """Symmetric factor of the noise: a matrix where the tensor is the same at all initial states, else a function."""
    tensors = network.diffusion(network.initial_latent)
    if len(tensors) > 1 and not np.allclose(tensors, tensors[0], rtol=1e-12, atol=0.0):
        return lambda z: symmetric_factor(network.diffusion(z))
    return symmetric_factor(tensors[0])
