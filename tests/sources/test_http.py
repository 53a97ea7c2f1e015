"""Tests of cnn/sources/http.py: bounded in time, whatever the server does, and only from where it may come."""

import contextlib
import signal
import time

import pytest
import requests

from cnn.process.errors import InputError
from cnn.sources import http
from cnn.sources.http import MirrorError, read
from cnn.sources.raw import fill
from tests.sources.toy import FILE, IMAGES, complete, failure, redirect, respond, source

NO_MIRROR = "expected an https:// URL (or file://, or http:// to this machine itself)"

# -- the deadline --


def hang(request):
    """Say nothing."""
    request.server.over.wait(10)


def trickle(start, byte=b"x"):
    """Send the start of an answer at once, and then a byte every 20 ms, for ten seconds."""

    def answer(request):
        request.wfile.write(start)
        for _ in range(500):
            request.wfile.write(byte)
            if request.server.over.wait(0.02):
                return

    return answer


def slowly(pieces, seconds):
    """Send IMAGES in so many pieces, and pause after each one."""

    def answer(request):
        respond(b"", length=len(IMAGES))(request)
        size = len(IMAGES) // pieces
        for start in range(0, len(IMAGES), size):
            request.wfile.write(IMAGES[start : start + size])
            if request.server.over.wait(seconds):
                return

    return answer


def chatter(request):
    """Redirect to itself, but take some time for it."""
    request.server.over.wait(0.2)
    redirect(request.path)(request)


SLOW = {
    "hangs": hang,
    "trickles its status": trickle(b"HTTP/1.1 2"),
    "trickles a header": trickle(b"HTTP/1.1 200 OK\r\nServer: "),
    "trickles a body": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 76800\r\n\r\n"),
    "trickles a body without an end": trickle(b"HTTP/1.1 200 OK\r\n\r\n"),
    "trickles the length of a chunk": trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "hangs in the body": lambda request: (respond(IMAGES[:9999], length=len(IMAGES))(request), hang(request)),
    "sends a body that is too slow": slowly(pieces=50, seconds=0.1),
    "redirects slowly": chatter,
    "has failed for a while, slowly": lambda request: (
        request.server.over.wait(0.2),
        respond(status=503)(request),
    ),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_a_mirror_that_is_far_too_slow_is_given_up(monkeypatch, serve, raw, state, answer):
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    url, _ = serve(answer)
    before, start = state(raw), time.monotonic()
    with pytest.raises(InputError) as error:
        fill("toy", source(url), raw)
    assert time.monotonic() - start < 5, "0.3 s for each of two URLs"
    reason = "slower than 5000 kB/s, or no answer in 0.3 s: given up"
    assert str(error.value) == failure((f"{url}/{FILE}.gz", reason), (f"{url}/{FILE}", reason))
    assert state(raw) == before


def test_the_next_mirror_is_asked_where_one_is_far_too_slow(monkeypatch, serve, raw, mirror, state):
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    fill("toy", source(serve(hang)[0], mirror.as_uri()), raw)
    assert state(raw) == complete()


def test_a_mirror_that_is_slow_but_fast_enough_is_not_given_up(monkeypatch, serve, raw, state):
    monkeypatch.setattr(http, "PATIENCE", 1)
    monkeypatch.setattr(http, "LEAST", 38_400)  # which this one takes 0.6 s for, and as long for its answer

    def think(request):
        request.server.over.wait(0.6)
        slowly(pieces=8, seconds=0.2)(request)

    url, asked = serve(think)
    start = time.monotonic()
    fill("toy", source(url), raw)
    assert time.monotonic() - start > 2, "twice the patience"
    assert (state(raw), asked) == (complete(), [f"/{FILE}.gz"])


def test_bytes_that_came_fast_are_no_credit_for_later_ones(monkeypatch, serve):
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    monkeypatch.setattr(http, "LEAST", 1_000)
    url, _ = serve(trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 76800\r\n\r\n" + IMAGES[:60_000]))
    start = time.monotonic()
    with pytest.raises(MirrorError, match="given up"):
        list(read(url))
    assert time.monotonic() - start < 5


@pytest.fixture
def alarms():
    """The numbers of the alarms that reach the handler that a process had before."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    handler = signal.getsignal(signal.SIGALRM)
    yield rung
    assert signal.getsignal(signal.SIGALRM) is handler, "the former handler is back"
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0), "and the timer is off"
    signal.signal(signal.SIGALRM, before)


ENDS = {
    "success": respond(IMAGES),
    "error status": respond(status=404),
    "broken off": respond(IMAGES[:999], length=len(IMAGES)),
    "too slow": hang,
    "too slow in the body": SLOW["trickles a body"],
    "refused redirect": redirect("http://192.0.2.1/"),
    "no HTTP": lambda request: request.wfile.write(b"SSH-2.0-OpenSSH\r\n"),
}


@pytest.mark.parametrize("answer", ENDS.values(), ids=ENDS)
def test_the_former_handler_is_back_and_the_timer_off_however_it_ends(monkeypatch, serve, alarms, answer):
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    with contextlib.suppress(MirrorError):
        assert b"".join(read(serve(answer)[0])) == IMAGES
    time.sleep(0.35)
    assert alarms == [], "no alarm comes late"


@pytest.mark.parametrize("answer", [respond(IMAGES[::-1]), respond(IMAGES + b"."), hang], ids=["wrong", "long", "hang"])
def test_the_former_handler_is_back_where_a_file_is_not_had(monkeypatch, serve, raw, alarms, answer):
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    with pytest.raises(InputError):
        fill("toy", source(serve(answer)[0]), raw)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_former_handler_is_back_where_the_reader_fails(serve, alarms, error):
    with pytest.raises(error), contextlib.closing(read(serve(respond(IMAGES))[0])) as pieces:
        next(pieces)
        raise error


def test_a_reader_may_stop_before_the_end(serve, alarms):
    with contextlib.closing(read(serve(respond(IMAGES))[0])) as pieces:
        assert IMAGES.startswith(next(pieces))


def test_a_reader_that_is_too_slow_itself_ends_as_well(monkeypatch, serve, alarms):
    monkeypatch.setattr(http, "PATIENCE", 0.2)
    with pytest.raises(MirrorError), contextlib.closing(read(serve(respond(IMAGES))[0])) as pieces:
        next(pieces)
        time.sleep(5)


# -- redirects --


def test_a_redirect_from_this_machine_to_this_machine_is_followed(serve, raw, state):
    target, _ = serve(respond(IMAGES))
    url, asked = serve(redirect(f"{target}/elsewhere"))
    fill("toy", source(url), raw)
    assert (state(raw), asked) == (complete(), [f"/{FILE}.gz"])


def test_a_redirect_to_another_path_is_followed(serve):
    url, asked = serve(lambda request: (respond(IMAGES) if request.path == "/b" else redirect("/b"))(request))
    assert b"".join(read(f"{url}/a")) == IMAGES
    assert asked == ["/a", "/b"]


def test_a_redirect_to_a_file_is_not_followed(serve, raw, mirror, state):
    url, _ = serve(redirect(f"{mirror.as_uri()}/{FILE}.gz"))
    before = state(raw)
    with pytest.raises(InputError) as error:
        fill("toy", source(url), raw)
    assert str(error.value) == failure((f"{url}/{FILE}.gz", "no valid URL"), (f"{url}/{FILE}", "no valid URL"))
    assert state(raw) == before


class Elsewhere(requests.Session):
    """A session whose servers, wherever they are, redirect from each place to the next one; the last is found."""

    def __init__(self, *places):
        super().__init__()
        self.next = dict(zip(places, places[1:], strict=False))
        self.asked = []

    def get(self, url, **options):
        assert options["allow_redirects"] is False
        self.asked.append(url)
        response = requests.Response()
        response.url, response.status_code = url, 302 if url in self.next else 200
        response.headers["Location"] = self.next.get(url, "")
        return response


REFUSED = "redirects to this machine itself, from elsewhere: not followed"


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:8080/", "https://127.0.0.1/", "https://127.9.9.9/", "http://localhost/", "https://LOCALHOST/",
     "http://[::1]:80/", "http://user@127.0.0.1/", "file:///etc/hostname"],
)  # fmt: skip
@pytest.mark.parametrize(
    "start",
    [
        ["https://example.org/a"],
        ["https://example.org/a", "https://example.org/b"],
        ["https://192.0.2.1/a"],
        ["http://127.0.0.1/a", "https://example.org/a"],  # what started here has left this machine
    ],
    ids=" ".join,
)
def test_a_redirect_from_elsewhere_to_this_machine_is_refused(start, target):
    session = Elsewhere(*start, target)
    with pytest.raises(MirrorError) as error:
        http._open(session, start[0])
    assert (str(error.value), session.asked) == (REFUSED, start)


@pytest.mark.parametrize("target", ["http://example.org/", "http://192.0.2.1/", "ftp://example.org/", "http://"])
def test_a_redirect_to_an_unencrypted_place_is_refused(target):
    session = Elsewhere("https://example.org/", target)
    with pytest.raises(ValueError, match="expected an https:// URL") as error:
        http._open(session, "https://example.org/")
    assert (str(error.value), session.asked) == (NO_MIRROR, ["https://example.org/"])


def test_a_redirect_from_one_encrypted_place_to_another_is_followed():
    session = Elsewhere("https://example.org/a", "https://example.net/b")
    assert http._open(session, "https://example.org/a").url == "https://example.net/b"


@pytest.mark.parametrize("hops", [5, 6])
def test_six_places_are_asked_at_most(hops):
    places = [f"https://example.org/{number}" for number in range(hops + 1)]
    session = Elsewhere(*places)
    if hops == 5:
        assert http._open(session, places[0]).url == places[-1]
    else:
        with pytest.raises(MirrorError, match="^redirects in a circle$"):
            http._open(session, places[0])
    assert session.asked == places[:6]


# -- proxies --


@pytest.mark.parametrize("names", [["http_proxy"], ["HTTP_PROXY"], ["ALL_PROXY", "all_proxy"], ["HTTPS_PROXY"]])
def test_this_machines_own_servers_are_asked_directly(monkeypatch, serve, raw, state, names):
    proxy, through = serve(respond(b"of the proxy"))
    for name in names:
        monkeypatch.setenv(name, proxy)
    target, _ = serve(respond(IMAGES))
    url, _ = serve(redirect(f"{target}/elsewhere"))
    fill("toy", source(url), raw)
    assert (state(raw), through) == (complete(), [])


def test_other_places_are_asked_through_the_users_proxy(monkeypatch, serve):
    """tests/conftest.py fails a test that tries to reach the address itself, which no host has (RFC 5737)."""
    proxy, through = serve(respond(status=403))
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(MirrorError, match="^no connection$"):
        list(read("https://192.0.2.1/file"))
    assert set(through) == {"192.0.2.1:443"}
