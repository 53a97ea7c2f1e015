"""Fetch a data set and verify it.

in:  data/sources.yaml, data/pins.yaml, params.yaml: download
out: data/raw: the data set's IDX files, decompressed (none of a data set of one's own, which lies in data/local), and
     dataset.json, what the catalogue says of it; data/pins.yaml gets the hashes that nobody knew before
"""

from cnn.process import stage


def main() -> None:
    from cnn.settings import catalogue, params
    from cnn.sources import raw

    name = params.load_params().download.dataset
    source = catalogue.load_catalogue()[name]
    size = raw.fill(name, source)
    print(f"download: {name}, " + (f"{size:,} bytes, verified (sha256)" if size else "which lies on this machine"))


if __name__ == "__main__":
    with stage.running("download"):
        main()
