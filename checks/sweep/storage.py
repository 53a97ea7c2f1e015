"""The database in which Optuna keeps the trials."""

import warnings

import optuna
import sqlalchemy
from optuna.storages import RDBStorage

from cnn.process.errors import InputError

HEARTBEAT, DEAD = 60, 600  # seconds: between two of a running trial; without one it is dead
# What a database can raise at any time; ImportError: its driver is not installed.
FAULTS = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError)


def open_storage(url: str) -> RDBStorage:
    """Connect to a database, and make Optuna's tables where there are none. Raises InputError."""
    sqlite = url.startswith("sqlite")
    patient = {"connect_args": {"timeout": HEARTBEAT}} if sqlite else {}
    try:
        if sqlite and sqlalchemy.make_url(url).database in (None, "", ":memory:"):
            raise ValueError("one in memory is lost with its process")
        with quiet():
            return RDBStorage(url, patient, heartbeat_interval=HEARTBEAT, grace_period=DEAD)
    except (*FAULTS, ValueError) as error:
        raise unusable(url, error) from None


def unusable(url: str, error: Exception) -> InputError:
    """Why a database cannot be used, without its password."""
    try:
        shown = sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        shown = "another text"
        error = ValueError("no such URL")
    # The innermost one says it plainly.
    while error.__cause__ and isinstance(error.__cause__, Exception):
        error = error.__cause__
    reason = " ".join(str(error).split())
    return InputError(
        "STORAGE: expected the URL of a database that can be reached, like postgresql+psycopg://user@host/name, and "
        f"its driver. Received: {shown} ({reason}). Mend it and run again: finished trials are kept."
    )


def quiet() -> warnings.catch_warnings:
    """Without Optuna's word that heartbeats are experimental."""
    return warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning)
