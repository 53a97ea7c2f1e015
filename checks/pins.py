"""Whether the hashes of a revision's data set are committed: without them a run would take whatever it is given."""

from pathlib import Path

from cnn.process.errors import InputError
from cnn.settings import catalogue, strict_yaml
from cnn.settings.published import Source
from cnn.sources import pins


def missing(root: Path) -> list[str]:
    """A line for each file of the data set in params.yaml that has no hash, neither in the catalogue nor pinned.

    None where these files are not of today's form: then the stages of that revision say what is wrong.
    """
    try:
        name = strict_yaml.load_yaml(root / "params.yaml")[0]["download"]["dataset"]
        source = catalogue.load_catalogue(root / catalogue.CATALOGUE)[name]
        if not isinstance(source, Source):
            return []
        source = pins.applied(name, source, root / pins.PINS)
    except (InputError, KeyError, TypeError):
        return []
    return [
        f"{pins.PINS}: expected the hash of {file.name} of {name}. Received: none. `dvc repro`, and commit {pins.PINS}."
        for file in source.files.all()
        if file.unpinned
    ]
