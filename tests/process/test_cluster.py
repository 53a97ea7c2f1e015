"""TF_CONFIG: what launchers write is read, and what is no cluster is refused in one line."""

import json

import pytest

from cnn.process import cluster
from cnn.process.errors import InputError

TWO = {"worker": ["a:1", "b:2"]}


def read(monkeypatch, jobs, kind="worker", index=0):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}}))
    return cluster.read()


@pytest.mark.parametrize(
    ("jobs", "kind", "index", "expected"),
    [
        (TWO, "worker", 1, (("a:1", "b:2"), 1)),
        (TWO, "worker", "1", (("a:1", "b:2"), 1)),
        ({"worker": ["a:1"], "chief": ["[::1]:3"]}, "chief", 0, (("[::1]:3", "a:1"), 0)),
        ({"worker": ["a:1"], "chief": ["c:3"]}, "worker", 0, (("c:3", "a:1"), 1)),
    ],
)
def test_the_chief_comes_first(monkeypatch, jobs, kind, index, expected):
    assert read(monkeypatch, jobs, kind, index) == cluster.Cluster(*expected)


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {}, "task": {}}', '{"environment": "cloud"}'])
def test_where_nobody_is_named_there_is_no_cluster(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert cluster.read() is None


def test_one_alone_is_no_cluster(monkeypatch):
    assert read(monkeypatch, {"chief": ["a:1"]}, "chief") is None
    monkeypatch.delenv("TF_CONFIG")
    assert cluster.read() is None


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "3",
        json.dumps({"cluster": TWO}),
        '{"cluster": 3, "task": 4}',
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_what_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r"^TF_CONFIG: expected a task of its cluster, like \{.*\. Received: "):
        cluster.read()


def test_of_much_only_the_beginning_is_shown(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "[" * 100_000)
    with pytest.raises(InputError) as error:
        cluster.read()
    assert str(error.value).endswith(f" Received: {'[' * 1000}…")


@pytest.mark.parametrize(
    ("kind", "index"), [("worker", 2), ("worker", -1), ("evaluator", 0), ("worker", "x"), ("worker", 1e999)]
)
def test_a_task_that_is_not_there_is_refused(monkeypatch, kind, index):
    with pytest.raises(InputError, match=r"^TF_CONFIG: expected a task of its cluster"):
        read(monkeypatch, TWO, kind, index)


@pytest.mark.parametrize(
    "jobs",
    [
        TWO | {"ps": ["p:4"]},
        {"chief": ["a:1", "b:2"], "worker": ["c:3"]},
        {"worker": ["a:1", "b"]},
        {"worker": ["a:1", 7]},
        {"worker": ["a:1", ":2"]},
        {"worker": ["a:1", "b:99999"]},
    ],
)
def test_other_jobs_two_chiefs_and_no_addresses_are_refused(monkeypatch, jobs):
    with pytest.raises(InputError, match=r"^TF_CONFIG: expected one chief at most, and workers, each host:port"):
        read(monkeypatch, jobs)


def test_two_at_one_address_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"^TF_CONFIG: expected an address of its own for each"):
        read(monkeypatch, {"chief": ["a:1"], "worker": ["b:2", "a:1"]})
