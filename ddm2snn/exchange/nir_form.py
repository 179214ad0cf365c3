"""Forms of a NIR file: which nodes it has, and which units and steps its reader takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError

Dialect = Literal["factored", "latent", "dense"]
"""Where the filter stands: in each neuron's synapse behind the encoders, in k latents, or behind a dense matrix."""


@dataclass(frozen=True)
class Reader:
    r"""What a simulator makes of NIR: forward Euler steps, with a spike counted as 1 in its step.

    Parameters
    ----------
    step_s
        The time step that is built in; None where the simulator takes any.
    gains
        Whether it wants :math:`w_{in} = \tau_{syn}/h` and :math:`R = \tau_{mem}/h`, so that nothing is scaled by the
        step h: the threshold is then their product.
    note
        What its user has to know.
    """

    step_s: float | None
    gains: bool
    note: str


READERS: dict[str, Reader] = {
    "norse": Reader(None, gains=False, note="Read with norse.torch.from_nir(nir.read(FILE), dt=DT)."),
    "snntorch": Reader(
        1e-4, gains=True, note="snnTorch has steps of 1e-4 s built in: each of its steps stands for one of DT."
    ),
    "spikingjelly": Reader(None, gains=True, note="Read with import_from_nir(FILE, dt=DT)."),
}
"""Simulators whose reading of the files is tested, by name."""


@dataclass(frozen=True)
class Form:
    r"""Dialect, reader and time scales of a file.

    Without a reader the file is in continuous time: time constants in seconds, a spike train in Hz (a Dirac pulse of
    area 1 for each spike), decoders as they are. For a reader in steps of :math:`dt`, which counts a spike as 1,

    .. math:: \tau' = \frac{h}{1 - e^{-dt/\tau}}, \qquad D' = D / dt,

    with h the reader's own step (dt where it takes any), so that its Euler step, :math:`1 - h/\tau'`, is the exact
    decay :math:`e^{-dt/\tau}` of a step.

    Parameters
    ----------
    dialect
        See `Dialect`.
    reader
        Name in `READERS`; None for continuous time.
    dt_s
        The network's time step.
    """

    dialect: Dialect
    reader: str | None
    dt_s: float

    def __post_init__(self) -> None:
        if self.dialect not in get_args(Dialect):
            raise InputError(
                f"There is no NIR dialect {self.dialect!r}; known are {', '.join(get_args(Dialect))}. Choose one."
            )
        if self.reader is not None and self.reader not in READERS:
            raise InputError(
                f"There is no NIR reader {self.reader!r}; tested are {', '.join(READERS)}. "
                "Leave it out for a file in continuous time."
            )
        check_positive("NIR file", dt_s=self.dt_s)

    @property
    def step_s(self) -> float | None:
        """Step h that the file is written for; None in continuous time."""
        if self.reader is None:
            return None
        return READERS[self.reader].step_s or self.dt_s

    def tau_s(self, tau_s: float) -> float:
        """Time constant as the file states it."""
        step_s = self.step_s
        return tau_s if step_s is None else step_s / -float(np.expm1(-self.dt_s / tau_s))

    def gain(self, tau_s: float) -> float:
        """Gain of a filter with this time constant: w_in of a synapse, r of a membrane."""
        if self.reader is None or not READERS[self.reader].gains or self.step_s is None:
            return 1.0
        return self.tau_s(tau_s) / self.step_s

    @property
    def spikes(self) -> Literal["per second", "per step"]:
        """What a spike counts: 1/h in a step h, or 1."""
        return "per second" if self.reader is None else "per step"
