"""Take docs/report.png, the picture that leads the README: the top of report.html in a headless Chromium."""

import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from cnn.process import errors
from cnn.process.errors import InputError
from cnn.storage import files

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync")
ARGUMENTS = [f"--{flag}" for flag in (*FLAGS, "no-first-run")]
WIDTH, HEIGHT = 1200, 1456
REPORT, PICTURE = Path("report.html"), Path("docs/report.png")


def installed() -> str | None:
    """The path of an installed Chromium."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main() -> None:
    with errors.reported("screenshot"):
        program = installed()
        if not program:
            raise InputError("expected Chromium (in Debian: apt install chromium). Received: none on PATH.")
        if not REPORT.exists():
            raise InputError(f"expected {REPORT}. Received: no such file. To go on: `make report`.")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(REPORT.resolve().as_uri())
            page.wait_for_selector("#probabilities .best, #draw img")
            picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
        with files.whole(PICTURE) as out:  # 256 colours are a third of the bytes, and look the same
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
        print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
