"""The journeys of the demonstration, played through the public HTTP API alone."""
