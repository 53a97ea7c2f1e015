"""Write report.html, a self-contained page about the last run. `python -m cnn.report [--base REVISION]`."""

import argparse

from cnn.process import errors
from cnn.report.comparison import comparison_of
from cnn.report.page import render
from cnn.storage import files

REPORT = "report.html"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m cnn.report", description="Write report.html about the last run.")
    parser.add_argument("--base", metavar="REVISION", help="compare with this commit, branch, tag or experiment")
    base = parser.parse_args().base
    with errors.reported("report"):
        page = render(comparison_of(base))
        with files.whole(REPORT, "w") as out:
            out.write(page)
        print(f"{REPORT}: {len(page.encode()) / 1e6:.2f} MB. Open it in a browser; it needs no network.")


if __name__ == "__main__":
    main()
