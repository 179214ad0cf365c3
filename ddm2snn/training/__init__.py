"""Training of rate networks by drift-diffusion matching: the only part that uses torch."""

from ddm2snn.training.matching import diffusion_error, drift_error, match
from ddm2snn.training.train import Training, train

__all__ = ["Training", "diffusion_error", "drift_error", "match", "train"]
