"""What the platform costs beside a bare way to the same effect, as ratios within one run."""
