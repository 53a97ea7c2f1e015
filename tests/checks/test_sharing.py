"""Sharing through a real S3 server on this machine: push, pull elsewhere, cut off, refused; what `make check` says."""

import hashlib
import json
import logging
import os
import re
import shlex
import socket
import subprocess
import textwrap
import threading
from types import SimpleNamespace

import boto3
import pytest
import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests import tiny
from tests.test_pipeline import copy_of_the_project

pytestmark = pytest.mark.slow  # a project that has run twice, and each question to the server takes DVC seconds

PAGE = (tiny.ROOT / "docs/sharing.md").read_text()
AGREE = "status: parameters, code, dvc.yaml, dvc.lock, outputs, metrics/ and gates agree"
MADE = {"data/raw", "data/model/model.keras", "data/processed/summary.json"} | {
    f"data/processed/{split}_{kind}.npy" for split in ("train", "validation", "test") for kind in ("images", "labels")
}
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def storage():
    """An S3 server that knows one key. `stall` has it take so many more uploads, and hold those that come then."""
    answer = DomainDispatcherApplication(create_backend_app)
    left, one_by_one, stalled, go_on = [None], threading.Lock(), threading.Event(), threading.Event()

    def held(environ, respond):
        if environ["REQUEST_METHOD"] == "PUT" and left[0] is not None:
            with one_by_one:
                if left[0]:
                    left[0] -= 1
                    return answer(environ, respond)
            stalled.set()
            go_on.wait()
        return answer(environ, respond)

    def stall(uploads):
        left[0] = uploads

    def release():
        left[0] = None
        go_on.set()

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # each request is a line
    server = make_server("127.0.0.1", 0, held, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    first = {"endpoint_url": url, "aws_access_key_id": "first", "aws_secret_access_key": "first"}
    iam = boto3.client("iam", region_name="us-east-1", **first)
    iam.create_user(UserName="team")
    iam.put_user_policy(UserName="team", PolicyName="anything", PolicyDocument=json.dumps(ANYTHING))
    key = iam.create_access_key(UserName="team")["AccessKey"]
    before = requests.post(f"{url}/moto-api/reset-auth", data="0", timeout=10).json()  # from now on, keys are checked
    key = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **key)
    yield SimpleNamespace(url=url, key=key, s3=s3, stall=stall, stalled=stalled, release=release)
    release()
    requests.post(f"{url}/moto-api/reset-auth", data=before["PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT"], timeout=10)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def project(tmp_path_factory, storage):
    """A project that has run with one epoch, as committed, and with two; its remote is set up as the page says."""
    folder = tmp_path_factory.mktemp("sharing")
    project = copy_of_the_project(folder)
    project.environment = {name: value for name, value in project.environment.items() if not name.startswith("AWS_")}
    project.environment |= {name.upper(): value for name, value in storage.key.items()}
    project.environment |= {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}  # no keys but these
    (project.folder / "checks/gates.yaml").write_text("floors: {validation.accuracy: 0.1}\n")
    project.repro()
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=result")
    project.set(train={"epochs": 2})
    assert project.repro() == ["train", "evaluate"]
    project.two_epochs = result(project)
    project.run("git", "reset", "--quiet", "--hard")
    assert project.repro() == []
    (commands,) = re.findall(r"## Once for the project\n\n```sh\n(.*?)```", PAGE, re.DOTALL)
    for command in [*commands.splitlines(), *re.findall(r"`(dvc remote [^`]+)`", PAGE)]:
        project.run(*shlex.split(command))
    project.run("git", "checkout", "--quiet", ".dvc/config")  # what the page says for other servers
    return project


def result(project):
    """What a run gives that is not of DVC's own."""
    metrics = {str(path.relative_to(project.folder)): path.read_bytes() for path in project.folder.glob("metrics/*.*")}
    return metrics | {"model": project.read("data/model/model.keras")}


@pytest.fixture
def bucket(project, storage, request):
    """The name of a new, empty bucket, which is the project's remote."""
    name = "bucket-" + hashlib.md5(request.node.name.encode()).hexdigest()
    storage.s3.create_bucket(Bucket=name)
    point(project, storage.url, name)
    return name


def point(project, url, bucket):
    """Give the project another server and bucket, where the page would have DVC write them."""
    settings = f"['remote \"storage\"']\n    url = s3://{bucket}/folder\n    endpointurl = {url}\n"
    (project.folder / ".dvc/config.local").write_text(settings)


def clone(project, tmp_path):
    """The project's commit and remote on another machine, with nothing else."""
    other = type(project)(tmp_path)
    other.environment = project.environment | {"DVC_SITE_CACHE_DIR": str(tmp_path / "dvc")}
    project.run("git", "clone", "--quiet", ".", str(other.folder))
    (other.folder / ".dvc/config.local").write_text((project.folder / ".dvc/config.local").read_text())
    return other


def stored(storage, bucket):
    """The name and the content of all that a bucket holds."""
    listed = storage.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {one["Key"]: storage.s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}


def share(project, way, status=0, **environment):
    """What `make push` or `make pull` prints."""
    before, project.environment = project.environment, project.environment | environment
    try:
        return project.run("python", "-m", "checks.share", way, status=status)
    finally:
        project.environment = before


def check(project, *options, status=0):
    return project.run("python", "-m", "checks.status", *options, status=status).splitlines()


def test_elsewhere_nothing_runs_again_that_was_pushed(project, bucket, storage, tmp_path):
    faults = check(project, status=1)
    sentence = "is not on the remote storage: nobody else can have it. To go on: `make push`."
    assert {line.removeprefix("output not pushed: ") for line in faults} == {f"{path} {sentence}" for path in MADE}
    assert share(project, "push").startswith("push: 3")
    assert check(project) == [AGREE]

    other = clone(project, tmp_path)
    assert check(other) == ["note: nothing has been made here yet: `make run`", AGREE]
    assert share(other, "pull").startswith("pull: ")
    assert "in sync" in other.run("dvc", "status", "--cloud")
    assert result(other) == result(project)
    assert other.repro() == []
    # It has the records of runs whose results it has not fetched, and can push what it has all the same.
    storage.s3.create_bucket(Bucket=f"{bucket}-2")
    point(other, storage.url, f"{bucket}-2")
    share(other, "push")
    assert check(other) == [AGREE]
    point(other, storage.url, bucket)
    other.set(train={"epochs": 2})
    assert not re.findall("Running stage", other.run("dvc", "repro", "--pull"))
    assert result(other) == project.two_epochs
    assert share(other, "push").startswith("push: 0 files sent")


def test_what_is_neither_here_nor_there_is_named_too(project, bucket, tmp_path):
    sentence = (
        "is neither here nor on the remote storage. To go on: `make push` where it was made, or `make run push` here."
    )
    other = clone(project, tmp_path)
    faults = check(other, status=1)
    for way in ("pull", "push"):
        assert share(other, way, status=2) == (
            f"{way}: some of what dvc.lock names is neither here nor on the remote storage: "
            "`make check` says what, and what to do.\n"
        )
    assert {line for line in faults if line.startswith("output")} == {
        f"output not pushed: {p} {sentence}" for p in MADE
    }


def test_a_push_that_is_cut_off_leaves_whole_files_and_the_next_one_goes_on(project, bucket, storage):
    storage.stall(uploads=5)
    try:
        cut = subprocess.Popen(
            ["python", "-m", "checks.share", "push"], cwd=project.folder, env=project.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert storage.stalled.wait(120)
        os.kill(cut.pid, 9)
        assert cut.wait(60) == -9
        first = stored(storage, bucket)
        assert len(first) == 5
    finally:
        storage.release()
    assert [line for line in check(project, status=1) if line.startswith("output not pushed: data/")]
    share(project, "push")
    assert check(project) == [AGREE]
    second = stored(storage, bucket)
    assert first.items() <= second.items()
    for key, content in second.items():
        if "/files/md5/" in key:
            assert hashlib.md5(content).hexdigest() == "".join(key.split("/")[-2:]).removesuffix(".dir")
    here = [path for path in (project.folder / ".dvc/cache").rglob("*") if path.is_file()]
    assert {key.removeprefix("folder/") for key in second} == {
        str(path.relative_to(project.folder / ".dvc/cache")) for path in here
    }


REFUSED = {
    "key": ({"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, "{url}", "{bucket}", "Forbidden: "),
    "secret": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "{url}", "{bucket}", "Forbidden: "),
    "no key": (
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        "{url}",
        "{bucket}",
        "Unable to locate credentials",
    ),  # fmt: skip
    "no bucket": ({}, "{url}", "no-such-bucket", "The specified bucket does not exist"),
    "no server": ({}, "http://127.0.0.1:9", "{bucket}", "Could not connect to the endpoint"),
}


@pytest.mark.parametrize(("keys", "url", "name", "said"), REFUSED.values(), ids=REFUSED)
def test_who_is_refused_hears_it_in_one_line_which_the_page_explains(project, bucket, storage, keys, url, name, said):
    point(project, url.format(url=storage.url), name.format(bucket=bucket))
    (line,) = share(project, "push", status=2, **keys).splitlines()
    assert line.startswith(f"push: the remote storage could not be asked: {said}")
    assert line.endswith("docs/sharing.md says what it needs.")
    assert f"`{said.split(':')[0]}" in PAGE


@pytest.fixture
def silent():
    """The URL of a server that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_answer_is_given_up(project, silent):
    point(project, silent, "bucket")
    said = project.run("python", "-c", "from checks import remote; remote.ask(seconds=5)", status=1)
    assert said.splitlines()[-1].endswith(
        "the remote storage could not be asked: no answer in 5 seconds. docs/sharing.md says what it needs."
    )


def test_what_could_not_be_asked_is_not_called_pushed_and_offline_it_is_not_asked(project, storage, silent):
    point(project, storage.url, "no-such-bucket")
    (line,) = check(project, status=2)
    assert line.startswith("status: the remote storage could not be asked: The specified bucket does not exist")
    assert line.endswith("To judge the rest alone: `make check OFFLINE=1`.")
    point(project, silent, "bucket")
    assert check(project, "--offline") == ["note: the remote storage was not asked whether it has the outputs", AGREE]


def place(model):
    """Where a bucket has a model."""
    digest = hashlib.md5(model).hexdigest()
    return f"folder/files/md5/{digest[:2]}/{digest[2:]}"


def test_a_file_that_was_changed_in_the_bucket_is_not_taken(project, bucket, storage, tmp_path):
    project.run("dvc", "push", "--run-cache")
    # Why `make push` is not this command: it sends the record of each run, but what one made only if dvc.lock names it.
    sent = stored(storage, bucket)
    assert len([name for name in sent if "/runs/" in name]) == 6
    assert (place(result(project)["model"]) in sent, place(project.two_epochs["model"]) in sent) == (True, False)

    storage.s3.put_object(Bucket=bucket, Key=place(result(project)["model"]), Body=b"another model")
    other = clone(project, tmp_path)
    (line,) = share(other, "pull", status=2).splitlines()
    assert line.startswith("pull: Checkout failed for following targets: data/model/model.keras")
    assert not (other.folder / "data/model/model.keras").exists()


def test_the_step_for_ci_that_the_page_shows_passes_the_checks_of_workflows(tmp_path):
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    workflow = (tiny.ROOT / ".github/workflows/pipeline.yml").read_text()
    step = "      - run: make check\n"
    assert workflow.count(step) == 1
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/shown.yml").write_text(workflow.replace(step, textwrap.indent(shown, " " * 6)))
    for command in (
        "check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/shown.yml",
        "zizmor --quiet --offline .github",
    ):
        ended = subprocess.run(command.split(), cwd=tmp_path, env=tiny.environment(), capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(("variable", "passed"), [("OFFLINE=1", True), ("OFFLINE=0", False), ("OFFLINE=", False)])
def test_make_check_passes_on_whether_to_ask(variable, passed):
    command = ["make", "--dry-run", "check", variable]
    shown = subprocess.run(command, cwd=tiny.ROOT, env=tiny.environment(), capture_output=True, text=True, check=True)
    assert ("checks.status  --offline" in shown.stdout) == passed


def test_without_a_remote_push_says_how_to_get_one(project):
    project.run("dvc", "remote", "default", "--unset", "storage")
    try:
        (line,) = share(project, "push", status=2).splitlines()
    finally:
        project.run("git", "checkout", "--quiet", ".dvc/config")
    assert line == "push: no remote is configured: `dvc remote add --default storage s3://bucket/folder`."
