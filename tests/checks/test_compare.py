"""checks.compare: what it says of two results and of several, to people, to GitHub and to programs."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy.stats import binomtest, t

from checks import clone, compare, compare_text, mend
from checks.clone import CannotRunError
from cnn.comparison.git import NO_GIT
from cnn.comparison.noise import NOISE, fingerprint, table
from cnn.process.errors import InputError
from tests import tiny
from tests.comparison import made_up
from tests.comparison.made_up import commit, result, rows
from tests.test_pipeline import copy_of_the_project

N = 300


def made(wrong, test_wrong=7, classes=made_up.CLASSES, name="result"):
    """A result that is wrong on the first images of validation and of test, so many each."""
    numbers = np.arange(N)
    tables = [] if wrong is None else [rows(numbers >= wrong, classes=classes)]
    return result(name, *tables, rows(numbers >= test_wrong, split="test", seed=1, classes=classes), classes=classes)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The current folder: a repository whose only commit holds a result that is wrong on 20 of 300 images."""
    made_up.git(tmp_path, "init", "--quiet", "--initial-branch=main")
    made_up.write(made(20), tmp_path)
    commit(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(capsys):
    """A function: run compare with these words; returns (exit code, output, error output)."""

    def run(*words):
        code = compare.main(list(words))
        return code, *capsys.readouterr()

    return run


def experiment(folder, name, wrong, **train):
    baseline = made_up.git(folder, "rev-parse", "main")
    made_up.git(folder, "checkout", "--quiet", "--detach")
    made_up.write(made(wrong), folder, train)
    held = commit(folder)
    made_up.git(folder, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", held)
    made_up.git(folder, "checkout", "--quiet", "main")


def parsed(output):
    """The document, which must be JSON for every parser: no NaN, no Infinity."""

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    return json.loads(output, parse_constant=refuse)


def test_without_names_the_work_tree_is_compared_with_head(repository, say):
    made_up.write(made(5), repository, {"seed": 7})
    code, output, errors = say()
    head = made_up.git(repository, "rev-parse", "--short=7", "HEAD")
    assert (code, errors) == (0, "")
    assert f"A: HEAD ({head})\nB: work tree\n" in output
    assert re.search(r"^  train\.seed  42  7$", output, re.MULTILINE)
    row = next(line for line in output.splitlines() if line.startswith("  accuracy"))
    one, other = (binomtest(right, 300).proportion_ci(method="wilson") for right in (280, 295))
    assert f"0.9333 [{one.low:.4f}, {one.high:.4f}]" in row
    assert f"0.9833 [{other.low:.4f}, {other.high:.4f}]" in row
    assert re.search(r" \+0\.0500 \[\+0\.02\d\d, \+0\.07\d\d\]$", row)
    assert "validation, gained: only B is right" in output
    assert "Verdict on validation: B is better.\n15 gained, 0 lost of 300 images: p = 6.1e-05" in output
    assert "lost: only A" not in output


def test_one_name_is_compared_with_the_work_tree_and_two_with_each_other(repository, say):
    made_up.write(made(5), repository)
    second = commit(repository)
    made_up.write(made(9), repository)
    assert say("main~1")[1].splitlines()[1] == "B: work tree"
    _, output, _ = say("main~1", second)
    assert output.splitlines()[1] == f"B: {second}"
    assert "Verdict on validation: B is better." in output
    assert "Verdict on validation: B is worse." in say(second, "main~1")[1]


@pytest.mark.parametrize(
    ("wrong", "expected"), [(40, 1), (26, 1), (25, 0), (20, 0), (5, 0)], ids=["far", "just", "luck", "same", "better"]
)
def test_it_fails_on_worse_only_where_asked_and_on_evidence(repository, say, wrong, expected):
    made_up.write(made(wrong), repository)
    assert say()[0] == 0
    assert say("--fail-on", "worse")[0] == expected
    assert say("--fail-on", "worse", "--json")[0] == expected


def test_what_cannot_be_compared_is_said_in_one_line_with_exit_code_2(repository, say):
    empty = repository / "metrics/predictions.csv"
    empty.unlink()
    commit(repository)
    made_up.write(made(20), repository)
    for words in (["nothing"], ["HEAD"], ["main~1", "main"], ["main~1", "main", "main~1", "--json"]):
        code, output, errors = say(*words)
        assert (code, output, errors.count("\n")) == (2, "", 1)
        assert errors.startswith("compare: ")
    assert "(" in errors
    assert "expected the file metrics/predictions.csv. Received: none." in errors


def test_an_empty_name_is_not_the_work_tree(repository, say):
    """What a shell makes of an unset variable."""
    assert say("")[0] == say("main", "")[0] == 2


def test_to_fail_on_a_ranking_is_refused(repository, say):
    code, _, errors = say("main", "main", "main", "--fail-on", "worse")
    assert code == 2
    assert "--fail-on: expected two results. Received: 3." in errors


def test_a_result_that_is_not_comparable_is_no_failure(repository, say):
    made_up.write(made(20, classes=["x", "y", "z"]), repository)
    code, output, _ = say("--fail-on", "worse")
    assert code == 0
    assert "Verdict on validation: not comparable: other classes (3 and 3, by name and order)." in output


def reports(repository):
    """Words for every kind of report, each with a work tree to go with it."""
    same, other = made(20), made(20, classes=["x", "y", "z"])
    unlike = made(None)
    experiment(repository, "wide", 3, seed=5)
    return [(made(4), []), (made(50), []), (same, []), (other, []), (unlike, []), (made(4), ["main", "wide", "main"]),
            (same, ["--experiments"]), (same, ["main", "wide", "--experiments"])]  # fmt: skip


@pytest.mark.parametrize("test", [[], ["--test"]])
def test_every_report_is_valid_json_with_the_verdicts(repository, say, test):
    for work_tree, words in reports(repository):
        made_up.write(work_tree, repository)
        code, output, _ = say(*words, "--json", *test)
        assert code == 0
        report = parsed(output)
        parts = report.get("splits") or report["rankings"]
        assert [part["split"] for part in parts] == ["validation", "test"][: 1 + len(test)]
        if "splits" in report:
            assert report["verdict"] == report["splits"][0]["verdict"]
            assert set(report) >= {"a", "b", "commits", "notes", "parameters", "inputs", "pictures"}


def test_json_has_what_a_program_needs(repository, say):
    made_up.write(made(45), repository, {"seed": 7, "epochs": 3})
    report = parsed(say("--json")[1])
    assert report["verdict"] == "worse"
    assert report["parameters"] == [
        {"name": "train.seed", "a": 42, "b": 7},
        {"name": "train.epochs", "a": None, "b": 3},
    ]
    (split,) = report["splits"]
    assert (split["n"], split["gained"], split["lost"]) == (300, 0, 25)
    assert split["p_value"] == 2.0**-24
    assert {row["metric"] for row in split["metrics"]} == {"accuracy", "loss", "macro_f1", "calibration_error"}
    accuracy = split["metrics"][0]
    assert (accuracy["a"], accuracy["b"]) == (0.933333, 0.85)
    assert accuracy["a_low"] < accuracy["a"] < accuracy["a_high"]
    assert accuracy["low"] < accuracy["difference"] < accuracy["high"] < 0
    assert len(split["changed"]) == 25, "all, where the terminal shows 20"
    assert split["changed"][0] == {
        "image": made_up.images(N)[20], "index": 20, "actual": "cat", "a": "cat", "b": "ant", "gained": False
    }  # fmt: skip


def test_people_are_shown_20_images_that_changed_sides_and_told_of_how_many(repository, say):
    made_up.write(made(45), repository)
    output = say()[1]
    assert "validation, lost: only A is right (20 of 25)" in output
    assert len(re.findall(r"^  \d+ +[0-9a-f]{16}  ", output, re.MULTILINE)) == 20


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"], ["--markdown", "--pictures", "https://example.org"]])
def test_test_figures_are_shown_only_where_asked(repository, say, form):
    """270 of 300, as nowhere in validation; and the picture that has both splits."""
    pictures = ("confusion.png", "history.png")
    made_up.write(made(20, name="one"), repository, pictures=pictures)
    commit(repository)
    made_up.write(made(16, test_wrong=30, name="other"), repository, pictures=pictures)
    commit(repository)
    for words in (["main~1", "main"], ["main~1", "main", "main~1"]):
        hidden, shown = (say(*words, *form, *test)[1] for test in ([], ["--test"]))
        for sign in (r"0\.90?\b", r"0\.9000", "confusion"):
            assert not re.search(sign, hidden), sign
        assert re.search(r"0\.90*\b", shown)
        assert re.search('on test|"test"', shown)
        if "--json" not in form:
            assert "The test images are not shown: they are for the final number" in hidden
            assert "what they decide, they can no longer estimate" in shown


def test_without_validation_images_nothing_of_the_test_is_shown_instead(repository, say):
    made_up.write(made(None), repository)
    commit(repository)
    made_up.write(made(None), repository, pictures=["mistakes.png"])  # which are those of the test then
    for form in ([], ["--json"], ["--markdown"]):
        output = say(*form)[1]
        assert "no validation images (preprocess.validation_fraction is 0)" in output
        assert "0.97" not in output
        assert "mistakes.png" not in output
        assert "mistakes.png" in say(*form, "--test")[1]


HOSTILE = [
    *("a|b", "`code`", '<img src=x onerror="alert(1)">', "@someone", "two\nlines\r\nmore", "x" * 300, "\\|", "a\\"),
    *("**bold**", "[link](http://example.org)", "", " ", "|", "<!--", "</details>", "| a | b |\n|---|---|", "&lt;"),
]


parser = MarkdownIt("commonmark", {"html": True}).enable("table")


def tables_of(markdown):
    """The tables of a Markdown text as GitHub's rules have it: for each, the text of its rows' cells."""
    tokens = parser.parse(markdown)
    found = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("td_open", "th_open"):
            found[-1][-1].append(following)
    return found


def test_hostile_names_keep_the_tables_shape_and_are_nothing_but_text(repository, say):
    """Of classes, parameters and experiments. A cell holds code or plain text: no link, image, HTML or mention."""
    classes = [f"{name}{number}" if name in ("", " ") else name for number, name in enumerate(HOSTILE)]
    made_up.write(made(20, classes=classes), repository)
    commit(repository)
    made_up.write(made(45, classes=classes), repository, {name: name for name in HOSTILE})
    markdown = say("--markdown")[1]
    (changes, _, lost) = tables_of(markdown)
    assert len(changes) == 1 + len(HOSTILE)
    assert len(lost) == 1 + compare_text.SHOWN
    for rows_of, columns in ((changes, 3), (lost, 5)):
        for row in rows_of[1:]:
            assert len(row) == columns
            for cell in row:
                kinds = {child.type for child in cell.children}
                assert kinds <= {"text"} | {"code_inline"}, cell.content
                plain = "".join(child.content for child in cell.children if child.type == "text")
                assert not re.search("[@<]", plain), cell.content
    shown = {cell.children[0].content for row in lost[1:] for cell in row[2:3]}
    assert "a|b" in shown
    assert "@someone" in shown
    html = [token.content.strip() for token in parser.parse(markdown) if token.type == "html_block"]
    assert [re.sub(r"<summary>.*</summary>", "", block) for block in html] == ["<details>", "</details>"] * 2


def test_a_branch_or_file_is_quoted_as_text(repository, say):
    name = "fix-<b>@someone</b>-_x_-|y!&lt;"
    made_up.git(repository, "branch", name)
    held = (repository / "dvc.lock").read_text()
    (repository / "dvc.lock").write_text(held.replace("cnn/results", '"<img src=x>@someone"'))
    markdown = say(name, "--markdown")[1]
    tokens = parser.parse(markdown)
    for token in tokens:
        assert token.type != "html_block"
        for child in token.children or []:
            assert child.type in ("text", "code_inline", "softbreak", "strong_open", "strong_close"), child
            assert child.type != "text" or not re.search(r"@\w", child.content)
    text = "".join(child.content for token in tokens for child in token.children or []).replace("\u200b", "")
    assert f"A: {name} (" in text
    assert "<img src=x>@someone" in text


def test_markdown_folds_long_tables_and_begins_with_the_verdict(repository, say):
    made_up.write(made(26), repository)
    short = say("--markdown")[1]
    assert short.startswith("### Verdict on validation: B is worse.\n")
    assert "<details>" not in short
    made_up.write(made(45), repository)
    assert (
        "<details><summary>validation, lost: only A is right (20 of 25)</summary>\n\n| index |" in say("--markdown")[1]
    )


def test_pictures_are_shown_side_by_side_at_their_address(repository, say):
    made_up.write(made(20, name="one"), repository, pictures=("history.png", "feature maps.png", "same.png"))
    same = (repository / "metrics/figures/same.png").read_bytes()
    first = commit(repository)
    made_up.write(made(20, name="two"), repository, pictures=("history.png", "feature maps.png"))
    second = commit(repository)
    assert (repository / "metrics/figures/same.png").read_bytes() == same
    address = "https://example.org/raw"
    markdown = say(first, second, "--markdown", "--pictures", address)[1]
    for name in ("history", "feature%20maps"):
        cells = " | ".join(
            f"![{side}]({address}/{held}/metrics/figures/{name}.png)" for side, held in (("A", first), ("B", second))
        )
        assert f"| {cells} |" in markdown
    assert "same.png" not in markdown
    assert "![" not in say(first, second, "--markdown")[1]
    assert "![" not in say(first, "--markdown", "--pictures", address)[1], "the work tree has no address"
    assert say(first, second, first, "--markdown", "--pictures", address)[0] == 0


def test_experiments_are_ranked_with_head(repository, say):
    experiment(repository, "wide", 3, seed=5)
    experiment(repository, "again", 19, seed=6)
    code, output, _ = say("--experiments")
    lines = [re.split(r"  +", line.strip()) for line in output.splitlines()[2:5]]
    assert code == 0
    assert [line[0].split(" (")[0] for line in lines] == ["wide", "again", "HEAD"]
    assert lines[0][2:] == ["first", "train.seed=5"]
    assert lines[1][3:] == ["worse than the first", "train.seed=6"]
    assert lines[2][3:] == ["worse than the first"]
    assert float(lines[1][2]) == pytest.approx(2 * 2.0**-15, rel=0.05), "twice 16 images, of three pairs the second"
    ranking = parsed(say("--experiments", "--json")[1])["rankings"][0]["rows"]
    assert ranking[0]["accuracy"]["value"] == 0.99
    assert ranking[1]["parameters"] == {"train.seed": 6}
    assert tables_of(say("--experiments", "--markdown")[1])[0][1][0].content == f"`{ranking[0]['name']}`"


def test_an_experiment_called_like_a_branch_is_ranked_once_and_by_its_own_result(repository, say):
    experiment(repository, "wide", 3, seed=5)
    experiment(repository, "again", 19, seed=6)
    made_up.git(repository, "branch", "wide")  # holds what main holds
    rows = parsed(say("--experiments", "wide", "--json")[1])["rankings"][0]["rows"]
    assert [row["name"].split(" (")[0] for row in rows] == ["wide", "again", "HEAD"]
    assert rows[0]["parameters"] == {"train.seed": 5}


def test_a_ranking_says_what_the_seeds_noise_hides(repository, say):
    experiment(repository, "wide", 3, seed=5)
    experiment(repository, "again", 19, seed=6)
    noise_file(repository, 0.02)
    output = say("--experiments")[1]
    limit = t.ppf(0.975, 2) * math.sqrt(2) * 0.02
    assert output.count("not told apart from the first") == 2
    assert f"Nor is one called worse on validation whose accuracy is less than {limit:.4f}, the seed's noise" in output


def test_where_git_refuses_no_name_is_blamed(repository, say):
    (repository / ".git").rename(repository / "elsewhere")
    code, output, errors = say()
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "expected a repository that git reads" in errors


@pytest.mark.parametrize("words", [[], ["HEAD", "HEAD"], ["--experiments"]], ids=" ".join)
def test_without_git_it_says_so_in_one_line(repository, say, monkeypatch, words):
    monkeypatch.setenv("PATH", str(repository))
    assert say(*words) == (2, "", f"compare: {NO_GIT}\n")
    with pytest.raises(CannotRunError, match=f"^{re.escape(NO_GIT)}$"):
        clone.git("status")
    with pytest.raises(InputError, match=f"^{re.escape(NO_GIT)}$"):
        mend.lock_is_whole(repository)


def test_those_that_cannot_be_ranked_come_last_with_the_reason(repository, say):
    made_up.write(made(20, classes=["x", "y", "z"]), repository)
    commit(repository)
    output = say("main~1", "main", "main~1")[1]
    assert output.splitlines()[4].endswith("not comparable: other classes (3 and 3, by name and order)")


def noise_file(repository, deviation, varied=("train.seed",), metric="validation.accuracy", **params):
    runs = [{metric: 0.9 - deviation}, {metric: 0.9}, {metric: 0.9 + deviation}]
    known = {"train.seed": 42, "train.learning_rate": 0.00003} | params
    (repository / NOISE).write_text(table(runs, varied, known))
    assert fingerprint(known, varied)


def test_the_seeds_noise_counts_where_it_was_measured_for_one_of_the_two(repository, say):
    made_up.write(made(5), repository, {"seed": 7, "epochs": 3})
    assert "The seed's noise is not known: `make noise` measures it" in say()[1]
    noise_file(repository, 0.0001)
    assert "Verdict on validation: B is better." in say()[1]
    noise_file(repository, 0.02)
    output = say()[1]
    assert "Verdict on validation: no evidence of a difference." in output
    assert "is below the seed's noise" in output
    assert "make noise" not in output
    assert "not told apart from the first" in say("main", "main", "main")[1]
    noise_file(repository, 0.02, **{"train.epochs": 3})
    assert "is below the seed's noise" in say()[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.epochs": 9}, "metrics/noise.csv is of other parameters than these"),
        ({"varied": ("train.seed", "preprocess.seed")}, "metrics/noise.csv is of other splits as well"),
        ({"metric": "test.accuracy"}, "metrics/noise.csv has no accuracy of validation"),
    ],
)
def test_noise_that_was_measured_for_something_else_does_not_count_and_is_named(repository, say, changes, said):
    made_up.write(made(5), repository)
    noise_file(repository, 0.02, **changes)
    for words in ([], ["main", "main", "main"]):
        assert said in say(*words)[1]
    assert "Verdict on validation: B is better." in say()[1]


@pytest.mark.parametrize("damaged", [b"metric,mean\nx,1\n", b"\xff\xfe\x00"])
def test_damaged_noise_is_named_in_one_line(repository, say, damaged):
    (repository / NOISE).write_bytes(damaged)
    code, output, errors = say()
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "metrics/noise.csv: expected the columns" in errors


def test_a_reader_that_has_seen_enough_is_no_traceback(repository):
    made_up.write(made(200), repository)
    command = [sys.executable, "-m", "checks.compare", "--json"]
    with subprocess.Popen(
        command, cwd=repository, env=tiny.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_unknown_options_end_with_2(repository):
    for words in (["--fail-on", "better"], ["--markdown", "--json"], ["--unknown"]):
        with pytest.raises(SystemExit) as stopped:
            compare.main(words)
        assert stopped.value.code == 2


@pytest.mark.slow
def test_real_experiments_are_compared_and_a_clone_without_cache_says_the_same(tmp_path):
    project = copy_of_the_project(tmp_path)
    project.set(train={"epochs": 15})  # enough to learn the bars
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=project")
    project.repro()
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=result")
    project.run("dvc", "exp", "run", "--quiet", "--name", "seed", "-S", "train.seed=7")
    project.run("dvc", "exp", "run", "--quiet", "--name", "unlearnt", "-S", "train.seed=42", "-S", "train.epochs=1",
                "-S", "train.learning_rate=0.00000001")  # fmt: skip
    project.run("git", "reset", "--quiet", "--hard")
    compare = ("python", "-m", "checks.compare")
    commands = [
        (*compare, "HEAD", "seed"),
        (*compare, "HEAD", "unlearnt", "--test", "--json"),
        (*compare, "--experiments", "--markdown"),
    ]
    said = [project.run(*command) for command in commands]
    assert "no evidence of a difference" in said[0]
    assert re.search(r"train\.seed +42 +7", said[0])
    assert "params.yaml has another" not in "".join(said)
    assert "is not what dvc.lock says" not in "".join(said)
    unlearnt = json.loads(said[1])
    assert unlearnt["verdict"] == "worse"
    assert {"name": "train.learning_rate", "a": 0.01, "b": 1e-08} in unlearnt["parameters"]
    assert unlearnt["inputs"] == []
    project.run(*compare, "HEAD", "unlearnt", "--fail-on", "worse", status=1)

    clone = tmp_path / "clone"
    project.run("git", "clone", "--quiet", str(project.folder), str(clone))
    project.folder = clone
    project.run("git", "fetch", "--quiet", "origin", "refs/exps/*:refs/exps/*")
    assert not (clone / "data/model").exists()
    assert [project.run(*command) for command in commands] == said
