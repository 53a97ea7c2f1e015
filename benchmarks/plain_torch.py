"""The other yardstick: the lesson in PyTorch, an eager loop as its tutorials write it.

python -m benchmarks.plain_torch FOLDER SEED, with a Python of your own that has PyTorch and NumPy.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

BATCH = 64


def main(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    started = time.perf_counter()
    images, labels = load(folder, "train")
    validation, test = load(folder, "validation"), load(folder, "test")

    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(576, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    ).to(memory_format=torch.channels_last)
    optimizer, criterion = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    for _ in range(5):
        model.train()
        order = torch.randperm(len(labels))
        for start in range(0, len(labels), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            criterion(model(images[rows]), labels[rows]).backward()
            optimizer.step()
        accuracy(model, *validation)
    print(json.dumps({"accuracy": accuracy(model, *test), "work_s": time.perf_counter() - started}))


def load(folder: Path, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, 1, height, width) float32 in [0, 1], channels last in memory, and labels (n,)."""
    images = torch.from_numpy(np.load(folder / f"{split}_images.npy")).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(np.load(folder / f"{split}_labels.npy")).long()
    return images.contiguous(memory_format=torch.channels_last), labels


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of right answers."""
    model.eval()
    with torch.no_grad():
        parts = [model(images[start : start + 1000]).argmax(1) for start in range(0, len(labels), 1000)]
    return (torch.cat(parts) == labels).float().mean().item()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
