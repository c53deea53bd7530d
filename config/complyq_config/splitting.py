"""Takes URLs of servers apart. The standard library's errors would repeat what may be a password."""

from urllib.parse import SplitResult, urlsplit


def split_url(url: str, *, one_host: bool = True) -> SplitResult:
    """Take a URL apart.

    Args:
        url: what an operator set.
        one_host: whether what follows the user must be one host, with or without a port.

    Raises:
        ValueError: It is no URL, or its port is none.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port if one_host else None  # raises for what is no port
    except ValueError:
        raise ValueError("must be a URL with a port between 1 and 65535, if it has one") from None
    if any(character.isspace() for character in url):
        raise ValueError("must be a URL without spaces")
    return parts
