"""Training of rate networks by drift-diffusion matching: the only part that uses torch."""

from ddm2snn.training.accuracy import diffusion_error, drift_error
from ddm2snn.training.matching import match
from ddm2snn.training.options import Training
from ddm2snn.training.train import train

__all__ = ["Training", "diffusion_error", "drift_error", "match", "train"]
