"""An API's tools inside a program of one's own: no server, no store."""
