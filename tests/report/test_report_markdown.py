"""The summary of a continuous-integration run."""

from __future__ import annotations

import pytest
from fakes import baseline_result, result

from pytest_sdspeed.report.markdown import escape, write_summary

SUMMARY = r"""## Diffusion speed-ups and pictures

- fp16 on NVIDIA H200: x1.31 \[1.29, 1.33\] over baseline; documented x1.50 on NVIDIA A100, floor x1.43 (tolerance 5%), 6 blocks. Reason: slow. To gate this device on its own ratios: --sd-record nvidia-h200.toml, see README "Recording a reference".
- tf32: a note

### inference

documented on NVIDIA A100, measured on NVIDIA H200 (random weights), 6 blocks, A/A control x1.00 \[0.99, 1.01\]

| setup | latency | speed-up | documented | floor | pictures | verdict |
| --- | --- | --- | --- | --- | --- | --- |
| baseline | 1.93 s | x1.00 | x1.00 |  |  | - |
| tf32 | 1.47 s | x1.31 \[1.29, 1.33\] | x1.50 | x1.43 | PSNR 58 SSIM .998 | ✅ pass |
| fp16 | 1.47 s | x1.31 \[1.29, 1.33\] | x1.50 | x1.43 | PSNR 58 SSIM .998 | ❌ fail |

"""


def test_failures_come_first_in_words_then_a_table_for_each_campaign():
    rows = [baseline_result(), result("tf32", notes=("a note",)), result(verdict="fail", reasons=("slow",))]
    assert write_summary(rows) == SUMMARY
    assert write_summary([*rows, result(table="stack")]).count("| setup |") == 2


def test_a_run_without_campaigns_says_so():
    assert "No campaign was measured in this run." in write_summary([])


def test_what_another_process_said_stands_under_the_table():
    other = {"speedup": 1.2, "low": 1.1, "high": 1.3, "verdict": "fail"}
    assert "\n- fp16: failed in the first process (x1.20 \\[1.10, 1.30\\])" in write_summary([result(confirmation=other)])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a|b", r"a\|b"),
        ("a\nb\r\n| c", r"a b \| c"),
        ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
        ("*a* _b_ `c` [d](e) ~~f~~", r"\*a\* \_b\_ \`c\` \[d\](e) \~\~f\~\~"),
        ("a\\|b", r"a\\\|b"),
        ("$x$ #1", r"\$x\$ \#1"),
    ],
)
def test_words_mean_themselves(words, said):
    assert escape(words) == said


def test_no_row_breaks_its_table():
    hostile = result("a|b\n<img>", verdict="inconclusive", device="x|y", reasons=("p|q",))
    rows = [line for line in write_summary([hostile]).splitlines() if line.startswith("| ")]
    assert all(line.replace(r"\|", "").count("|") == 8 for line in rows)
    assert "<img>" not in write_summary([hostile])
