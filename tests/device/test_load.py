"""What else used the processors: read from made-up trees of Linux' files, silent where something is unknown."""

from __future__ import annotations

import pytest

from pytest_sdspeed.device import load


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(load.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(load.os, "getloadavg", lambda: (1.9, 1.0, 1.0), raising=False)


@pytest.fixture
def write(tmp_path):
    def write(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    return write


def stat(stolen, idle=1000):
    return f"cpu  100 0 100 {idle} 0 0 0 {stolen} 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


def test_a_machine_that_tells_nothing_is_not_talked_of(tmp_path):
    assert load.LoadWatch(tmp_path).describe() == ""


@pytest.mark.parametrize("text", ["", "cpu\n", "cpu a b c d e f g h\n", "cpu 1 2 3\n"])
def test_files_of_another_form_are_not_talked_of(tmp_path, write, text):
    write("proc/stat", text)
    write("proc/self/cgroup", "nonsense\n0::/\n")
    write("sys/fs/cgroup/cpu.max", "many\n")
    write("sys/fs/cgroup/cpu.stat", "nr_periods\n")
    assert load.LoadWatch(tmp_path).describe() == ""


def test_load_average_is_said_from_a_quarter_over_the_processors_on(tmp_path, monkeypatch):
    monkeypatch.setattr(load.os, "getloadavg", lambda: (9.04, 1.0, 1.0), raising=False)
    assert load.LoadWatch(tmp_path).describe() == "load average 9.0 on 2 processors"
    monkeypatch.setattr(load.os, "getloadavg", lambda: (2.4, 1.0, 1.0), raising=False)
    assert load.LoadWatch(tmp_path).describe() == ""
    monkeypatch.delattr(load.os, "getloadavg", raising=False)
    assert load.LoadWatch(tmp_path).describe() == ""


def test_stolen_time_is_that_of_the_campaign_alone(tmp_path, write):
    write("proc/stat", stat(500))
    watch = load.LoadWatch(tmp_path)
    assert watch.describe() == ""
    write("proc/stat", stat(520, idle=1080))
    assert watch.describe() == "the host gave 20% of the processor time to others (steal)"


@pytest.mark.parametrize(("groups", "folder"), [("0::/\n", ""), ("0::/docker/abc\n", "docker/abc"), ("0::/not/there\n", "")])
def test_quota_and_throttling_of_version_2(tmp_path, write, groups, folder):
    write("proc/self/cgroup", groups)
    write(f"sys/fs/cgroup/{folder}/cpu.max", "150000 100000\n")
    write(f"sys/fs/cgroup/{folder}/cpu.stat", "usage_usec 1\nnr_periods 100\nnr_throttled 7\n")
    watch = load.LoadWatch(tmp_path)
    assert watch.describe() == "its container may use 1.5 of 2 processors"
    write(f"sys/fs/cgroup/{folder}/cpu.stat", "usage_usec 1\nnr_periods 300\nnr_throttled 57\n")
    assert watch.describe() == ("its container may use 1.5 of 2 processors; its container used up its processor time in 50 of 200 periods")


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_quota_and_throttling_of_version_1(tmp_path, write, mount):
    write("proc/self/cgroup", "4:memory:/a\n1:cpu,cpuacct:/job\n0::/\n")
    for name, value in (("cfs_quota_us", "50000"), ("cfs_period_us", "100000"), ("stat", "nr_periods 10\nnr_throttled 0\n")):
        write(f"sys/fs/cgroup/{mount}/job/cpu.{name}", value)
    watch = load.LoadWatch(tmp_path)
    write(f"sys/fs/cgroup/{mount}/job/cpu.stat", "nr_periods 20\nnr_throttled 5\n")
    assert watch.describe() == "its container may use 0.5 of 2 processors; its container used up its processor time in 5 of 10 periods"


@pytest.mark.parametrize(("name", "text"), [("cpu.max", "max 100000\n"), ("cpu.max", "400000 100000\n"), ("cpu.cfs_quota_us", "-1\n")])
def test_no_quota_that_limits_is_no_word(tmp_path, write, name, text):
    write("proc/self/cgroup", "1:cpu:/\n0::/\n")
    write(f"sys/fs/cgroup/{name}", text)
    write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    write(f"sys/fs/cgroup/cpu/{name}", text)
    assert load.LoadWatch(tmp_path).describe() == ""


def test_a_parents_quota_holds_too(tmp_path, write):
    write("proc/self/cgroup", "0::/pod/box\n")
    write("sys/fs/cgroup/pod/cpu.max", "100000 100000\n")
    write("sys/fs/cgroup/pod/box/cpu.max", "max 100000\n")
    assert load.LoadWatch(tmp_path).describe() == "its container may use 1 of 2 processors"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/pod/box\n", {"pod/cpu.max": "100000 100000\n", "pod/box/cpu.max": "400000 100000\n"}, 1.0),
        ("", {"cpu.max": "250000 100000\n"}, None),
    ],
)
def test_the_least_quota_of_a_process_is_read(tmp_path, write, groups, files, expected):
    write("proc/self/cgroup", groups)
    for name, text in files.items():
        write(f"sys/fs/cgroup/{name}", text)
    assert load.read_quota(tmp_path) == expected
