r"""An oracle for planar diffusions: the Fokker-Planck equation by finite volumes, without samples.

.. math:: \partial_t p = -\nabla\cdot J, \qquad J = v p - D\nabla p, \qquad
    v = f - \nabla\cdot D, \quad D = \tfrac12 G G^\top, \quad (\nabla\cdot D)_i = \textstyle\sum_j \partial_j D_{ij}

for dz = f dt + G dw in the sense of Ito, on the cells of a rectangle whose edge nothing crosses. It shares no code with
`ddm2snn.analysis`, which it judges.

Fluxes through a face between the cells L and R, a width h apart, at Pe = v h / D:

- ``scharfetter-gummel``: :math:`J = \tfrac{D}{h}[B(-Pe)\,p_L - B(Pe)\,p_R]` with :math:`B(x) = x / (e^x - 1)`. Exact
  where v and D are constant across the two cells; the density is positive on every grid, and detailed balance holds
  on the grid where it holds in the plane. Its error is that of a diffusion :math:`D\,\tfrac{Pe}{2}\coth\tfrac{Pe}{2}`,
  which takes fine cells where noise is weak beside a drift that is no gradient. Source: Scharfetter, Gummel, IEEE
  Trans. Electron Devices 16 (1969); as Chang, Cooper, J. Comput. Phys. 6 (1970).
- ``central``: value and slope from the means of four cells. Its error does not grow as noise becomes weak: of fourth
  order in h over the width of the density along an axis, of second order where v or D vary across it. Where p is tiny
  it can be negative. Source: LeVeque, Finite Volume Methods for Hyperbolic Problems (2002), chapter 17.

Off-diagonal elements of D are taken by central differences of second order in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

Scheme = Literal["scharfetter-gummel", "central"]
Field = Callable[[np.ndarray], np.ndarray]

_STEP = 1e-5  # of central differences of D
_CONVERGED = 1e-10  # change of the density in an iteration, its integral being one
# cells from the low side of a face: weight in its value and in its slope times h, with four cells and with two
_CENTRAL = {
    -1: ((-1 / 12, 0.0), (1 / 12, 0.0)),
    0: ((7 / 12, 0.5), (-15 / 12, -1.0)),
    1: ((7 / 12, 0.5), (15 / 12, 1.0)),
    2: ((-1 / 12, 0.0), (-1 / 12, 0.0)),
}


@dataclass(frozen=True)
class Grid:
    """Equal cells of a rectangle.

    Parameters
    ----------
    low, high
        Corners, shape (2,).
    cells
        Number along each axis.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    cells: tuple[int, int]

    @property
    def width(self) -> np.ndarray:
        """Widths of a cell, shape (2,)."""
        return (np.array(self.high) - np.array(self.low)) / np.array(self.cells)

    @property
    def area(self) -> float:
        """Area of a cell."""
        return float(np.prod(self.width))

    def points(self, axis: int | None = None) -> np.ndarray:
        """Middles of the cells, or of the inner faces across `axis`; shape (x, y, 2)."""
        lines = []
        for along in (0, 1):
            count, shift = (self.cells[along] - 1, 1.0) if along == axis else (self.cells[along], 0.5)
            lines.append(self.low[along] + self.width[along] * (np.arange(count) + shift))
        return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)

    def edges(self, axis: int) -> np.ndarray:
        """Edges of the cells along `axis`."""
        return np.linspace(self.low[axis], self.high[axis], self.cells[axis] + 1)


def bernoulli(x: np.ndarray) -> np.ndarray:
    """x / (exp(x) - 1), one at zero."""
    small = np.abs(x) < 1e-8
    safe = np.where(small, 1.0, np.clip(x, -700.0, 700.0))
    return np.where(small, 1.0 - x / 2, safe / np.expm1(safe))


def half(tensor: Field, z: np.ndarray) -> np.ndarray:
    """D = G G^T / 2 at z."""
    return 0.5 * tensor(z)


def velocity(drift: Field, tensor: Field, z: np.ndarray) -> np.ndarray:
    """v = f - div D at z."""
    spread = np.zeros_like(z)
    for axis in (0, 1):
        shift = _STEP * np.eye(2)[axis]
        spread += (half(tensor, z + shift) - half(tensor, z - shift))[..., axis] / (2 * _STEP)
    return drift(z) - spread


@dataclass(frozen=True, eq=False)
class Planar:
    """A planar diffusion on a grid.

    Parameters
    ----------
    drift, tensor
        f and G G^T as functions of arrays (..., 2).
    grid
        Cells of the rectangle.
    scheme
        How fluxes are taken.
    """

    drift: Field
    tensor: Field
    grid: Grid
    scheme: Scheme = "central"

    @cached_property
    def fluxes(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """J through the inner faces across each axis as matrices (face, cell) times the means of p."""
        return self._flux(0), self._flux(1)

    @cached_property
    def generator(self) -> sparse.csc_matrix:
        """L of dp/dt = L p, shape (cell, cell); its columns add up to zero, so nothing is lost."""
        total = sparse.csc_matrix((np.prod(self.grid.cells),) * 2)
        for axis, flux in enumerate(self.fluxes):
            cell = self._cells(axis)
            faces = np.arange(flux.shape[0])
            ones = np.ones(len(faces)) / self.grid.width[axis]
            low, high = cell(0), cell(1)
            shape = (total.shape[0], len(faces))
            out = sparse.csr_matrix((ones, (high, faces)), shape) - sparse.csr_matrix((ones, (low, faces)), shape)
            total = total + out @ flux
        return sparse.csc_matrix(total)

    @cached_property
    def density(self) -> np.ndarray:
        """Stationary density, means over the cells, shape (x, y); by inverse iteration.

        Raises
        ------
        ArithmeticError
            Where the iteration does not settle.
        """
        shift = 1e-13 * np.abs(self.generator.diagonal()).max()
        solve = splu(sparse.csc_matrix(self.generator - shift * sparse.identity(self.generator.shape[0]))).solve
        p = np.full(self.generator.shape[0], 1.0)
        for _ in range(20):
            before = p / (p.sum() * self.grid.area)
            p = solve(before)
            p /= p.sum() * self.grid.area
            if np.abs(p - before).sum() * self.grid.area < _CONVERGED:
                return p.reshape(self.grid.cells)
        raise ArithmeticError("The stationary density did not settle. Use smaller cells or a larger rectangle.")

    @cached_property
    def current(self) -> np.ndarray:
        """Stationary current J in the middles of the cells, from their faces, shape (x, y, 2)."""
        found = np.zeros((*self.grid.cells, 2))
        for axis, flux in enumerate(self.fluxes):
            through = (flux @ self.density.ravel()).reshape(self.grid.points(axis).shape[:2])
            along = np.moveaxis(found, axis, 0)[..., axis]
            along[:-1] += np.moveaxis(through, axis, 0) / 2
            along[1:] += np.moveaxis(through, axis, 0) / 2
        return found

    @property
    def entropy_production(self) -> float:
        r""":math:`\int J^\top D^{-1} v`, which is :math:`\int J^\top D^{-1} J / p` since J has no divergence."""
        z = self.grid.points()
        force = np.linalg.solve(half(self.tensor, z), velocity(self.drift, self.tensor, z)[..., None])[..., 0]
        return float((self.current * force).sum() * self.grid.area)

    def passage_time(self, target: np.ndarray) -> np.ndarray:
        """Mean time until the cells of `target` (x, y) are first reached, from every cell; L^T t = -1 outside."""
        free = np.flatnonzero(~target.ravel())
        backward = sparse.csc_matrix(self.generator.T[free][:, free])
        time = np.zeros(target.size)
        time[free] = splu(backward).solve(-np.ones(len(free)))
        return time.reshape(target.shape)

    def escape_rate(self, core: np.ndarray, target: np.ndarray) -> float:
        """One over the mean passage time from the cells of `core`, weighted by the density, to those of `target`."""
        weight = self.density * core
        return float(weight.sum() / (weight * self.passage_time(target)).sum())

    def _cells(self, axis: int) -> Callable[..., np.ndarray]:
        """Index of the cell `step` cells along the axis and `aside` across it from the low side of every face."""
        first, second = (np.arange(n - (along == axis)) for along, n in enumerate(self.grid.cells))
        index = [line.ravel() for line in np.meshgrid(first, second, indexing="ij")]

        def cell(step: int, aside: int = 0) -> np.ndarray:
            along, across = index[axis] + step, index[1 - axis] + aside
            inside = (along >= 0) & (along < self.grid.cells[axis])
            inside &= (across >= 0) & (across < self.grid.cells[1 - axis])
            place = (along, across) if axis == 0 else (across, along)
            return np.where(inside, place[0] * self.grid.cells[1] + place[1], -1)

        return cell

    def _flux(self, axis: int) -> sparse.csr_matrix:
        """J through the inner faces across `axis`."""
        z, h = self.grid.points(axis).reshape(-1, 2), self.grid.width
        d, v = half(self.tensor, z), velocity(self.drift, self.tensor, z)[:, axis]
        cell = self._cells(axis)
        places, weights = [], []

        def add(index: np.ndarray, weight: np.ndarray) -> None:
            places.append(index)
            weights.append(np.where(index >= 0, weight, 0.0))

        straight = d[:, axis, axis]
        if self.scheme == "scharfetter-gummel":
            peclet = v * h[axis] / straight
            for step, sign in ((0, 1.0), (1, -1.0)):
                add(cell(step), sign * straight / h[axis] * bernoulli(-sign * peclet))
        else:
            whole = (cell(-1) >= 0) & (cell(2) >= 0)  # beside the edge, two cells
            for step, (values, slopes) in _CENTRAL.items():
                value, slope = (np.where(whole, *pair) for pair in (values, slopes))
                add(cell(step), v * value - straight / h[axis] * slope)
        cross = d[:, axis, 1 - axis]
        if np.abs(cross).max() > 0:
            inner = (cell(0, -1) >= 0) & (cell(0, 1) >= 0)
            for step in (0, 1):
                for aside in (-1, 1):
                    add(cell(step, aside), np.where(inner, -aside * cross / (4 * h[1 - axis]), 0.0))
        rows = np.tile(np.arange(len(z)), len(places))
        columns = np.maximum(np.concatenate(places), 0)
        shape = (len(z), int(np.prod(self.grid.cells)))
        return sparse.csr_matrix((np.concatenate(weights), (rows, columns)), shape)
