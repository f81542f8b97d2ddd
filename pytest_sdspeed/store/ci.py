"""Tell which run of a continuous-integration system this is, and which attempt of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class _System(NamedTuple):
    """What a system calls its runs, in environment variables.

    Attributes:
        name: name of the system.
        run: variable whose value all attempts of a run share.
        job: variables that tell the jobs of a run apart, those of a matrix too if it has any.
        attempt: variable whose value is larger in a later attempt, or None.
    """

    name: str
    run: str
    job: tuple[str, ...]
    attempt: str | None


_SYSTEMS = (
    _System("github", "GITHUB_RUN_ID", ("GITHUB_JOB",), "GITHUB_RUN_ATTEMPT"),
    _System("gitlab", "CI_PIPELINE_ID", ("CI_JOB_NAME",), "CI_JOB_ID"),
    _System(
        "buildkite",
        "BUILDKITE_BUILD_ID",
        ("BUILDKITE_STEP_ID", "BUILDKITE_PARALLEL_JOB"),
        "BUILDKITE_RETRY_COUNT",
    ),
    _System("azure", "BUILD_BUILDID", ("SYSTEM_STAGENAME", "SYSTEM_JOBNAME"), "SYSTEM_JOBATTEMPT"),
    _System(
        "circleci", "CIRCLE_WORKFLOW_ID", ("CIRCLE_JOB", "CIRCLE_NODE_INDEX"), "CIRCLE_BUILD_NUM"
    ),
    _System("jenkins", "BUILD_TAG", ("STAGE_NAME",), None),
)
"""The documented variables: GitHub Actions "Variables reference", GitLab "Predefined CI/CD
variables", Buildkite "Environment variables", Azure Pipelines "Predefined variables", CircleCI
"Project values and variables", Jenkins "Using environment variables"."""

VARIABLES = tuple(
    dict.fromkeys(
        name
        for system in _SYSTEMS
        for name in (system.run, *system.job, *filter(None, [system.attempt]))
    )
)
"""Every variable that is read."""


def read_ci_run(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what is stored of the CI run that a process belongs to; what is unknown is None.

    ``act``, which runs GitHub's workflows on a desk, gives every run the same number: it is no CI
    system here.

    Args:
        environment: the environment variables.

    Returns:
        ``ci_run`` and ``ci_job`` (texts), and ``ci_attempt`` (a whole number).
    """
    system = next((one for one in _SYSTEMS if environment.get(one.run)), None)
    if system is None or environment.get("ACT") == "true":
        return {"ci_run": None, "ci_job": None, "ci_attempt": None}
    job = " ".join(environment[name] for name in system.job if environment.get(name))
    told = environment.get(system.attempt or "", "")
    return {
        "ci_run": f"{system.name} {environment[system.run]}",
        "ci_job": job or None,
        "ci_attempt": int(told) if told.isascii() and told.isdecimal() else None,
    }
