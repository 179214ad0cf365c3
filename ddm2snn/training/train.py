"""The verb train: a target system and settings in, a rate network out."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.progress import Progress, reported
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.threads import one_thread
from ddm2snn.errors import InputError, MissedWarning
from ddm2snn.neuron.activation import Activation
from ddm2snn.systems import System, find_system
from ddm2snn.systems.scales import Scales, find_scales
from ddm2snn.training.matching import TrainingReport, match

if TYPE_CHECKING:
    from ddm2snn.network import RateNetwork
    from ddm2snn.training.variable_projection import Device

RIDGES = (1e-5, 1e-6, 1e-7, 1e-8)
_SEARCH = 0.1  # of the progress of training: finding the scales


@dataclass(frozen=True)
class Training:
    """How a rate network is fitted.

    Parameters
    ----------
    error
        Relative drift error to reach in every latent. The ridge is lowered step by step until it is reached, so
        that the read-out is no larger than necessary: small read-outs make spiking networks with little noise.
    diffusion_error
        Relative error of the diffusion tensor to reach, where it depends on the state.
    ridge
        Penalty on the squared read-out, relative to the mean squared target. If it is set, no other is tried, whatever
        the error.
    sweep
        Whether to try all ridges, also after the error is reached: `stages` in the provenance then hold the
        whole trade-off between drift error and size of the read-out.
    activation
        Response of the units; see `ddm2snn.neuron.activation.activate`.
    points
        Training points; by default 8 for each unit, and 4,000 at least: fewer are overfitted.
    iterations
        Largest number of L-BFGS iterations at each ridge; by default 150, fewer above 256 units.
    holdout
        Points of each of two further stationary samples: one on which the ridge is chosen, one on which errors are
        reported.

    Examples
    --------
    >>> Training(error=1e-2).ridges
    (1e-05, 1e-06, 1e-07, 1e-08)
    >>> Training(ridge=1e-4).ridges
    (0.0001,)
    >>> Training().points_for(units=1000), Training().iterations_for(units=1000)
    (8000, 40)
    """

    error: float = 1e-3
    diffusion_error: float = 5e-3
    ridge: float | None = None
    sweep: bool = False
    activation: Activation = "tanh"
    points: int | None = None
    iterations: int | None = None
    holdout: int = 4000

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        check_positive("Training", error=self.error, diffusion_error=self.diffusion_error)
        if self.ridge is not None:
            check_positive("Training", ridge=self.ridge)
            if self.sweep:
                raise InputError("Training.sweep goes through all ridges, so it takes no ridge. Leave one of them out.")
        if self.activation not in get_args(Activation):
            raise InputError(
                f"Training.activation is {self.activation!r}; known are {', '.join(get_args(Activation))}."
            )
        for name in ("points", "iterations", "holdout"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_count(f"Training.{name}", getattr(self, name)))

    @property
    def ridges(self) -> tuple[float, ...]:
        """Ridges in the order in which they are tried."""
        return RIDGES if self.ridge is None else (self.ridge,)

    def points_for(self, units: int) -> int:
        """Training points for a number of units."""
        return self.points or max(4000, 8 * units)

    def iterations_for(self, units: int) -> int:
        """Largest number of iterations at each ridge for a number of units."""
        return self.iterations or max(40, min(150, 300 * 128 // units))


def train(
    system: System | str,
    *,
    units: int | None = None,
    seed: int = 0,
    device: Device = "cpu",
    training: Training | None = None,
    progress: Progress | bool = False,
) -> RateNetwork:
    """Train a low-rank rate network by drift-diffusion matching (arXiv 2602.14885).

    Parameters
    ----------
    system
        Target SDE, or its name.
    units
        Rate units; by default the system's own number.
    seed
        Seed of sampling and of the initial weights.
    device
        "cpu" or "cuda".
    training
        How the network is fitted.
    progress
        Called with the finished share; True shows a bar.

    Returns
    -------
    RateNetwork
        With its errors on fresh stationary states, all settings and what it missed in ``provenance``. Its
        `time_scale` says how many units of the system's time one rate time unit lasts.

    Raises
    ------
    InputError
        Where the system cannot be sampled or a setting makes no sense.

    Warns
    -----
    MissedWarning
        Where an error is larger than the one asked for, or trajectories do not come back.

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
        raise InputError(f"train needs a System or the name of one, got {type(system).__name__}. Make a System of it.")
    if training is not None and not isinstance(training, Training):
        raise InputError(
            f"train needs a Training as training, got {type(training).__name__}. Give Training(error=...)."
        )
    count = as_count("units", target.units if units is None else units)
    if device not in ("cpu", "cuda"):
        raise InputError(f"There is no device {device!r}; choose cpu or cuda.")
    rng, settings = stream(check_seed(seed), "training", "scales"), training or Training()
    with one_thread(), reported(progress, "train") as report:
        report(0.0)
        scales = find_scales(target, rng, lambda done: report(_SEARCH * done))
        matched = match(
            target.in_scales(scales), units=count, seed=seed, training=settings, device=device,
            rounded=not scales.trivial, progress=lambda done: report(_SEARCH + (1.0 - _SEARCH) * done),
        )  # fmt: skip
    network = matched if scales.trivial else _in_units_of(matched, scales)
    missed = _missed(network, settings)
    for sentence in missed:
        warnings.warn(sentence, MissedWarning, stacklevel=2)
    return dataclasses.replace(network, provenance={**network.provenance, "missed": missed}) if missed else network


def _in_units_of(network: RateNetwork, scales: Scales) -> RateNetwork:
    """Network in the system's units, from one in its internal coordinates."""
    origin, size = scales.origin, scales.size
    return dataclasses.replace(
        network,
        latent_offset=origin + size * network.latent_offset,
        latent_scale=size * network.latent_scale,
        initial_latent=origin + size * network.initial_latent,
        input_map=network.input_map / size,
        time_scale=scales.time,
    )


def _missed(network: RateNetwork, asked: Training) -> list[str]:
    """Sentences on what training did not reach, with what helps."""
    made, missed = TrainingReport.of(network), []
    error, in_domain, back = made.drift_error, max(made.domain_error or [0.0]), made.robustness
    if asked.ridge is None and max(error) > asked.error:
        latent = int(np.argmax(error))
        missed.append(f"the drift error of latent {latent} is {error[latent]:.2g}, but {asked.error:g} was asked")
    if asked.ridge is None and in_domain > asked.error:
        missed.append(f"the drift error within its domain is {in_domain:.2g}, but {asked.error:g} was asked")
    if asked.ridge is None and made.diffusion_error > asked.diffusion_error:
        goal = asked.diffusion_error
        missed.append(f"the error of the diffusion is {made.diffusion_error:.2g}, but {goal:g} was asked")
    if back is not None and back.lost:
        counts = (("escaped", back.escaped), ("astray", back.astray), ("still", back.still))
        lost, place = ", ".join(f"{count} {name}" for name, count in counts if count), ""
        if back.place is not None:
            latent = int(np.argmax(np.abs(back.place)))
            place = f"; they stay {back.place[latent]:+.1f} standard deviations from the mean of latent {latent}"
        all_ = back.far + back.perturbed
        missed.append(f"of {all_} trajectories from far outside or under strong noise, {lost} did not come back{place}")
    remedy = f"More units than {network.units}{'' if network.activation == 'tanh' else ', or tanh units,'} may help."
    return [f"System {network.origin.system}: {sentence}. {remedy}" for sentence in missed]
