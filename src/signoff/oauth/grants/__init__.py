"""One module a grant."""
