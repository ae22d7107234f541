"""One owner per data directory: lock, admin socket, stdio relay."""
