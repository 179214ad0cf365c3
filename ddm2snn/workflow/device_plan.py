"""The fewest neurons and bits with which a network stays near its floor on a device, found by runs of its emulator."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ddm2snn.backend import find_backend
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.conversion import Population, convert, plan
from ddm2snn.errors import InputError, MissedWarning
from ddm2snn.fidelity import compare
from ddm2snn.hardware import find_hardware
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording
from ddm2snn.simulate import simulate

JUDGED = ("d_stsp", "d_h", "sliced_wasserstein")
"""Distances whose mean excess is held to the tolerance."""
# neurons per unit that are tried [choice]
_LADDER = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
_FEWEST_BITS = 2  # of a weight with its sign [derived]
_DURATION, _BURN_IN, _TRIALS = 44.0, 4.0, 16  # of every run, the rate network's included [choice]
_REFERENCES, _RUNS = 4, 2  # of the rate network, and of a candidate [choice]
# relative drift error at which the excess is root two, and that of weights of one bit [measured: vanderpol]
_ERROR_OF_FLOOR, _ERROR_OF_ONE_BIT = 0.1, 1.3
_CONFIRMED_BY = 1000  # difference of the seed of the last run from those of the search [choice]


@dataclass(frozen=True)
class DeviceOption:
    """One way to convert for a device: its settings, and its excess as predicted before it was run, and as measured."""

    neurons_per_unit: float
    neurons: int
    weight_bits: int | None
    time_unit_s: float
    predicted: float
    measured: float
    meets: bool


@dataclass(frozen=True)
class DevicePlan:
    """The option with the fewest neurons, and then bits, that meets a tolerance; all that were run, in their order.

    `confirmed` is the excess of a further run of the network that the option makes, with a seed of its own.
    """

    device: str
    tolerance: float
    chosen: DeviceOption
    confirmed: float
    options: tuple[DeviceOption, ...]

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """A table of the options, the chosen one marked, and how it was confirmed."""
        rows = [
            f"{'*' if each == self.chosen else ' '} {each.neurons_per_unit:<12g}  {each.neurons:<7}  "
            f"{each.weight_bits or '-':<4}  {each.time_unit_s:<13g}  {each.predicted:<9.3g}  {each.measured:.3g}"
            for each in self.options
        ]
        return [
            "  neurons/unit  neurons  bits  time unit (s)  predicted  measured",
            *rows,
            f"within {self.tolerance:g} of the floor on {self.device}, mean of D_stsp, D_H and sliced Wasserstein; "
            f"confirmed by a further run: {self.confirmed:.3g}",
        ]


def plan_on_device(
    rate: RateNetwork,
    hardware: str | HardwareConfig,
    *,
    excess: float = 1.5,
    seed: int = 0,
    progress: Progress = no_progress,
) -> DevicePlan:
    """Find the fewest neurons, and with them the fewest bits of a weight, that stay near the floor on a device.

    A prediction says where to begin. From there on every option is converted as `convert` does with the same seed, and
    run in the device's integers beside runs of the rate network, until one option meets the tolerance and the next
    smaller one does not. A further run confirms the answer; where it does not, the next larger option is taken.

    Parameters
    ----------
    rate, hardware
        The trained network, and a device, its name or the path of its configuration.
    excess
        Largest mean of the distances `JUDGED`, each over its floor.
    seed, progress
        As in `convert`.

    Raises
    ------
    InputError
        Where no option meets the tolerance, with the closest; where the device cannot run the network.
    """
    check_positive("plan_on_device", excess=excess)
    config = find_hardware(hardware) if isinstance(hardware, str) else hardware
    search = DeviceSearch(rate, config, excess, seed, progress)
    units, most = rate.units, config.precision.weight_bits
    neurons = [m for m in _LADDER if m * units >= max(rate.rank, 2)]
    place = search.least([(m, most) for m in neurons])
    if place is None:
        best = min(search.options.values(), key=lambda option: option.measured)
        raise InputError(
            f"No conversion tried is within {excess:g} of the floor on {config.name}: closest is "
            f"{best.neurons_per_unit:g} neurons per unit ({best.neurons}), at {best.measured:.3g}. "
            "Allow a larger excess, or train a network with more units."
        )
    larger: list[Candidate] = [(m, most) for m in neurons if m > place[0]]
    candidates: list[Candidate] = [place]
    if most:
        candidates = [(place[0], bits) for bits in range(_FEWEST_BITS, most + 1)]
    chosen = search.least(candidates) or place
    rest = [*candidates[candidates.index(chosen) :], *larger]
    for candidate in rest:
        option = search.at(candidate)
        if option.meets and (confirmed := search.excess(candidate, [seed + _CONFIRMED_BY])) <= excess:
            return DevicePlan(config.name, excess, option, confirmed, tuple(search.options.values()))
    raise InputError(f"No option on {config.name} was confirmed within {excess:g}. Allow a larger excess.")


Candidate = tuple[float, int | None]
"""Neurons per unit, and bits of a weight."""


@dataclass
class DeviceSearch:
    """Options of one network on one device, each converted and run once."""

    rate: RateNetwork
    config: HardwareConfig
    tolerance: float
    seed: int
    progress: Progress
    options: dict[Candidate, DeviceOption] = field(default_factory=dict)
    networks: dict[Candidate, SpikingNetwork] = field(default_factory=dict)
    errors: dict[float, float] = field(default_factory=dict)
    references: list[Recording] = field(default_factory=list)

    def least(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The first of rising candidates that meets, beginning at the predicted one; None where none does."""
        hopeful = [n for n, each in enumerate(candidates) if self.predicted(each) <= self.tolerance]
        index = hopeful[0] if hopeful else len(candidates) - 1
        if not self.at(candidates[index]).meets:
            return next((each for each in candidates[index + 1 :] if self.at(each).meets), None)
        for larger, smaller in pairwise(candidates[index::-1]):
            if not self.at(smaller).meets:
                return larger
        return candidates[0]

    def predicted(self, candidate: Candidate) -> float:
        """Excess without a run: the drift error that `plan` predicts, and that of rounding, beside the floor."""
        multiple, bits = candidate
        if multiple not in self.errors:
            options = {"neurons_per_unit": multiple, "backend": "quantised", "seed": self.seed}
            self.errors[multiple] = plan(self.rate, noise=None, drift_error=1e9, **options).chosen.drift_error
        rounding = 0.0 if bits is None else _ERROR_OF_ONE_BIT * 2.0 ** (1 - bits)
        return math.sqrt(1.0 + (self.errors[multiple] ** 2 + rounding**2) / _ERROR_OF_FLOOR**2)

    def at(self, candidate: Candidate) -> DeviceOption:
        """A candidate, converted and run."""
        if candidate not in self.options:
            multiple, bits = candidate
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MissedWarning)  # what is missed shows in the excess
                network = convert(
                    self.rate, population=Population(multiple), hardware=self.device(bits), seed=self.seed
                ).network
            self.networks[candidate] = network
            measured = self.excess(candidate, [self.seed + run for run in range(_RUNS)])
            self.options[candidate] = DeviceOption(
                multiple, network.neurons, bits, network.time_unit_s, self.predicted(candidate), measured,
                measured <= self.tolerance,
            )  # fmt: skip
            self.progress(len(self.options) / (len(self.options) + 3.0))
        return self.options[candidate]

    def device(self, bits: int | None) -> HardwareConfig:
        """The device with so many bits of a weight."""
        precision = self.config.precision.model_copy(update={"weight_bits": bits})
        return self.config.model_copy(update={"precision": precision})

    def excess(self, candidate: Candidate, seeds: Sequence[int]) -> float:
        """Mean excess of runs in the device's integers."""
        lasts: dict[str, Any] = {"duration": _DURATION, "trials": _TRIALS}
        if not self.references:
            self.references = [simulate(self.rate, seed=self.seed + 1 + n, **lasts) for n in range(_REFERENCES)]
        backend = find_backend("quantised", hardware=self.device(candidate[1]))
        runs = [simulate(self.networks[candidate], backend=backend, seed=seed, **lasts) for seed in seeds]
        report = compare(self.references[0], runs, floor=self.references[1:], burn_in=_BURN_IN, seed=self.seed)
        return float(sum(report[name].excess for name in JUDGED) / len(JUDGED))
