"""How an approver hears of a request."""
