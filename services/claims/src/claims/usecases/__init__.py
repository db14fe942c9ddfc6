"""What the claims service does: one function per use case, inside the caller's transaction."""
