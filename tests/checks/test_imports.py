"""checks.imports: every way to import a module of the project is seen."""

from pathlib import Path

import pytest

from checks.imports import imports


@pytest.mark.parametrize(
    "statement",
    [
        "import cnn.room.model",
        "import cnn.room.model as network",
        "from cnn.room.model import MODEL",
        "from cnn.room import model",
        "def main():\n    from cnn.room import model",
    ],
)
def test_every_way_to_import_is_seen(tmp_path, statement):
    texts = {"stages/run.py": statement, "cnn/room/model.py": "from cnn.other import files", "cnn/other/files.py": ""}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert imports(Path("stages/run.py"), tmp_path) == {Path("cnn/room/model.py"), Path("cnn/other/files.py")}


def test_a_package_file_counts_where_it_has_code(tmp_path):
    texts = {"stages/run.py": "import cnn.room.model", "cnn/room/model.py": ""}
    texts |= {"cnn/__init__.py": '"""Only words."""', "cnn/room/__init__.py": '"""Words."""\nimport os'}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert imports(Path("stages/run.py"), tmp_path) == {Path("cnn/room/model.py"), Path("cnn/room/__init__.py")}


def test_a_relative_import_is_refused(tmp_path):
    (tmp_path / "run.py").write_text("from . import other")
    with pytest.raises(ValueError, match="expected absolute imports"):
        imports(Path("run.py"), tmp_path)
