"""What ``--sd-weights=tiny`` goes with: options that need a time, a GPU or full size are refused by name."""

from __future__ import annotations

import pytest
from rehearsed import rehearse, write_table

ROWS = {"baseline": "", "fp16": '"fp16"'}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sd-gpu"], "rehearses a run on a GPU, on the CPU: give one of them (-o sdspeed_gpu= takes it out"),
        (["-o", "sdspeed_gpu=true"], "--sd-weights=tiny and --sd-gpu"),
        (["--sd-dry"], "--sd-weights=tiny and --sd-dry: --sd-weights=tiny draws at toy size, and --sd-dry counts at full size"),
        (["--sd-record=recorded.toml"], "measures no time that could be a reference: give one of them (-o sdspeed_record= takes it out"),
        (["-o", "sdspeed_record=recorded.toml"], "--sd-weights=tiny and --sd-record"),
        (["--sd-against=diffusers==0.41.0"], "measures no time by which versions could be compared"),
        (["--sd-against-control"], "--sd-weights=tiny and --sd-against-control"),
        (["--sd-confirm"], "measures no time that could be confirmed"),
        (["--sd-history=fail"], "measures no time, and is in no history: give one of them"),
        (["--sd-history=warn"], "--sd-weights=tiny and --sd-history"),
        (["--sd-unit=stage"], "--sd-weights=tiny and --sd-unit: --sd-weights=tiny measures no time: give one of them"),
    ],
)
def test_what_needs_a_time_or_a_gpu_is_refused_by_name(pytester, monkeypatch, arguments, said):
    table = write_table(pytester, ROWS)
    result = rehearse(pytester, monkeypatch, table, *arguments, conftest="")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert not (pytester.path / "recorded.toml").exists()


def test_what_a_file_says_of_other_runs_does_not_keep_a_rehearsal_from_running(pytester, monkeypatch):
    pytester.makeini("[pytest]\nsdspeed_history = fail\nsdspeed_weights = tiny\nsdspeed_inconclusive = warn\nsdspeed_unit = stage\n")
    table = write_table(pytester, ROWS)
    result = rehearse(pytester, monkeypatch, table, "--sd-history=off", "--sd-record=", "--collect-only", "-q", conftest="")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["night.toml::baseline", "night.toml::fp16"])


def test_a_callable_is_skipped_since_it_cannot_be_drawn_at_toy_size(pytester, monkeypatch):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.sd_latency(speedup=2)
        def test_engine(sd_latency):
            sd_latency(lambda: 1 / 0, baseline=lambda: 1 / 0)

        @pytest.mark.sd_latency("inference", speedup=2)
        def test_against_an_engine(sd_latency, sd_fp16):
            sd_latency(sd_fp16, baseline=lambda: 1 / 0)

        @pytest.mark.sd_latency("inference")
        def test_forgotten(sd_latency, sd_fp16):
            pass
        """
    )
    result = rehearse(pytester, monkeypatch, conftest="")
    result.assert_outcomes(skipped=2, failed=1)
    result.stdout.fnmatch_lines(
        ["*sd_latency was not called*", "SKIPPED*draws setups at toy size, and candidate is a callable, which draws what it draws*"]
    )


def test_an_unknown_kind_of_weights_names_the_valid_ones(pytester, monkeypatch):
    result = rehearse(pytester, monkeypatch, "--sd-weights=toy", conftest="")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sd-weights=toy: valid: pretrained, random, tiny" in result.stderr.str()
