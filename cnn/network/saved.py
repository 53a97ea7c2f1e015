"""The saved model: the same weights give the same bytes, and loading runs no code from the file."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from cnn.network.batch_norm import fold_batch_norm
from cnn.process.errors import REMAKE, InputError
from cnn.storage import files
from cnn.storage.paths import MODEL

# A fixed date for everything in the archive: the earliest that zip knows.
DATE = (1980, 1, 1, 0, 0, 0)


def save_model(model: keras.Sequential, path: Path = MODEL, entries: Mapping[str, bytes] | None = None) -> None:
    """Write the model, folded and without optimizer state, as a .keras archive: same weights, same bytes.

    Keras notes the date, memory addresses and file times in what it saves; they are taken out. entries: further files
    for the archive, by their names, which Keras passes over: the card.
    """
    with files.whole(path) as out:
        draft = Path(f"{path}.draft.keras")
        try:
            keras.saving.save_model(fold_batch_norm(model), draft)
            with zipfile.ZipFile(draft) as source, zipfile.ZipFile(out, "w") as archive:
                contents = {name: source.read(name) for name in source.namelist()}
                for name, content in contents.items():
                    if name.endswith(".json"):
                        contents[name] = _canonical(content).encode()
                for name, content in sorted({**contents, **(entries or {})}.items()):
                    entry = zipfile.ZipInfo(name, DATE)
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, content)
        finally:
            draft.unlink(missing_ok=True)


def load_model(path: Path = MODEL) -> keras.Sequential:
    """Load a saved model, in Keras' safe mode: no code from the file is run. Raises InputError."""
    if not zipfile.is_zipfile(path):
        found = "another file" if path.exists() else "none"
        raise InputError(f"{path}: expected a model in Keras' .keras format. Received: {found}. {REMAKE}")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: expected a model in Keras' .keras format: {reason} {REMAKE}") from None
    if not isinstance(model, keras.Model):
        raise InputError(f"{path}: expected a model. Received: {type(model).__name__}. {REMAKE}")
    return model


def describe(model: keras.Sequential) -> str:
    """The network's layers and their settings as JSON, the same in every process."""
    return _canonical(model.to_json())


def _canonical(text: str | bytes) -> str:
    """JSON without the dates and memory addresses that Keras puts into it."""
    return json.dumps(_without_noise(json.loads(text)), sort_keys=True)


def _without_noise(node: Any) -> Any:
    if isinstance(node, dict):
        noise = ("date_saved", "shared_object_id")
        return {key: _without_noise(value) for key, value in node.items() if key not in noise}
    return [_without_noise(item) for item in node] if isinstance(node, list) else node
