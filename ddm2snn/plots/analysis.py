"""Figures of analyses; every function returns a Figure and touches no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from ddm2snn.analysis.subspace import Subspace, full_state
from ddm2snn.analysis.symmetry import Projection, energy, latent_parts
from ddm2snn.errors import InputError
from ddm2snn.plots.style import COLOURS, MARKERS, limits, subplots

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.contour import ContourSet
    from matplotlib.figure import Figure

    from ddm2snn.analysis.analyse import Analysis
    from ddm2snn.analysis.fixed_points import FixedPoint
    from ddm2snn.analysis.irreversibility import Irreversibility
    from ddm2snn.analysis.lyapunov import LyapunovSpectrum
    from ddm2snn.network import RateNetwork

    Samples = Float[np.ndarray, "sample rank"]

_BLACK, _BLUE, _VERMILION = COLOURS[:3]
_GRID = 81
_WIDE = {"outside": 0.001, "margin": 0.15}
_AXES_SHOWN = 20


def analysis_figures(analysis: Analysis) -> dict[str, Figure]:
    """Figures of an analysis by name; an analysis that was left out has none."""
    flat = analysis.samples.reshape(-1, analysis.network.rank)
    drawn = {"subspace": subspace_spectrum(analysis.subspace)}
    if analysis.symmetry:
        drawn["symmetry"] = symmetry_parts(analysis.network, flat, projection=analysis.projection)
    if analysis.irreversibility and analysis.network.rank == 2:
        drawn["irreversibility"] = reversibility_parts(analysis.irreversibility, flat)
    if analysis.fixed_points:
        drawn["fixed-points"] = jacobian_eigenvalues(analysis.fixed_points)
    if analysis.lyapunov:
        drawn["lyapunov"] = lyapunov_bars(analysis.lyapunov)
    for axis in (axis for figure in drawn.values() for axis in figure.axes):
        axis.title.set_fontsize(10)
    return drawn


def subspace_spectrum(subspace: Subspace) -> Figure:
    """Standard deviation along the principal axes of the full state."""
    figure, axis = subplots(5.4, 3.2)
    shown = subspace.deviations[:_AXES_SHOWN]
    number = np.arange(1, len(shown) + 1)
    above = number <= subspace.rank
    # a logarithmic axis has no zero: exact zeros are drawn where rounding begins
    height = np.maximum(shown, shown[0] * np.finfo(np.float64).eps ** 1.1)
    axis.semilogy(number[above], height[above], "o", color=_BLUE, ms=6, label=f"{subspace.rank} above rounding")
    if not above.all():
        axis.semilogy(number[~above], height[~above], "s", color=_VERMILION, ms=5, mfc="white", label="rounding")
    axis.set(xlabel="principal axis", ylabel="standard deviation of $x$", xlim=(0.3, len(shown) + 0.7))
    axis.set_title("Principal components of the full state")
    axis.set_xticks(number[:: max(1, len(number) // 10)])
    axis.legend(frameon=False, fontsize=9, loc="upper right")
    return figure


def symmetry_parts(network: RateNetwork, samples: Samples, *, projection: Projection = "gradient-flow") -> Figure:
    """Energy of the symmetric part and both parts of the drift over the plane of the first two latents.

    Further latents stay at the mean of the samples; a single latent gives curves. `projection` is that of
    `latent_parts`.
    """
    if network.rank == 1:
        return _symmetry_line(network, samples, projection)
    figure, (left, right), x, y, z = _plane(samples)
    height = energy(network, full_state(network, z))
    parts = latent_parts(network, z, projection=projection)
    # without a limit, the corners of the plane, where no sample lies, would take most of the scale
    top = np.quantile(height, 0.9)
    levels = np.linspace(height.min(), top if top > height.min() else height.min() + 1.0, 17)
    filled = left.contourf(x, y, height, levels=levels, cmap="Blues_r", extend="max")
    _stream(filled, x, y, parts.symmetric, _VERMILION, "energy $E$", "%.3g")
    filled = right.contourf(x, y, np.linalg.norm(parts.antisymmetric[..., :2], axis=-1), levels=16, cmap="Greys")
    _stream(filled, x, y, parts.antisymmetric, _BLUE, "speed (per rate time unit)", "%.3g")
    left.set_title("Symmetric part and its energy")
    right.set_title("Antisymmetric part")
    return figure


def _symmetry_line(network: RateNetwork, samples: Samples, projection: Projection) -> Figure:
    figure, (left, right) = subplots(9.0, 3.2, columns=2)
    low, high = limits(samples[:, 0], **_WIDE)
    z = np.linspace(low, high, 400)[:, None]
    parts = latent_parts(network, z, projection=projection)
    left.plot(z[:, 0], energy(network, full_state(network, z)), color=_BLACK)
    left.set(xlabel="$z_0$", ylabel="energy $E$", title="Energy of the symmetric part")
    right.axhline(0.0, color="0.8", lw=0.8)
    right.plot(z[:, 0], parts.symmetric[:, 0], color=_VERMILION, label="symmetric")
    right.plot(z[:, 0], parts.antisymmetric[:, 0], color=_BLUE, ls="--", label="antisymmetric")
    right.set(xlabel="$z_0$", ylabel="drift (per rate time unit)", title="Parts of the drift")
    right.legend(frameon=False, fontsize=9)
    return figure


def reversibility_parts(split: Irreversibility, samples: Samples) -> Figure:
    """Density with the reversible drift, and the probability current, of exactly two latents."""
    from scipy.spatial import KDTree

    if samples.shape[-1] != 2:
        raise InputError(f"The figure of currents needs two latents, got {samples.shape[-1]}.")
    figure, (left, right), x, y, z = _plane(samples)
    cell = z[1, 1] - z[0, 0]
    distance, _ = KDTree(samples / cell).query(z / cell, k=8)
    far = ~(np.asarray(distance)[..., -1] < 2.5)  # from all samples: there the fit is an extrapolation, and not drawn
    density = np.exp(split.log_density(np.where(far[..., None], samples.mean(axis=0), z)))
    current, reversible = split.current(z), split.reversible(z)
    for drawn in (density, current, reversible):
        drawn[far] = np.nan
    filled = left.contourf(x, y, density, levels=np.linspace(0, np.nanmax(density), 17), cmap="Blues")
    _stream(filled, x, y, reversible, _VERMILION, "density $p$", "%.2g")
    size = np.linalg.norm(current, axis=-1)
    filled = right.contourf(x, y, size, levels=np.linspace(0, np.nanmax(size) or 1.0, 17), cmap="Greys")
    _stream(filled, x, y, current, _BLUE, "current $|J|$ (per rate time unit)", "%.2g")
    rate = split.entropy_production
    left.set_title("Reversible drift\non the stationary density")
    right.set_title(f"Probability current\nentropy production {rate.value:.4g} [{rate.low:.4g}, {rate.high:.4g}]")
    return figure


def jacobian_eigenvalues(points: Sequence[FixedPoint]) -> Figure:
    """Eigenvalues of the Jacobian at every fixed point, in the complex plane."""
    if not points:
        raise InputError("There is no fixed point to draw.")
    figure, axis = subplots(6.6, 3.6)
    for index, kind in enumerate(sorted({point.kind for point in points})):
        same = [point for point in points if point.kind == kind]
        values = np.concatenate([point.eigenvalues for point in same])
        axis.plot(
            np.real(values), np.imag(values), ls="", ms=7, mfc="none", mew=1.5,
            color=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)],
            label=f"{kind} ({len(same)})",
        )  # fmt: skip
    axis.axvline(0.0, color="0.6", lw=1, zorder=0)
    axis.axhline(0.0, color="0.9", lw=1, zorder=0)
    axis.margins(0.12)
    if max(np.abs(np.imag(point.eigenvalues)).max() for point in points) < 1e-9:
        axis.set_ylim(-1, 1)
    axis.set_title("Jacobian eigenvalues at the fixed points")
    axis.set(xlabel="real part (per rate time unit)", ylabel="imaginary part")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return figure


def lyapunov_bars(spectrum: LyapunovSpectrum) -> Figure:
    """Lyapunov exponents with twice their standard errors."""
    figure, axis = subplots(5.0, 3.2)
    number = np.arange(1, len(spectrum.exponents) + 1)
    colours = [_VERMILION if value > 0 else _BLUE for value in spectrum.exponents]
    bars = axis.bar(number, spectrum.exponents, yerr=2 * spectrum.standard_error, color=colours, width=0.6, capsize=4)
    axis.bar_label(bars, labels=[f"{value:.3g}" for value in spectrum.exponents], padding=4, fontsize=9)
    axis.axhline(0.0, color=_BLACK, lw=0.8)
    axis.margins(y=0.15)
    axis.set_xticks(number, [rf"$\lambda_{{{n}}}$" for n in number])
    axis.set(ylabel="exponent (per rate time unit)", xlim=(0.4, len(number) + 0.6))
    axis.set_title(f"Lyapunov spectrum; Kaplan-Yorke dimension {spectrum.kaplan_yorke_dimension:.3g}")
    return figure


def _plane(samples: Samples) -> tuple[Figure, tuple[Axes, Axes], np.ndarray, np.ndarray, np.ndarray]:
    """Two axes over a grid of the first two latents, the others at their mean; points have shape (y, x, rank)."""
    figure, axes = subplots(9.0, 3.9, columns=2, sharex=True, sharey=True)
    for axis in axes:
        axis.set_xlabel("$z_0$" if samples.shape[1] == 2 else "$z_0$ (further latents at their mean)")
    axes[0].set_ylabel("$z_1$")
    x, y = (np.linspace(*limits(samples[:, d], **_WIDE), _GRID) for d in (0, 1))
    z = np.broadcast_to(samples.mean(axis=0), (_GRID, _GRID, samples.shape[1])).copy()
    z[..., 0], z[..., 1] = np.meshgrid(x, y)
    return figure, tuple(axes), x, y, z


def _stream(
    filled: ContourSet, x: np.ndarray, y: np.ndarray, field: np.ndarray, colour: str, name: str, form: str
) -> None:
    """Lines of a field over filled contours, whose colours a bar explains."""
    axis = cast("Axes", filled.axes)
    axis.streamplot(x, y, field[..., 0], field[..., 1], color=colour, density=0.9, linewidth=0.8, arrowsize=0.9)
    axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axis.figure.colorbar(filled, ax=axis, format=form, shrink=0.9).set_label(name)
