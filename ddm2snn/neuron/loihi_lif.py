"""The leaky integrate-and-fire neuron in the whole steps and rounded decay of a Loihi-like device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.errors import InputError
from ddm2snn.neuron.lif import LIF
from ddm2snn.neuron.model import SpikeTiming

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class LoihiLIF(LIF):
    r"""Leaky integrate-and-fire neuron in the discrete time of a Loihi-like device.

    .. math:: v_t = (1 - \delta)\,v_{t-1} + \delta J_t, \qquad
        \delta = 2^{-b}\operatorname{round}\big(2^b (1 - e^{-dt/\tau_m})\big), \qquad
        v_t > 1 \Rightarrow \text{spike},\; v \leftarrow 0 \text{ for } t_\text{ref}/dt \text{ steps}

    with the current of the same step and v >= 0; in the limit of short steps and many bits it is `LIF`, whose rate it
    has in continuous time. On a grid its interval is :math:`R + n` steps with :math:`R = t_\text{ref}/dt` and n the
    smallest number with :math:`J (1 - (1-\delta)^n) > 1`. The decay is rounded to the device's b bits (Davies et al.,
    IEEE Micro 38(1), 2018); voltages, currents and weights are in floating point. Spikes fall on the time grid, also of
    a simulator that interpolates those of other neurons.

    Parameters
    ----------
    tau_membrane_s
        Membrane time constant in seconds, before its decay is rounded.
    refractory_s
        Absolute refractory period in seconds, a whole number of steps.
    decay_bits
        b, bits of the decay.

    Examples
    --------
    A step of 1 ms loses 199.8 of 4096 levels, which the device rounds to 200:

    >>> from ddm2snn import LoihiLIF
    >>> neuron = LoihiLIF(tau_membrane_s=0.02, decay_bits=12)
    >>> neuron.decay(dt_s=0.001) == 200 / 4096
    True
    >>> neuron.rate_hz([1.0, 2.0, 4.0], timing="grid", dt_s=0.001).round(1)
    array([  0. ,  62.5, 125. ])

    With 4 bits the membrane loses a sixteenth and fires earlier:

    >>> LoihiLIF(decay_bits=4).decay(dt_s=0.001) == 1 / 16
    True
    >>> LoihiLIF(decay_bits=4).rate_hz([1.0, 2.0, 4.0], timing="grid", dt_s=0.001).round(1)
    array([  0. ,  76.9, 142.9])
    """

    name: ClassVar[str] = "loihi-lif"
    sources: ClassVar[tuple[str, ...]] = ("davies2018",)

    tau_membrane_s: float = 0.02
    refractory_s: float = 0.002
    decay_bits: int = 12

    def __post_init__(self) -> None:
        check_positive("LoihiLIF", tau_membrane_s=self.tau_membrane_s, refractory_s=self.refractory_s)
        object.__setattr__(self, "decay_bits", as_count("LoihiLIF.decay_bits", self.decay_bits))

    @property
    def runs_on_loihi(self) -> bool:
        """Always: the model is a compartment of such a device."""
        return True

    @property
    def plain_lif(self) -> bool:
        """Never: its decay is rounded."""
        return False

    def timing_on(self, simulator: SpikeTiming) -> SpikeTiming:
        """How spikes are timed: on the grid, whatever the simulator does with other neurons."""
        return "grid"

    def decay(self, dt_s: float) -> float:
        """Share of the voltage that is lost in one step: a whole number of 2^-decay_bits, of which zero is refused."""
        levels = 2**self.decay_bits
        level = round(-levels * float(np.expm1(-dt_s / self.tau_membrane_s)))
        if level == 0:
            raise InputError(
                f"tau_membrane_s = {self.tau_membrane_s:g} is too long at dt_s = {dt_s:g}: a decay of "
                f"{self.decay_bits} bits rounds to none. Use tau_membrane_s <= {levels * dt_s:g}."
            )
        return level / levels

    def decay_factor(self, dt_s: float) -> float:
        """Factor by which the distance of a voltage from its current shrinks in one step."""
        return 1.0 - self.decay(dt_s)

    def _interval_s(self, current: Float[np.ndarray, ...], step_s: float | None) -> Float[np.ndarray, ...]:
        if step_s is None:
            return super()._interval_s(current, None)
        j, factor = current, self.decay_factor(step_s)
        steps = np.maximum(np.ceil(np.log1p(-1.0 / j) / np.log(factor)), 1.0) if factor > 0 else np.ones(j.shape)
        # a rounded decay can reach the threshold after a whole number of steps, where logarithms miss by rounding
        steps = steps - ((steps > 1.0) & (j * (1.0 - factor ** (steps - 1.0)) > 1.0))
        steps = steps + (j * (1.0 - factor**steps) <= 1.0)
        return step_s * (self.refractory_steps(step_s) + steps)

    def check_step(self, dt_s: float, timing: SpikeTiming) -> None:
        """Refuse a time step that does not divide the refractory period, or in which the voltage does not decay."""
        super().check_step(dt_s, "grid")
        self.decay(dt_s)
