"""Damage to a spiking network: lost neurons, and weights and thresholds that are not what they should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork

if TYPE_CHECKING:
    from jaxtyping import Float

Damage = Literal["neurons", "spikes", "decoders", "encoders", "thresholds"]
"""What is damaged, by a share or a spread that is called its level:

- `neurons`: this share of them is lost.
- `spikes`: this share of them is lost on the way to the latents, each by chance. The network stays as it is: the
  backend loses them, by its option `spike_loss`.
- `decoders`, `encoders`: each weight has a factor of this spread.
- `thresholds`: each neuron's threshold has a factor of this spread.
"""


def damaged(network: SpikingNetwork, damage: Damage, level: float, *, seed: int = 0) -> SpikingNetwork:
    r"""Network with a damage; `network` itself stays whole.

    A factor of spread s is :math:`e^{s\xi - s^2/2}` with a standard normal number :math:`\xi` for each weight or
    threshold: :math:`1 + s\xi` for small s, of mean one and without a change of sign. A threshold :math:`\theta` is
    that of a neuron whose currents :math:`E z + \beta` are divided by :math:`\theta`.

    Damages of one seed are nested: larger levels lose the same neurons and more, and enlarge the same errors.

    Parameters
    ----------
    network
        A spiking network.
    damage
        What is damaged.
    level
        Share from 0 to below 1, or spread, zero or above.
    seed
        Seed of the neurons and factors that are drawn.

    Returns
    -------
    SpikingNetwork
        The damaged network.

    Raises
    ------
    InputError
        Where there is no such damage, or no such level.

    Examples
    --------
    >>> from ddm2snn import Population, Static, Training, convert, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> network = convert(rate, population=Population(2, tuned=False), decoders=Static(), time_unit_s=0.1).network
    >>> damaged(network, "neurons", 0.25).neurons
    12
    >>> damaged(network, "thresholds", 0.0).fingerprint == network.fingerprint
    True
    """
    check_seed(seed)
    check_damage(damage, level)
    if not level or damage == "spikes":
        return network
    return _DAMAGES[damage](network, level, stream(seed, "damage", damage))


def check_damage(damage: str, level: float) -> None:
    """Refuse a damage that there is not, and a level that makes no sense."""
    if damage not in get_args(Damage):
        raise InputError(f"There is no damage {damage!r}; known are {', '.join(get_args(Damage))}.")
    share = damage in ("neurons", "spikes")
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 <= level < (1 if share else np.inf):
        kind = "a share from 0 to below 1" if share else "a spread, zero or above"
        raise InputError(f"The level of damage to {damage} must be {kind}, got {level!r}.")


def _without_neurons(network: SpikingNetwork, share: float, rng: np.random.Generator) -> SpikingNetwork:
    order = rng.permutation(network.neurons)
    left = np.sort(order[round(share * network.neurons) :])
    if not len(left):
        raise InputError(
            f"A share of {share:g} leaves none of {network.neurons} neurons. Use a lower level of damage to neurons."
        )
    factor = network.diffusion_decoders
    return replace(
        network,
        encoders=network.encoders[left],
        bias=network.bias[left],
        decoders=network.decoders[:, left],
        unit=network.unit[left],
        neuron=network.neuron.part(left),
        diffusion_decoders=None if factor is None else factor[..., left],
    )


def _with_other_decoders(network: SpikingNetwork, spread: float, rng: np.random.Generator) -> SpikingNetwork:
    decoders, factor = network.decoders * _factors(spread, network.decoders.shape, rng), network.diffusion_decoders
    by_state = None if factor is None else factor * _factors(spread, factor.shape, rng)
    return replace(network, decoders=decoders, diffusion_decoders=by_state)


def _with_other_encoders(network: SpikingNetwork, spread: float, rng: np.random.Generator) -> SpikingNetwork:
    return replace(network, encoders=network.encoders * _factors(spread, network.encoders.shape, rng))


def _with_other_thresholds(network: SpikingNetwork, spread: float, rng: np.random.Generator) -> SpikingNetwork:
    thresholds = _factors(spread, network.bias.shape, rng)
    return replace(network, encoders=network.encoders / thresholds[:, None], bias=network.bias / thresholds)


def _factors(spread: float, shape: tuple[int, ...], rng: np.random.Generator) -> Float[np.ndarray, "..."]:
    return np.exp(spread * rng.standard_normal(shape) - 0.5 * spread**2)


_DAMAGES: dict[str, Callable[[SpikingNetwork, float, np.random.Generator], SpikingNetwork]] = {
    "neurons": _without_neurons, "decoders": _with_other_decoders, "encoders": _with_other_encoders,
    "thresholds": _with_other_thresholds,
}  # fmt: skip
"""What changes in a network by the name of the damage."""
