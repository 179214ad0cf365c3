"""Adapter to Brian2."""

from ddm2snn_backends.brian2.backend import Brian2Backend

__all__ = ["Brian2Backend"]
