"""How a check ends when it is stopped."""

import signal
import sys
from types import FrameType
from typing import NoReturn


def end_silently() -> None:
    """Have Ctrl-C, and a reader that has gone (compare | head), end this process without a word: it writes nothing."""
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def end_on_signals(name: str) -> None:
    """Have Ctrl-C, SIGTERM and a closed terminal end this process with a line and 130, 143 or 129, cleaned up."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
        print(f"\n{name}: stopped by {signal.Signals(number).name}. To go on: run it again.", file=sys.stderr)
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
