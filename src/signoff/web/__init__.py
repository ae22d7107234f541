"""The approver's edge: everything that needs an approver's session."""
