"""history.csv: a row an epoch, nothing where nothing was measured."""

import pandas as pd

from cnn.storage import paths
from cnn.training import history

ROW = {"epoch": 1, "loss": 1.23456789, "accuracy": 0.5, "val_loss": None, "val_accuracy": None, "learning_rate": 1e-3}
MEASURED = ROW | {"epoch": 2, "val_loss": 12345678.9, "val_accuracy": 1.0, "learning_rate": 1.5e-7}
HEADER = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate\n"


def test_rows_have_six_digits_and_empty_cells_where_there_is_no_value(tmp_path):
    path = tmp_path / "metrics/history.csv"
    history.write([ROW, MEASURED], path)
    assert path.read_bytes() == (HEADER + "1,1.23457,0.5,,,0.001\n2,1.23457,0.5,1.23457e+07,1,1.5e-07\n").encode()
    assert list(path.parent.iterdir()) == [path]
    assert pd.read_csv(path)["val_loss"].isna().tolist() == [True, False]


def test_it_is_written_over_and_where_dvc_looks_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history.write([ROW, MEASURED])
    history.write([ROW])
    assert paths.HISTORY.read_text() == HEADER + "1,1.23457,0.5,,,0.001\n"
