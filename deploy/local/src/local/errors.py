"""What a person can mend when the platform does not start on this machine."""


class LocalError(Exception):
    """One clear line for the terminal: what is wrong, and what to do."""
