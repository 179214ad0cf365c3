"""Audit of a conversion: is the recurrent matrix of the rank it claims, are Gamma's rows kept?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.diagnostics import RankAudit

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import SpikingNetwork


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
        principal_angles_rad=_angles(gamma[present], _fold(network, factor)[present]),
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


def _angles(a: Float[np.ndarray, "unit rank"], b: Float[np.ndarray, "unit rank"]) -> list[float]:
    from scipy.linalg import subspace_angles

    return subspace_angles(a, b).tolist()
