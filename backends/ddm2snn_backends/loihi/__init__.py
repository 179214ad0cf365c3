"""Adapter to nengo-loihi."""

from ddm2snn_backends.loihi.backend import LoihiBackend

__all__ = ["LoihiBackend"]
