"""Make the images of a data set the size that the network sees, and split them into train, validation and test.

in:  data/raw, data/local/<data set> for one of one's own, params.yaml: preprocess
out: data/processed: {train,validation,test}_{images,labels}.npy and summary.json
"""

from cnn.process import stage


def main() -> None:
    from cnn.datasets import splits, summary
    from cnn.settings import params
    from cnn.storage.arrays import SPLITS

    found = splits.write(params.load_params().preprocess)
    for line in summary.notes(found):
        print(f"preprocess: {line}")
    print("preprocess: " + ", ".join(f"{split} {found[split]['images']:,}" for split in SPLITS))


if __name__ == "__main__":
    with stage.running("preprocess"):
        main()
