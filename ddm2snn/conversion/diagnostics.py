"""Diagnostics: what a conversion learned about itself, typed, and as JSON in the network's provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ddm2snn.base.html import fields_table
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork

if TYPE_CHECKING:
    from jaxtyping import Float

Tensor = list[list[float]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")  # `extra` keeps what other decoders report
    _repr_html_ = fields_table


class RankAudit(_Part):
    """What connects a spiking network to the rate network it came from.

    Parameters
    ----------
    rank
        Numerical rank of E D.
    singular_values
        Singular values of E D, largest first.
    row_residual
        Largest sine of the angle between a row of E and the row of Gamma of its unit.
    principal_angles_rad
        Angles between the column spaces of Gamma and of the encoders folded back to units, units without neurons
        left out.
    """

    rank: int
    singular_values: list[float]
    row_residual: float
    principal_angles_rad: list[float]


class Spectrum(_Part):
    """Noise of latents over that of the rate network, by frequency (per rate time unit) and latent.

    `spikes` is what spikes bring along, and `total` all noise that is predicted for the closed loop.
    """

    frequency: list[float]
    spikes: list[list[float]]
    total: list[list[float]]


class Noise(_Part):
    """Diffusion tensors of rate network (`target`) and spikes, internal units per rate time unit, and their ratio.

    `spikes_over_target` is the largest ratio in any direction; None where a direction of the rate network has no noise.
    `spectrum` has them by frequency.
    """

    target: Tensor
    spikes: Tensor
    spikes_over_target: float | None = None
    spectrum: Spectrum | None = None

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Target and spikes."""
        return self.target, self.spikes


class Lag(_Part):
    """Residual lag of each latent in seconds, negative where the spikes lead, with its standard error."""

    lag_s: list[float]
    standard_error_s: list[float]


class Calibration(_Part):
    """Regression of calibrated decoders.

    Parameters
    ----------
    ridge
        Ridge that was taken.
    samples
        Number of samples.
    held_out_error
        Root-mean-square error of the filtered decoded spikes on held-out trajectories, per latent, by ridge.
    """

    ridge: float
    samples: int
    held_out_error: dict[str, list[float]]


class Spread(_Part):
    """Values of a ratio over states: 5 %, 50 % and 95 % quantiles."""

    lowest: float
    median: float
    highest: float


class ByState(_Part):
    """Diffusion tensors at some states, internal units."""

    state: list[list[float]]
    target: list[Tensor]
    spikes: list[Tensor]
    injected: list[Tensor]


class Diffusion(_Part):
    """How well a diffusion factor that depends on the state is decoded.

    Parameters
    ----------
    ridge
        Ridge that was taken.
    tensor_error
        Relative error of the mean injected tensor.
    factor_noise
        Variance of the decoded factor about its mean at a state, relative to the trace of the tensor.
    spikes_over_target
        Spike noise over the rate network's, traces, over the states.
    by_state
        The budget at some states.
    held_out_error
        Relative error of the factor on held-out trajectories by ridge; None for static decoders.
    """

    ridge: float
    tensor_error: float
    factor_noise: float
    spikes_over_target: Spread
    by_state: ByState
    held_out_error: dict[str, float] | None = None


class TimeUnit(_Part):
    """Why the time unit is longer than the first choice: spike noise over target in that one, by the pilot."""

    first_s: float
    spikes_over_target: float


class Tuning(_Part):
    """Loss of the least squares that moves gains and thresholds, before and after."""

    loss_before: float
    loss_after: float


class Diagnostics(_Part):
    """What a conversion learned about itself.

    Parameters
    ----------
    rank_audit
        What connects the spiking network to the rate network.
    rate_singular_values
        Singular values of the rate network's recurrent matrix.
    mean_rate_hz, highest_rate_hz
        Mean over neurons and stationary states, and highest of any neuron at any of them.
    silent_share
        Share of neurons that are silent at all stationary states.
    spikes_per_time_unit
        Spikes of all neurons in one rate time unit.
    drift_error
        Root mean square of the decoded drift's deviation from the rate network's, relative to the drift, per latent.
        Calibrated and direct conversion measure on spikes what repeats where the state does
        (`ddm2snn.conversion.drift_error.drift_error_of`); static decoders and trained read-outs compute it from the
        neurons' curves.
    drift_standard_error, drift_random
        Standard error of a measured `drift_error`, and the random part beside it, in means over 0.1 rate time units.
    lag
        Residual lag; None in the loop of a device.
    time_unit
        Why the time unit was lengthened; None where it was not.
    tuning
        None where the population was not tuned.
    noise, calibration, diffusion
        None where the decoders measure none.
    activation_error
        Root-mean-square error of each unit's decoded activation; None where activations are not decoded.
    activation_per_hz
        Activation that a rate of 1 Hz stands for, of direct conversion.
    drift_error_of_curves
        `drift_error` from the neurons' curves, of direct conversion.

    Examples
    --------
    >>> audit = RankAudit(rank=2, singular_values=[3.0, 1.0], row_residual=0.0, principal_angles_rad=[0.0, 0.0])
    >>> diagnostics = Diagnostics(
    ...     rank_audit=audit, rate_singular_values=[5.0, 2.0], mean_rate_hz=30.0, highest_rate_hz=180.0,
    ...     silent_share=0.0, spikes_per_time_unit=96.0, drift_error=[0.012, 0.02],
    ...     noise=Noise(target=[[1.0, 0.0], [0.0, 1.0]], spikes=[[0.1, 0.0], [0.0, 0.2]], spikes_over_target=0.2),
    ... )  # fmt: skip
    >>> diagnostics
    Diagnostics(rank=2, drift_error=[0.012, 0.02], spikes_over_target=0.2)
    >>> diagnostics.noise.spikes_over_target, "lag" in diagnostics.as_json()
    (0.2, False)
    """

    rank_audit: RankAudit
    rate_singular_values: list[float]
    mean_rate_hz: float
    highest_rate_hz: float
    silent_share: float
    spikes_per_time_unit: float
    drift_error: list[float]
    lag: Lag | None = None
    time_unit: TimeUnit | None = None
    tuning: Tuning | None = None
    noise: Noise | None = None
    calibration: Calibration | None = None
    diffusion: Diffusion | None = None
    activation_error: list[float] | None = None
    activation_per_hz: float | None = None
    drift_error_of_curves: list[float] | None = None
    drift_standard_error: list[float] | None = None
    drift_random: list[float] | None = None

    def __repr__(self) -> str:
        errors = ", ".join(f"{error:.2g}" for error in self.drift_error)
        ratio = None if self.noise is None else self.noise.spikes_over_target
        noise = "" if ratio is None else f", spikes_over_target={ratio:.2g}"
        return f"Diagnostics(rank={self.rank_audit.rank}, drift_error=[{errors}]{noise})"

    __str__ = __repr__  # `print` shows the same line

    def as_json(self) -> dict[str, Any]:
        """JSON values, without those that are None."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def of(cls, network: SpikingNetwork) -> Diagnostics | None:
        """Diagnostics that a network carries in its provenance; None where it has none.

        Raises
        ------
        InputError
            Where the provenance holds something else by this name.
        """
        content = network.origin.diagnostics
        if content is None:
            return None
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            names = ", ".join(sorted({str(e["loc"][0]) for e in error.errors() if e["loc"]}))
            raise InputError(f"The diagnostics in this network's provenance cannot be read: {names}.") from error


def audit(network: SpikingNetwork) -> RankAudit:
    """Audit E D without forming it.

    Examples
    --------
    >>> from ddm2snn import Population, Static, Training, convert, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> network = convert(rate, population=Population(2, tuned=False), decoders=Static(), time_unit_s=0.1).network
    >>> report = audit(network)
    >>> report.rank, report.row_residual < 1e-12, max(report.principal_angles_rad) < 1e-7
    (2, True, True)
    """
    from scipy.linalg import subspace_angles

    encoders, gamma = network.encoders, network.rate_left_vectors
    values = network.recurrent.singular_values()
    tolerance = values.max(initial=0.0) * max(encoders.shape) * np.finfo(np.float64).eps
    own = gamma[network.unit]
    factor = (encoders * own).sum(axis=1) / np.maximum((own**2).sum(axis=1), np.finfo(np.float64).tiny)
    residual = np.linalg.norm(encoders - factor[:, None] * own, axis=1)
    size = np.maximum(np.linalg.norm(encoders, axis=1), np.finfo(np.float64).tiny)
    present = np.unique(network.unit)
    return RankAudit(
        rank=int((values > tolerance).sum()),
        singular_values=values.tolist(),
        row_residual=float((residual / size).max()),
        principal_angles_rad=subspace_angles(gamma[present], _fold(network, factor)[present]).tolist(),
    )


def _fold(network: SpikingNetwork, factor: Float[np.ndarray, " neuron"]) -> Float[np.ndarray, "unit rank"]:
    """Mean over each unit's neurons of the encoder, divided by its own factor."""
    units = len(network.rate_left_vectors)
    used = np.abs(factor) > 0
    scaled = network.encoders[used] / factor[used, None]
    folded = np.zeros((units, network.rank))
    np.add.at(folded, network.unit[used], scaled)
    count = np.bincount(network.unit[used], minlength=units)
    return folded / np.maximum(count, 1)[:, None]
