"""Where a mirror may be."""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def check_mirror(url: str) -> str:
    """Return the URL if it is https, or does not leave this machine. Raises ValueError otherwise."""
    parts = urlsplit(url)
    encrypted = parts.scheme == "https" and parts.hostname
    if not encrypted and not (parts.scheme in ("http", "file") and is_local(url)):
        raise ValueError("expected an https:// URL (or file://, or http:// to this machine itself)")
    return url


def is_local(url: str) -> bool:
    """Say whether a URL stays on this machine: a file, or a loopback address."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "file" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


Mirror = Annotated[str, AfterValidator(check_mirror)]
