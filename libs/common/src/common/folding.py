"""One form of a name for all ways of writing it, so that a search finds it however it is typed."""

from anyascii import anyascii

__all__ = ["folded"]


def folded(text: str) -> str:
    """Small letters of the English alphabet and digits, words parted by one space.

    `Éva  Lôve-Ly` is `eva love ly`, `Œuvray` is `oeuvray`, `Weiß` is `weiss`, `Łukasz` is `lukasz`.
    """
    plain = anyascii(text).casefold()
    return " ".join("".join(each if each.isalnum() else " " for each in plain).split())
