"""The verb train: a target system in, a rate network out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddm2snn.base.arrays import as_count
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import check_seed
from ddm2snn.errors import InputError
from ddm2snn.systems import System, find_system
from ddm2snn.training.matching import match
from ddm2snn.training.options import Training

if TYPE_CHECKING:
    from ddm2snn.network import RateNetwork
    from ddm2snn.training.variable_projection import Device


def train(
    system: System | str,
    *,
    units: int | None = None,
    seed: int = 0,
    device: Device = "cpu",
    training: Training | None = None,
    progress: Progress = no_progress,
) -> RateNetwork:
    """Train a low-rank rate network by drift-diffusion matching (arXiv 2602.14885).

    Parameters
    ----------
    system
        Target SDE, or its name.
    units
        Rate units; by default the system's own number.
    seed
        Seed of samples and starting weights.
    device
        "cpu" or "cuda".
    training
        Drift error or ridge, number of points, iterations.
    progress
        Called with the finished share.

    Returns
    -------
    RateNetwork
        With its errors on fresh stationary states, and all settings, in ``provenance``.

    Raises
    ------
    InputError
        Where the system cannot be sampled or a setting makes no sense.

    Examples
    --------
    >>> decay = System(name="decay", rank=1, drift=lambda z: -z, diffusion=1.0)
    >>> tiny = Training(ridge=1e-4, points=200, iterations=10, holdout=200)
    >>> network = train(decay, units=8, training=tiny)
    >>> network.units, network.rank
    (8, 1)
    >>> max(network.provenance["drift_error"]) < 0.1
    True
    """
    target = find_system(system) if isinstance(system, str) else system
    if not isinstance(target, System):
        raise InputError(f"train needs a System or the name of one, got {type(system).__name__}.")
    count = as_count("units", target.units if units is None else units)
    if device not in ("cpu", "cuda"):
        raise InputError(f"There is no device {device!r}; choose cpu or cuda.")
    return match(
        target,
        units=count,
        seed=check_seed(seed),
        training=training or Training(),
        device=device,
        progress=progress,
    )
