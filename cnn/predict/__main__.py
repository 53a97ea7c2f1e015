"""Say what is on pictures: the class, how sure the network is, and whether it has seen anything like it.

python -m cnn.predict PICTURE… [--model FILE] [--json | --csv]     a folder: all pictures in it; -: standard input
Each picture is seen as it is: the copies that evaluate.shift and evaluate.flip average over are not.
Exit code 0; 1: a picture could not be read, the others are answered; 2: no model, no picture, or a reader was killed.
"""

import argparse
import os
import sys
from pathlib import Path

from cnn.process import errors
from cnn.process.errors import InputError


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cnn.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE")
    parser.add_argument("--model", default="data/model/model.keras", help="a model that this project trained")
    parser.add_argument("--invert", action="store_true", help="swap dark and light first")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object a line")
    form.add_argument("--csv", action="store_true")
    options = parser.parse_args()

    from cnn.network import runtime

    runtime.prepare("portable")  # before NumPy and TensorFlow are imported: the same bits on every CPU

    from cnn.predict import answers, reading, text

    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by the caller
        stream.reconfigure(errors="surrogateescape")  # names that are no UTF-8, as they are
    try:
        names = reading.find(options.pictures)
        found = answers.Predictor(Path(options.model), options.invert)(names)
        return text.write(found, "json" if options.json else "csv" if options.csv else "plain")
    except InputError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    with errors.reported("predict"):
        sys.exit(main())
