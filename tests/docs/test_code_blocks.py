"""What the README and the pages tell to type or to save: it can be read, collected and found."""

import configparser
import re
import shlex
import tomllib

import pytest
import yaml
from code_facts import commands as subcommands
from code_facts import options
from documentation import CONTRIBUTING, README, ROOT, Block, blocks, sources

import pytest_sdspeed

LANGUAGES = {"sh", "python", "toml", "yaml", "text"}
PROGRAMS = {".", "cp", "export", "git", "pip", "pre-commit", "pytest", "pytest-benchmark", "python", "sbatch", "srun"}
GITLAB = ".gitlab-ci.yml"
PAGES = sorted({block.file for block in blocks()})
SCRIPT = re.compile(r"(?<![\w./-])((?:benchmarks|tests|docs|pytest_sdspeed|\.github|\.ci)(?:/[\w.-]+)+)")


def of(language):
    return [pytest.param(block, id=f"{block.file}-{number}") for number, block in enumerate(blocks()) if block.language == language]


def test_blocks_are_found_and_say_their_language():
    assert {block.language for block in blocks()} == LANGUAGES
    assert README.name in PAGES


# Python


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.file == page and block.language == "python" for block in blocks())])
def test_python_of_a_page_is_collected(pytester, page):
    tests = 0
    tables = []
    for number, block in enumerate(block for block in blocks() if block.file == page):
        if block.language == "python":
            (pytester.path / (block.title or f"test_block_{number}.py")).write_text(block.text)
            tests += len(re.findall(r"^ *def test_", block.text, re.MULTILINE))
        elif block.language == "toml" and "schema" in tomllib.loads(block.text):
            (pytester.path / (block.title or f"table_{number}.toml")).write_text(block.text)
            tables += [f"--sd-tables={block.title}"]
    collected = pytester.runpytest("--collect-only", "-q", "--strict-markers", *tables)
    assert collected.ret == pytest.ExitCode.OK
    names = {line.partition("[")[0] for line in collected.outlines if "::" in line}
    assert len(names) == tests > 0


# TOML and YAML


@pytest.mark.parametrize("block", of("toml"))
def test_toml_is_a_table_a_part_of_one_or_a_configuration(block, tmp_path):
    found = tomllib.loads(block.text)
    if "tool" in found:
        known = {option.ini for option in options()}
        assert found["tool"]["pytest"]["ini_options"].keys() <= known
    elif "schema" in found:
        file = tmp_path / "mine.toml"
        file.write_text(block.text)
        assert found["name"] in [table.name for table in pytest_sdspeed.load_tables([file])]
    else:
        assert found.get("rows") or found["claims"]


def steps(block):
    """The steps of every job of a workflow."""
    return [step for job in yaml.safe_load(block.text)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("block", [one for one in of("yaml") if one.values[0].title != GITLAB])
def test_yaml_is_a_workflow(block):
    # YAML 1.1 takes the key "on" for a truth value.
    found = yaml.safe_load(block.text.replace("\non:", "\n'on':"))
    assert found.keys() <= {"on", True, "jobs", "permissions", "concurrency"}
    for job in found["jobs"].values():
        assert job.keys() <= {"runs-on", "env", "concurrency", "permissions", "steps", "timeout-minutes"}
        assert all(step.keys() & {"uses", "run"} for step in job["steps"])
    inputs = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"]
    given = [step.get("with", {}) for step in steps(block) if step.get("uses", "").startswith("pytest-sdspeed/")]
    assert all(one.keys() <= inputs.keys() for one in given)
    # Its inputs are texts: GitHub makes one of a truth value, and no step would know another spelling.
    assert all(isinstance(value, str) for one in given for value in one.values())


def test_the_file_for_gitlab_is_a_job():
    (block,) = [one for one in blocks() if one.title == GITLAB]
    (job,) = yaml.safe_load(block.text).values()
    assert job.keys() == {"image", "variables", "rules", "cache", "script", "artifacts"}
    assert job["cache"]["policy"] == "$POLICY"
    assert job["artifacts"]["when"] == job["cache"]["when"] == "always"
    written = " ".join(job["script"])
    assert all(path in written for path in (*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]))


# Commands


def commands(block):
    """The command lines of a block of shell or YAML, without comments."""
    if block.title == GITLAB:
        lines = yaml.safe_load(block.text)["speed"]["script"]
    elif block.language == "yaml":
        lines = [step["run"] for step in steps(block) if "run" in step]
        lines += [f"pytest {step['with']['arguments']}" for step in steps(block) if "arguments" in step.get("with", {})]
    else:
        lines = block.text.splitlines()
    for line in lines:
        for command in line.split("&&"):
            words = shlex.split(re.sub(r"\$\([^)]*\)", "REFERENCE", command), comments=True)
            if words:
                yield words


def wrong(words):
    """What a command line names and this checkout does not have."""
    names = {option.name for option in options()}
    yield from (word for word in words if word.startswith("--sd-") and word.partition("=")[0] not in names)
    text = " ".join(words)
    yield from (path for path in SCRIPT.findall(text) if not (ROOT / path).exists())
    if words[:3] == ["python", "-m", "pytest_sdspeed"] and words[3] not in subcommands():
        yield words[3]
    if words[:3] == ["python", "-m", "tox"] and "-e" in words:
        tox = configparser.ConfigParser()
        tox.read(ROOT / "tox.ini")
        environment = words[words.index("-e") + 1]
        if f"testenv:{environment}" not in tox:
            yield environment
    if words[0] not in PROGRAMS and not (ROOT / words[0]).is_file():
        yield words[0]


@pytest.mark.parametrize("block", [*of("sh"), *of("yaml")])
def test_commands_name_what_there_is(block):
    found = list(commands(block))
    assert found
    assert [(words, problem) for words in found for problem in wrong(words)] == []


@pytest.mark.slow
def test_commands_that_name_what_is_missing_are_found():
    lines = [
        "pytest --sd-nothing=1",
        "pytest a && python -m tox -e nothing",
        "python -m pytest_sdspeed nothing .benchmarks",
        "python benchmarks/nothing.py  # --sd-nothing",
        "nothing --version",
    ]
    found = [problem for line in lines for words in commands(Block("", "sh", "", line)) for problem in wrong(words)]
    assert found == ["--sd-nothing=1", "nothing", "nothing", "benchmarks/nothing.py", "nothing"]


@pytest.mark.parametrize("file", [README, CONTRIBUTING, *sources()], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_the_text_names_is_there(file):
    text = file.read_text(encoding="utf-8")
    names = {option.name for option in options()}
    assert set(re.findall(r"(?<![\w-])--sd-[a-z-]+[a-z]", text)) - names == set()
    twins = {option.ini for option in options()}
    assert set(re.findall(r"(?<![\w-])sdspeed_(?!NAME)[a-z_]+", text)) - twins - {"sdspeed_register"} == set()
    named = {path.rstrip(".") for path in SCRIPT.findall(re.sub(r"\]\([^)]*\)|\"docs/figures/[^\"]+\"", "", text))}
    named = {path for path in named if not path.startswith("docs/")}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
