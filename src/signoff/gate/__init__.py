"""The gate: from a call to its outcome."""
