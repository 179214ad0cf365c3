"""Decoders of a converted network solved again within a structure: sparse, bounded or of one sign."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.least_squares import NormalEquations
from ddm2snn.base.progress import Progress, reported
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.threads import one_thread
from ddm2snn.conversion.again import check_source
from ddm2snn.conversion.convert import check_convertible
from ddm2snn.conversion.decoders import Calibrated
from ddm2snn.conversion.diagnostics import RankAudit, audit
from ddm2snn.conversion.driving import driven
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.noise_budget import measure_budget
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

# relative to the mean square of the filtered spike trains, as calibrated decoders usually take it [measured:
# vanderpol]
_RIDGE = 1e-6


@runtime_checkable
class Structure(Protocol):
    """What decoders must be like: a frozen dataclass that solves the least squares within it."""

    def solve(self, equations: NormalEquations) -> Float[np.ndarray, "neuron rank"]:
        """Decoders within the structure, transposed."""
        ...


@dataclass(frozen=True)
class Sparse:
    """Only a share of the decoders is kept in each latent: those that carry most; the others are zero.

    Parameters
    ----------
    kept
        Share of each row of D that stays, above 0 and up to 1: the largest magnitudes, each times the root mean
        square of its neuron's filtered spike train. What stays is solved for again.

    Examples
    --------
    >>> regressors = np.eye(4)
    >>> equations = NormalEquations.empty(columns=4, targets=1)
    >>> equations.add(regressors, np.array([[3.0], [-2.0], [1.0], [0.0]]))
    >>> (Sparse(0.5).solve(equations).T.round(3) + 0.0).tolist()
    [[3.0, -2.0, 0.0, 0.0]]
    """

    kept: float = 0.5

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        check_positive("Sparse", kept=self.kept)
        if self.kept > 1:
            raise InputError(f"Sparse.kept is a share above 0 and up to 1, got {self.kept:g}. Use 0.5 for half.")

    def solve(self, equations: NormalEquations) -> Float[np.ndarray, "neuron rank"]:
        """Solve for all decoders, then latent by latent for those that carry most."""
        free = equations.solve(_RIDGE)
        count = max(1, round(self.kept * len(free)))
        weight = np.abs(free) * np.sqrt(np.diag(equations.gram))[:, None]
        decoders = np.zeros_like(free)
        for latent in range(free.shape[1]):
            stays = np.argsort(-weight[:, latent], kind="stable")[:count]
            part = NormalEquations(
                equations.gram[np.ix_(stays, stays)], equations.moment[stays, latent : latent + 1],
                equations.square[latent : latent + 1], equations.samples,
            )  # fmt: skip
            decoders[stays, latent] = part.solve(_RIDGE)[:, 0]
        return decoders


@dataclass(frozen=True)
class Bounded:
    """No decoder is larger than a multiple of the root mean square of the free ones of its latent.

    Parameters
    ----------
    largest
        The multiple.

    Examples
    --------
    >>> regressors = np.eye(4)
    >>> equations = NormalEquations.empty(columns=4, targets=1)
    >>> equations.add(regressors, np.array([[3.0], [-2.0], [1.0], [0.0]]))
    >>> rms = np.sqrt((equations.solve(1e-6) ** 2).mean())
    >>> (Bounded(1.0).solve(equations) / rms).T.round(2).tolist()
    [[1.0, -1.0, 0.53, 0.0]]
    """

    largest: float = 2.0

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        check_positive("Bounded", largest=self.largest)

    def solve(self, equations: NormalEquations) -> Float[np.ndarray, "neuron rank"]:
        """Solve within the bounds."""
        free = equations.solve(_RIDGE)
        limit = np.broadcast_to(self.largest * np.sqrt((free**2).mean(axis=0)), free.shape)
        return _within(equations, -limit, limit)


@dataclass(frozen=True)
class OneSign:
    r"""Dale's law on the factors: each neuron's decoders are all positive or all negative.

    The law is about a column of the recurrent matrix, :math:`W_{ij} = E_i \cdot D_j`. Here it could hold only for
    silent columns: encoders of on and off neurons point both ways, so that for every :math:`D_j` some
    :math:`E_i \cdot D_j` is positive and some negative. What can be had at rank k is the law for the latents, which
    each neuron then only excites or only inhibits (a population between D and E may relay them). A neuron gets
    the sign of the sum of its free decoders, each relative to the root mean square of its latent.

    Examples
    --------
    >>> equations = NormalEquations.empty(columns=2, targets=2)
    >>> equations.add(np.eye(2), np.array([[3.0, 1.0], [-2.0, 0.5]]))
    >>> (OneSign().solve(equations).round(3) + 0.0).tolist()  # of the second neuron only the negative one is left
    [[3.0, 1.0], [-2.0, 0.0]]
    """

    _repr_html_ = fields_table

    def solve(self, equations: NormalEquations) -> Float[np.ndarray, "neuron rank"]:
        """Solve within the half-line of each neuron's sign."""
        free = equations.solve(_RIDGE)
        size = np.sqrt((free**2).mean(axis=0))
        positive = ((free / np.where(size > 0, size, 1.0)).sum(axis=1) >= 0)[:, None]
        endless = np.full(free.shape, np.inf)
        return _within(equations, np.where(positive, 0.0, -endless), np.where(positive, endless, 0.0))


@dataclass(frozen=True)
class Price:
    """Drift error per latent, and largest ratio of spike noise to target; None where a direction has no noise."""

    drift_error: list[float]
    spikes_over_target: float | None


@dataclass(frozen=True)
class StructureDiagnostics:
    """What a structure made of a network.

    Parameters
    ----------
    rank_audit
        What connects the spiking network to the rate network.
    structure
        Kind and settings.
    zero_share, excitatory_share
        Shares of decoders that are zero, and of neurons whose decoders have a positive sum.
    largest_over_rms
        Largest decoder of a latent over their root mean square.
    before, after
        The price of the decoders that the network had, and of those that it has now.
    """

    rank_audit: RankAudit
    structure: dict[str, Any]
    zero_share: float
    excitatory_share: float
    largest_over_rms: float
    before: Price
    after: Price

    _repr_html_ = fields_table

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {**dataclasses.asdict(self), "rank_audit": self.rank_audit.model_dump(mode="json")}


@dataclass(frozen=True)
class Restructuring:
    """A spiking network with structured decoders, and what the structure made of it, its price included."""

    network: SpikingNetwork
    diagnostics: StructureDiagnostics

    _repr_html_ = fields_table


def restructure(
    rate: RateNetwork,
    network: SpikingNetwork,
    structure: Structure,
    *,
    seed: int = 0,
    progress: Progress | bool = False,
) -> Restructuring:
    r"""Solve for the decoders of a converted network again, within a structure, and tell the price.

    .. math:: \min_D \langle |D \tilde r - \tilde y|^2 \rangle + \lambda |D|^2 \quad \text{within the structure}

    along trajectories of the rate network, as `Calibrated.calibrate` solves it. Encoders, biases and with
    them :math:`\Gamma` stay; the recurrent matrix stays E D and of rank k.

    Parameters
    ----------
    rate
        The rate network that `network` came from.
    network
        A converted network.
    structure
        What decoders must be like.
    seed
        Seed of the trajectories.
    progress
        Called with the finished share; True shows a bar.

    Returns
    -------
    Restructuring
        The network with its new decoders, and what they cost.

    Raises
    ------
    InputError
        Where `network` comes from another rate network or has another origin of its latents, as `TrainedReadout` gives
        it, and where the structure takes a latent from the recurrent matrix.

    Examples
    --------
    >>> from ddm2snn import Population, Static, Training, convert, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> network = convert(rate, population=Population(2, tuned=False), decoders=Static(), time_unit_s=0.1).network
    >>> sparse = restructure(rate, network, Sparse(0.5))
    >>> sparse.diagnostics.zero_share, sparse.diagnostics.rank_audit.rank
    (0.5, 2)
    >>> sparse.diagnostics.after.drift_error[0] < 1.0, sparse.network.fingerprint == network.fingerprint
    (True, False)
    """
    check_seed(seed)
    check_convertible(rate)
    if not isinstance(network, SpikingNetwork):
        raise InputError(
            f"restructure needs a SpikingNetwork, got a {type(network).__name__}. Give the network of a Conversion."
        )
    if not isinstance(structure, Structure):
        kind = type(structure).__name__
        raise InputError(f"restructure needs a Sparse, Bounded or OneSign, got a {kind}. Give Sparse(0.5) for half.")
    check_source(rate, network)
    _check_solved_for(network)
    with one_thread(), reported(progress, "restructure") as advance:
        ensemble = Ensemble.of(network)
        states = to_internal(rate, stationary_states(rate, seed))
        decoders = structure.solve(_driven_equations(rate, ensemble, states, seed, advance)).T
        budgets = [
            measure_budget(rate, ensemble, some, states, stream(seed, "structure", "budget"))
            for some in (network.decoders, decoders)
        ]
        advance(1.0)
    before, after = (Price(budget.drift.repeatable.tolist(), budget.spike_noise_ratio) for budget in budgets)
    factor, colour = budgets[1].spectrum.injection
    made = dataclasses.replace(network, decoders=decoders, diffusion_factor=factor, noise_colour=colour)
    report = audit(made)
    if report.rank < network.rank:
        raise InputError(
            f"{structure!r} leaves a recurrent matrix of rank {report.rank} where {network.rank} latents need "
            f"{network.rank}. Ask for less structure."
        )
    diagnostics = StructureDiagnostics(
        rank_audit=report,
        structure={"kind": type(structure).__name__.lower(), **dataclasses.asdict(structure)},  # pyright: ignore[reportArgumentType] - a dataclass, by the protocol
        zero_share=float((decoders == 0).mean()),
        excitatory_share=float((decoders.sum(axis=0) > 0).mean()),
        largest_over_rms=float((np.abs(decoders).max(axis=1) / np.sqrt((decoders**2).mean(axis=1))).max()),
        before=before,
        after=after,
    )
    provenance = {**network.provenance, "structure": diagnostics.as_json()}
    return Restructuring(dataclasses.replace(made, provenance=provenance), diagnostics)


def _check_solved_for(network: SpikingNetwork) -> None:
    """Refuse a network for more than stationary trajectories and a constant diffusion."""
    if network.origin.stimulus is not None:
        raise InputError(
            "This network was calibrated in trials with inputs, and restructure knows stationary trajectories alone. "
            "Restructure networks that were converted without a stimulus."
        )
    if network.diffusion_decoders is not None:
        raise InputError(
            "This network's diffusion depends on the state, decoded by its neurons, which restructure does not solve "
            "for again. Restructure networks of constant diffusion."
        )


def _driven_equations(
    rate: RateNetwork, ensemble: Ensemble, states: Float[np.ndarray, "sample rank"], seed: int, progress: Progress
) -> NormalEquations:
    """Normal equations of all neurons along trajectories of the rate network, as calibrated decoders take them."""
    settings, neurons = Calibrated(), ensemble.neurons
    duration, trials = settings.duration_for(neurons) / settings.trajectories, settings.trajectories
    equations, rng = NormalEquations.empty(neurons, rate.rank), stream(seed, "structure", "drive")
    for block in driven(rate, ensemble, states, np.arange(neurons), trials, duration, rng, settings.perturbed):
        equations.add(block.spikes_hz.reshape(-1, neurons), block.target.reshape(-1, rate.rank))
        progress(0.6 * block.share)
    return equations


def _within(
    equations: NormalEquations, lowest: Float[np.ndarray, "neuron rank"], highest: Float[np.ndarray, "neuron rank"]
) -> Float[np.ndarray, "neuron rank"]:
    r"""Least squares within bounds: with :math:`R^\top R` the Gram matrix, :math:`\min |R w - R^{-\top} m|^2`."""
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import lsq_linear

    upper = cholesky(equations.gram + equations.penalty(_RIDGE) * np.eye(len(equations.gram)))
    goal = solve_triangular(upper, equations.moment, trans=1)
    decoders = np.empty_like(goal)
    for latent in range(goal.shape[1]):
        bounds = (lowest[:, latent], highest[:, latent])
        # an active-set method: filtered spikes are too much alike for SciPy's other one, which creeps
        solved = lsq_linear(upper, goal[:, latent], bounds=bounds, method="bvls", max_iter=10 * len(goal))
        if not solved.success:
            raise InputError(f"No decoders within the structure were found for latent {latent}: {solved.message}")
        decoders[:, latent] = np.clip(solved.x, *bounds)
    return decoders
