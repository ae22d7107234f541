"""Fixtures of tests with a gate elsewhere."""

from far_gate import provider, watch

__all__ = ["provider", "watch"]
