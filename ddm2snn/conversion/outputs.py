"""Decoders of outputs: regression of a task's read-out on the spikes of the neurons that carry the latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ddm2snn.base.least_squares import NormalEquations
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.conversion.decoders.calibrated import Calibrated, solve_decoders, take_in
from ddm2snn.conversion.driving import EVERY, DrivenBlock, along, without_jumps
from ddm2snn.conversion.trajectories import Trajectories, drawn
from ddm2snn.outputs import Refilter

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.decoders.protocol import Problem
    from ddm2snn.network import RateNetwork

_FILTER = 0.1  # rate time units of the outputs' own filter: spikes know of inputs that much later [measured: flip-flop]
_LATENT_HZ = 100.0  # that a latent of one counts for among the spikes, so that no ridge keeps it small [choice]


class OutputDecoders(NamedTuple):
    """D in output units per Hz, L in output units per internal unit of the latents, and the filter behind D.

    The filter is None where it is that of the latents.
    """

    decoders: Float[np.ndarray, "output neuron"]
    linear: Float[np.ndarray, "output rank"]
    filter_s: float | None


def output_decoders(problem: Problem, progress: Progress = no_progress) -> OutputDecoders:
    r"""Solve :math:`\min \langle|D\tilde r + Lz - C\phi(\Gamma z + b)|^2\rangle + \lambda|D|^2` along trajectories.

    :math:`\tilde r` are the spikes behind a filter of a tenth of the time unit, and z is where the rate network is at
    the same time. So the decoders D make up for the filter's delay as far as the past tells; what inputs and noise just
    did is in the latents, which the linear part L reads. The ridge is the one of six with the least held-out error. A
    quarter of the trajectories are perturbed, so that outputs are right where trials begin as well. A device has no
    filter but that of its latents, whose registers round.

    Parameters
    ----------
    problem
        A conversion; its states may come from trials with inputs.
    progress
        Called with the finished share.
    """
    rate, ensemble, settings = problem.rate, problem.ensemble, Calibrated()
    columns, count = ensemble.shared_columns(settings.most_decoders)
    trials, rng, memory = settings.trajectories, problem.rng("outputs"), 1.0 if ensemble.device else _FILTER
    start, course = drawn(problem.visited, trials, rng)
    paths = Trajectories(rate, ensemble.clock, start, EVERY, rng, settings.perturbed, course)
    drive = ensemble.drive(rng.random((trials, ensemble.neurons)), columns)
    blocks = along(paths, drive, settings.duration_for(ensemble.neurons) / trials)
    if ensemble.device is None:
        refilter = Refilter(ensemble.clock.decay**paths.stride, float(np.exp(-paths.every / memory)))
        blocks = (block._replace(spikes_hz=refilter(block.spikes_hz)) for block in blocks)
    blocks = without_jumps(paths, _read_out(rate, paths, blocks, memory), ensemble.clock, memory)
    training, held_out = (NormalEquations.empty(count + rate.rank, rate.outputs) for _ in range(2))
    take_in(blocks, training, held_out, progress)
    weights = solve_decoders(training, held_out, None).decoders
    filter_s = None if ensemble.device else memory * ensemble.clock.time_unit_s
    return OutputDecoders(weights[:, columns], _LATENT_HZ * weights[:, count:], filter_s)


def _read_out(
    rate: RateNetwork, paths: Trajectories, blocks: Iterator[DrivenBlock], memory: float
) -> Iterator[DrivenBlock]:
    """Blocks whose targets are the outputs, with the latents beside the spikes.

    Both are less what spikes cannot know: where trajectories jumped to of late.
    """
    decay, before, jumps = float(np.exp(-paths.every / memory)), None, 0.0
    for block in blocks:
        wanted = np.concatenate([rate.hidden(block.states) @ rate.output_vectors, block.states], axis=-1)
        before = wanted[:, 0] if before is None else before
        known = np.empty_like(wanted)
        for sample in range(wanted.shape[1]):
            jumped = np.where(paths.moved[:, sample, None], wanted[:, sample] - before, 0.0)
            jumps, before = decay * (jumps + jumped), wanted[:, sample]
            known[:, sample] = before - jumps
        target, latents = np.split(known, [rate.outputs], axis=-1)
        yield block._replace(spikes_hz=np.concatenate([block.spikes_hz, _LATENT_HZ * latents], axis=-1), target=target)
