"""The human decision."""
