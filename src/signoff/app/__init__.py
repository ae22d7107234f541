"""The composition root: settings to every concrete object."""
