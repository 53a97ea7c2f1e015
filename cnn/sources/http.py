"""Read a file over HTTP from a mirror that is not trusted: bounded in time, and only from where it may come."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from urllib.parse import urljoin, urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import Retry

from cnn.settings.mirror import check_mirror, is_local

PIECE = 1 << 16  # bytes read at a time
PATIENCE = 30  # seconds for an answer, all redirects and retries included; then for each LEAST bytes
LEAST = 1_500_000  # bytes: a mirror below 50 kB/s is given up


class MirrorError(Exception):
    """A mirror did not give the file. The next one is tried."""


def read(url: str) -> Iterator[bytes]:
    """Read a URL piece by piece. Raises MirrorError, also where it is far too slow."""
    with _deadline() as again:
        try:
            with requests.Session() as session, _open(session, url) as response:
                again()
                yield from _pieces(response, again)
        except (requests.RequestException, HTTPError, ValueError) as error:
            raise MirrorError(_reason(error)) from None


def _pieces(response: requests.Response, again: Callable[[], None]) -> Iterator[bytes]:
    length = int(response.headers.get("Content-Length", 0)) or None
    name = urlsplit(response.url).path.rsplit("/", 1)[-1]
    due = LEAST
    with tqdm(desc=name, total=length, unit="B", unit_scale=True, disable=None) as bar:
        while piece := response.raw.read1(PIECE, decode_content=False):
            bar.update(len(piece))
            due -= len(piece)
            if due <= 0:
                again()
                due = LEAST
            yield piece


@contextmanager
def _deadline() -> Iterator[Callable[[], None]]:
    """Raise MirrorError in the block PATIENCE seconds after its start, or after the last call of what it gives.

    A timer of the process: a timeout of the socket begins anew with each byte, and a server that sends its
    headers a byte at a time would hold it for ever. Works in the main thread only, where a stage runs.
    """

    def late(number: int, frame: FrameType | None) -> None:
        raise MirrorError(f"slower than {LEAST / PATIENCE / 1000:.0f} kB/s, or no answer in {PATIENCE} s: given up")

    def again() -> None:
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    before = signal.signal(signal.SIGALRM, late)
    try:
        again()
        yield again
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _open(session: requests.Session, url: str) -> requests.Response:
    """Ask for a URL. No connection is made to where `check_mirror` forbids it, redirected or not."""
    # Passing faults (a reset connection, 502 to 504) are tried again after 0.5 and 1 s.
    retry = Retry(2, backoff_factor=0.5, status_forcelist=(502, 503, 504), raise_on_status=False)
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    local = is_local(url)
    for _ in range(6):
        if is_local(check_mirror(url)) and not local:
            raise MirrorError("redirects to this machine itself, from elsewhere: not followed")
        local = is_local(url)
        session.trust_env = not local  # a proxy could not reach this machine's own servers
        response = session.get(url, stream=True, timeout=PATIENCE, allow_redirects=False)
        if not response.is_redirect:
            response.raise_for_status()
            return response
        url = urljoin(url, response.headers["Location"])
    raise MirrorError("redirects in a circle")


def _reason(error: Exception) -> str:
    """Shorten what requests and urllib3 say to its cause; no URL in it, which could hold a password."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, LocationValueError)):
        return "no valid URL"
    return str(error)
