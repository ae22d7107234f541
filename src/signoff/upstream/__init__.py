"""From arguments to the wire and back."""
