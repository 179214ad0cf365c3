"""Compiled loops: membranes along given latents, and paths of rate networks."""
