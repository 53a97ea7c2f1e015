"""GitHub's workflow: least rights, make targets only, and the comment on a pull request as it will be written."""

import json
import re

import pytest
import yaml

from tests import tiny
from tests.test_make_run import project_with_environment

JOBS = yaml.safe_load((tiny.ROOT / ".github/workflows/pipeline.yml").read_text())["jobs"]
WORKFLOW = yaml.safe_load((tiny.ROOT / ".github/workflows/pipeline.yml").read_text())
# A stand-in for GitHub's command: notes how it is called, and answers with the comments that FOUND names.
GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$CALLS"
case "$*" in *--paginate*) printf '%s' "$FOUND" ;; esac
"""


def step(job, name):
    (found,) = (step for step in JOBS[job]["steps"] if step.get("name") == name)
    return found


def test_only_the_job_without_code_may_write_and_never_for_a_fork():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert [name for name, job in JOBS.items() if "permissions" in job] == ["comment"]
    comment = JOBS["comment"]
    assert comment["permissions"] == {"pull-requests": "write"}
    assert not [step for step in comment["steps"] if "uses" in step], "no code is fetched"
    assert "github.event.pull_request.head.repo.full_name == github.repository" in comment["if"]
    assert "pull_request_target" not in WORKFLOW[True], "which would give a fork's code the rights of this project"


def test_what_tests_skip_without_is_installed_before_them():
    lines = [step.get("run", "") for step in JOBS["pipeline"]["steps"]]
    for needed in ("qemu-user", "npm ci --prefix tests/report"):
        (place,) = (number for number, line in enumerate(lines) if needed in line)
        assert place < lines.index("make test-all")


def test_the_jobs_run_make_targets():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (tiny.ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("pipeline", "compare"):
        lines = [line for step in JOBS[name]["steps"] for line in step.get("run", "").splitlines()]
        made = [line.split(">")[0].split() for line in lines if line.startswith("make ")]
        assert made, name
        assert {target for line in made for target in line[1:]} <= targets
        assert not [line for line in lines if re.search(r"python -m|dvc |pytest", line)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with two commits: a result, and that of another seed."""
    project = project_with_environment(tmp_path_factory.mktemp("workflow"))
    project.run("git", "add", ".")
    for seed in (1, 2):
        project.set(train={"seed": seed})
        project.repro()
        project.run("git", "add", ".")
        project.run("git", "commit", "--quiet", "--message=result")
    project.base, project.head = (project.run("git", "rev-parse", name).strip() for name in ("HEAD~1", "HEAD"))
    return project


def run_step(project, job, name, **variables):
    """Run the script of a step; nothing it needs but these variables."""
    before = project.environment
    project.environment = before | variables
    try:
        return project.run("bash", "-euo", "pipefail", "-c", step(job, name)["run"])
    finally:
        project.environment = before


@pytest.mark.slow
def test_a_pull_request_gets_the_comparison_as_summary_and_comment(project, tmp_path):
    summary, output = tmp_path / "summary", tmp_path / "output"
    files = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
    options = {"OPTIONS": "--markdown --pictures https://example.org/owner/project/raw"}
    assert step("compare", "Compare with the base")["env"].keys() == {"BASE", "REV", "OPTIONS"}
    # Main has moved on since, to a commit without results.
    main = project.run("git", "commit-tree", f"{project.base}:metrics", "-p", project.base, "-m", "later").strip()
    run_step(project, "compare", "Compare with the base", BASE=main, REV=project.head, **files, **options)
    text = summary.read_text()
    assert text.startswith("### Verdict on validation: ")
    assert "| `train.seed` | `1` | `2` |" in text
    assert re.search(r"\| accuracy \| 0\.\d+ \[0\.\d+, [01]\.\d+\] \|", text)
    assert f"![B](https://example.org/owner/project/raw/{project.head}/metrics/figures/mistakes.png)" in text
    assert "The test images are not shown" in text
    first, *lines, last = output.read_text().splitlines()
    assert first == f"text<<{last}"
    assert lines == text.splitlines()

    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    calls = tmp_path / "calls"
    given = {
        "PATH": f"{tmp_path}:{project.environment['PATH']}",
        "CALLS": str(calls),
        "TEXT": text,
        "NUMBER": "7",
        "GITHUB_REPOSITORY": "owner/project",
    }
    for found, wanted in {"": "api repos/owner/project/issues/7/comments", "5\n8\n": "api --method PATCH"}.items():
        calls.unlink(missing_ok=True)
        run_step(project, "comment", "Write the comment, or renew it", FOUND=found, **given)
        asked, wrote = calls.read_text().splitlines()
        assert wrote.startswith(wanted)
        assert wrote.endswith("--field body=@comment.md --silent")
        assert ("issues/comments/5 " in wrote) == bool(found), "the first of them, and no other"
        assert "github-actions[bot]" in asked
    written = (project.folder / "comment.md").read_text()
    assert written == f"<!-- comparison -->\n{text}\n"
    assert len(json.dumps(written)) < 65_536, "GitHub takes no more"
