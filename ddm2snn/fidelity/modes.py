"""Modes of a density: wells found where none are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples, thinned

if TYPE_CHECKING:
    from jaxtyping import Float

_LANDMARKS = 2000  # samples that the search for modes looks at
_VALLEY = 0.5  # two modes are two wells where the density between them falls to half of the lower one
_CERTAIN = 1.5  # on the scale of the root of a count, whose standard deviation is about a third in a sum of kernels
_SMALLEST = 0.02  # share of samples nearest to a mode, below which it is no well


def find_wells(samples: Float[np.ndarray, "trial time rank"], width: float = 0.25) -> Float[np.ndarray, "well rank"]:
    """Wells as modes of the density, found by mean shift with a Gaussian kernel on 2,000 evenly spaced samples.

    A mode counts where at least 2 % of the samples are nearest to it and where, on the straight line to every
    denser well, the density falls to half of the mode's own, by more than chance. A limit cycle or a chaotic
    attractor has such modes without being bistable: where the wells of a system are known, give those instead.
    Source: Comaniciu, Meer, IEEE Trans. Pattern Anal. Mach. Intell. 24 (2002); the thresholds are ours.

    Parameters
    ----------
    samples
        Of the reference, in system units.
    width
        Standard deviation of the kernel in standard deviations of each latent.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank), or a constant latent.
    """
    check_samples("find_wells", {"samples": samples})
    check_positive("find_wells", width=width)
    centre, scale = samples.mean(axis=(0, 1)), samples.std(axis=(0, 1))
    if not scale.all():
        raise InputError(f"Latent {int(np.argmin(scale))} is constant, so there are no wells to find. Leave it out.")
    chosen = samples[:, thinned(samples.shape[1], samples.shape[0], _LANDMARKS)].reshape(-1, samples.shape[2])
    landmarks = (chosen - centre) / scale / width
    modes = landmarks[:: max(1, len(landmarks) // 200)]
    for _ in range(60):
        weight = _kernel(modes, landmarks)
        modes = weight @ landmarks / weight.sum(axis=1, keepdims=True)
    wells = _separate(modes[np.argsort(-_kernel(modes, landmarks).sum(axis=1))], landmarks)
    return wells * width * scale + centre


def _kernel(
    points: Float[np.ndarray, "point rank"], landmarks: Float[np.ndarray, "sample rank"]
) -> Float[np.ndarray, "point sample"]:
    square = (points**2).sum(axis=1)[:, None] + (landmarks**2).sum(axis=1) - 2 * points @ landmarks.T
    return np.exp(-np.maximum(square, 0.0) / 2)


def _separate(
    modes: Float[np.ndarray, "mode rank"], landmarks: Float[np.ndarray, "sample rank"]
) -> Float[np.ndarray, "well rank"]:
    """Keep, from the densest mode on, those with a valley towards every well kept before, then drop small ones."""
    wells: list[np.ndarray] = []
    share = np.linspace(0.0, 1.0, 11)[:, None]
    for mode in modes:
        lines = [_kernel((1 - share) * mode + share * well, landmarks).sum(axis=1) for well in wells]
        if all(line.min() < _VALLEY * line[0] and np.sqrt(line[0]) - np.sqrt(line.min()) > _CERTAIN for line in lines):
            wells.append(mode)
    found = np.array(wells)
    nearest = _kernel(found, landmarks).argmax(axis=0)
    counts = np.bincount(nearest, minlength=len(found))
    return found[counts >= _SMALLEST * len(landmarks)]
