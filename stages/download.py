"""Fetch a data set and verify it.

in:  data/sources.yaml, params.yaml: download
out: data/raw: the data set's IDX files, decompressed, and dataset.json, what the catalogue says of it
"""

from cnn.process import stage


def main() -> None:
    from cnn.settings import catalogue, params
    from cnn.sources import raw

    name = params.load_params().download.dataset
    source = catalogue.load_catalogue()[name]
    raw.fill(name, source)
    print(f"download: {name}, {sum(file.bytes for file in source.files.all()):,} bytes, verified (sha256)")


if __name__ == "__main__":
    with stage.running("download"):
        main()
