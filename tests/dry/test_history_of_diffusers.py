"""What slowed pipelines of diffusers down, and was mended by hand, is found with its line.

Skipped unless SDSPEED_DIFFUSERS_HISTORY names a folder, made once like this:

    git clone https://github.com/huggingface/diffusers FOLDER/diffusers    # bare or not
    pip install --no-deps --target FOLDER/packages httpx httpcore h11      # what these versions import beside this environment's
    pip install --no-deps --target FOLDER/packages-2025 "transformers==4.57.6" "huggingface_hub<1" "tokenizers<0.23"
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path

import pytest

HOME = os.environ.get("SDSPEED_DIFFUSERS_HISTORY")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HOME, reason="SDSPEED_DIFFUSERS_HISTORY names no folder with a clone of diffusers"),
]
TESTS = Path(__file__).parents[1]
LIMIT_S = 30
"""CPU time of one account, with the start of Python and torch."""

AUGUST_2026 = "58eb52c0803ea9af3abec60841c2a093bdf1f951"
STEP_INDEX = "diffusers/schedulers/scheduling_flow_match_euler_discrete.py"

# (pipeline, commit before, commit after, file -> places (line, in a step) that wait for the device before, and not after)
MENDED = {
    "Z-Image, pull request 13461": (
        "z_image",
        "a68f3677b7f1fcd6635e88b0a0f99e0ece24137a",
        "71a6fd9f0df04d3764dfa999268a05d87903a85a",
        {
            ("diffusers/models/transformers/transformer_z_image.py", 780): 8,
            ("diffusers/pipelines/z_image/pipeline_z_image.py", 499): 4,
            (STEP_INDEX, 407): 1,
            (STEP_INDEX, 415): 1,
        },
    ),
    "LTX2, pull request 13564": (
        "ltx2",
        "4ca863323d550842e7d0122efd57d84d9b75d1cf",
        "ebaa18714715daaa12c9e51944edfa16ec2218f1",
        {("diffusers/pipelines/ltx2/connectors.py", 304): 4, (STEP_INDEX, 408): 2, (STEP_INDEX, 416): 2},
    ),
    "Flux, pull request 11696": (
        "flux",
        "447ccd0679f180ef1387bc9d990c4306a85eb226",
        "b272807bc898a314cde536c1d7d1e43592af1fce",
        {(STEP_INDEX, 355): 1, (STEP_INDEX, 363): 1},
    ),
}

# pipeline -> (line -> how often it waits in four steps), in August 2026
WAITING = {
    "hunyuan_video": {(STEP_INDEX, 405): 1, (STEP_INDEX, 413): 1},
    "mochi": {(STEP_INDEX, 405): 1, (STEP_INDEX, 413): 1, ("diffusers/models/attention_processor.py", 1068): 16},
    "lumina2": {(STEP_INDEX, 405): 1, (STEP_INDEX, 413): 1, ("diffusers/models/transformers/transformer_lumina2.py", 271): 8},
    "aura_flow": {(STEP_INDEX, 405): 1, (STEP_INDEX, 413): 1, ("diffusers/pipelines/aura_flow/pipeline_aura_flow.py", 619): 4},
    "chroma": {(STEP_INDEX, 405): 1, (STEP_INDEX, 413): 1},
    "flux": {},
}


@pytest.fixture(scope="module")
def check_out(tmp_path_factory):
    """Return ``check_out(commit)``, which unpacks the sources of a commit and returns the folder."""
    folders = {}

    def unpack(commit):
        if commit not in folders:
            packed = subprocess.run(["git", "-C", f"{HOME}/diffusers", "archive", commit, "src"], capture_output=True, check=True).stdout
            folders[commit] = tmp_path_factory.mktemp(commit[:10])
            with tarfile.open(fileobj=BytesIO(packed)) as archive:
                archive.extractall(folders[commit], filter="data")
        return folders[commit]

    return unpack


def count(folder, name, *, steps=4, packages=("packages",)):
    """Return the account of a toy pipeline, as the version of diffusers in a folder asks for it."""
    path = [folder / "src", *(Path(HOME) / one for one in packages), TESTS, TESTS.parent]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    before, start = os.times(), time.perf_counter()
    command = [sys.executable, str(TESTS / "toy_accounts.py"), name, str(steps)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    used = os.times()
    seconds = used.children_user + used.children_system - before.children_user - before.children_system
    account = json.loads(run.stdout.splitlines()[-1])
    sys.stdout.write(
        f"{name}: {account['host_syncs']} syncs, {account['operations']} operations, {seconds:.1f} s of CPU, {time.perf_counter() - start:.1f} s\n"
    )
    assert seconds < LIMIT_S
    return account


def find_waits(account, key="places"):
    return {(file, line): count for kind, file, line, _code, count in account[key] if kind == "host_sync"}


def packages_of(name):
    return ("packages-2025", "packages") if name == "flux" else ("packages",)


@pytest.mark.parametrize("change", MENDED)
def test_what_a_pull_request_mended_is_there_before_it_and_gone_after(check_out, change):
    name, before, after, places = MENDED[change]
    old = count(check_out(before), name, packages=packages_of(name))
    new = count(check_out(after), name, packages=packages_of(name))
    assert find_waits(old) == places
    assert not find_waits(new).keys() & {key for key in places if "scheduling" not in key[0]}
    assert new["host_syncs_per_step"] == 0
    # What is left is the list that Z-Image fetches once, before its loop.
    assert find_waits(new) == ({("diffusers/pipelines/z_image/pipeline_z_image.py", 494): 1} if name == "z_image" else {})


@pytest.mark.parametrize("name", WAITING)
def test_pipelines_of_august_2026_wait_at_these_lines_and_flux_at_none(check_out, name):
    account = count(check_out(AUGUST_2026), name)
    assert find_waits(account) == WAITING[name]


SCHEDULER = "diffusers/schedulers/scheduling_ddim_cogvideox.py"
PIPELINE = "diffusers/pipelines/cogvideo/pipeline_cogvideox.py"


def test_cogvideox_waits_79_times_in_20_steps_at_three_lines(check_out):
    account = count(check_out(AUGUST_2026), "cogvideox", steps=20)
    assert account["host_syncs"] == 79
    assert find_waits(account) == {(SCHEDULER, 392): 39, (SCHEDULER, 391): 20, (PIPELINE, 744): 20}
    assert find_waits(account, "places_per_step") == {(SCHEDULER, 392): 2, (SCHEDULER, 391): 1, (PIPELINE, 744): 1}


# The timesteps are fetched once, before the loop, for what the host does with them: an index of its table, a comparison, the guidance scale.
BY_HAND = (
    ("with self.progress_bar(total", "fetched = timesteps.tolist()\n        with self.progress_bar(total"),
    ("num_inference_steps - t.item()", "num_inference_steps - fetched[i]"),
    ("self.scheduler.step(noise_pred, t, latents", "self.scheduler.step(noise_pred, fetched[i], latents"),
)


def test_cogvideox_waits_nowhere_in_its_loop_after_the_change_is_made_by_hand(check_out, tmp_path):
    shutil.copytree(check_out(AUGUST_2026) / "src", tmp_path / "src")
    path = tmp_path / "src" / PIPELINE
    text = path.read_text()
    for old, new in BY_HAND:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    account = count(tmp_path, "cogvideox", steps=20)
    assert account["host_syncs_per_step"] == account["host_to_device_per_step"] == 0
    assert [(kind, code, times) for kind, _file, _line, code, times in account["places"] if kind == "host_sync"] == [
        ("host_sync", "fetched = timesteps.tolist()", 1)
    ]
