"""Stationary probability current."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.fidelity.measures.drift_field import filled_cells
from ddm2snn.fidelity.measures.measure import Entry, Measure, Numbers, ReferenceSamples
from ddm2snn.fidelity.samples import Grid, check_samples

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.samples import Samples

_SMALLEST_COARSE = 0.2  # relative difference that is coarse at the least [choice]


def cell_currents(samples: Samples, every: float, grid: Grid, lag: int = 1) -> Float[np.ndarray, "trial cell rank"]:
    r"""Probability current of each trial in each cell, times the volume of a cell, in system units per time unit.

    .. math:: J(z) = \Big\langle \frac{z_{t+\tau} - z_t}{\tau}\,
        \tfrac12\big(\delta(z - z_t) + \delta(z - z_{t+\tau})\big) \Big\rangle

    with cells in place of delta functions and :math:`\tau` = `lag` samples. The mean over trials is zero everywhere
    in equilibrium, where the forward and the backward displacement agree. The estimate smears over a cell and over
    the displacement of one lag.
    Source: Gonzalez, Neu, Teitsworth, Phys. Rev. E 99 (2019); Lander, Mehl, Blickle, Bechinger, Seifert, Phys. Rev. E
    86 (2012).

    Examples
    --------
    >>> line = np.linspace(0.0, 1.0, 5).reshape(1, 5, 1)  # moves by 0.25 in a time unit
    >>> cell_currents(line, every=1.0, grid=Grid(np.zeros(1), np.ones(1), 2)).ravel()
    array([0.09375, 0.15625])
    """
    parts = [_displacement_sums(samples[:, phase::lag], lag * every, grid) for phase in range(lag)]
    return np.sum(parts, axis=0) / (samples.shape[1] - lag)


def _displacement_sums(samples: Samples, every: float, grid: Grid) -> Float[np.ndarray, "trial cell rank"]:
    """Sums of displacements over one sample."""
    check_samples("probability current", {"samples": samples}, shortest=2)
    check_positive("probability current", every=every)
    trials, _, rank = samples.shape
    cell = grid.cells(samples)
    inside = cell >= 0
    flat = cell + np.arange(trials)[:, None] * grid.size
    step = np.diff(samples, axis=1) / every
    # a sample inside a trial has a displacement before and one after it, each counted by half
    half = np.zeros_like(samples)
    half[:, 1:] += step / 2
    half[:, :-1] += step / 2
    size = trials * grid.size
    sums = [np.bincount(flat[inside], half[inside][:, axis], minlength=size) for axis in range(rank)]
    return np.stack(sums, axis=-1).reshape(trials, grid.size, rank)


@dataclass(frozen=True, eq=False)
class ProbabilityCurrent(Measure):
    r"""Difference of the stationary probability currents on the cells of `DriftField`.

    .. math:: \text{current} = \sum_c |J_c - J'_c| \, V_c

    with J of `cell_currents`, each latent in standard deviations of the reference, and :math:`V_c` the volume of a
    cell: the speed, in standard deviations per rate time unit, at which probability flows otherwise than in the
    reference. Its numbers are the same sum over one process's own current, which chance alone makes larger than zero
    in equilibrium. A coarse difference is half of the reference's own current, and 0.2 or more.
    """

    grid: Grid
    cells: Int[np.ndarray, " filled"]
    scale: Float[np.ndarray, " rank"]
    every: float
    lag: int
    coarse: float = _SMALLEST_COARSE

    @classmethod
    def of(cls, reference: ReferenceSamples) -> ProbabilityCurrent | None:
        """None in rank 1, where no current goes round, and where the reference fills no cell."""
        samples = reference.samples
        filled = filled_cells(reference) if samples.shape[2] > 1 else None
        if filled is None:
            return None
        measure = cls(*filled, samples.std(axis=(0, 1)), reference.every, reference.lag)
        own = measure.values(measure.summarise(samples), np.ones((1, len(samples))))[0]
        return replace(measure, coarse=max(0.5 * _speed(own), _SMALLEST_COARSE))

    @property
    def entries(self) -> tuple[Entry]:
        """The difference."""
        unit, aspect, sources = "reference sd per time unit", "irreversibility", ("gonzalez2019",)
        return (Entry("current", "probability current", unit, self.coarse, "change", aspect=aspect, sources=sources),)

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial cell rank"]:
        """Current through each cell times its volume, of each trial."""
        return cell_currents(samples, self.every, self.grid, self.lag)[:, self.cells] / self.scale

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Mean speed of the difference."""
        return (_speed(test - reference),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Numbers]:
        """Mean speeds."""
        return ((_speed(test), _speed(reference)),)


def _speed(current: Float[np.ndarray, "cell rank"]) -> float:
    return float(np.linalg.norm(current, axis=1).sum())
