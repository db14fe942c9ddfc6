"""What the documents service does: one function per use case, inside the caller's transaction."""
