"""Split a data set into train, validation and test.

in:  data/raw, params.yaml: preprocess
out: data/processed: {train,validation,test}_{images,labels}.npy and summary.json
"""

from cnn.process import stage


def main() -> None:
    from cnn.datasets import splits
    from cnn.settings import params
    from cnn.storage.arrays import SPLITS

    summary = splits.write(params.load_params().preprocess)
    print("preprocess: " + ", ".join(f"{split} {summary[split]['images']:,}" for split in SPLITS))


if __name__ == "__main__":
    with stage.running("preprocess"):
        main()
