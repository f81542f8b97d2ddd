"""Two versions' accounts in words: old beside new, what is more and fewer, and the lines behind it."""

from dataclasses import replace

from pytest_sdspeed.model import Account, AccountAgainst, AccountResult, Place, PlaceChange
from pytest_sdspeed.report.accounts import describe_account, format_accounts, group_accounts, write_account_message, write_accounts

SYNC = Place("host_sync", "pipelines/chroma/pipeline_chroma.py", 744, "t.item()", 1)
STEP = Account(operations=841, casts=12, flops=1_210_000, peak_bytes=3_100_000)
OLD = Account(operations=16_820, steps=20, per_step=STEP)
NEW = replace(OLD, host_syncs=20, per_step=replace(STEP, host_syncs=1, places=(SYNC,)))
AGAINST = AccountAgainst(
    spec="main",
    label="main (3f2a1bc)",
    account=OLD,
    versions={"diffusers": "0.41.0"},
    more=("host_syncs_per_step 0 -> 1 (+1)",),
    places=(PlaceChange(SYNC, 1, per_step=True),),
)
RESULT = AccountResult(
    table="tiny",
    setup="chroma",
    account=NEW,
    verdict="fail",
    reasons=("host_syncs_per_step 0 -> 1 (+1): +1 at pipelines/chroma/pipeline_chroma.py:744  t.item()",),
    versions={"diffusers": "0.42.1"},
    counted_as="NVIDIA A100",
    test="test_a.py::test_chroma",
    against=AGAINST,
)
BETTER = replace(
    RESULT,
    account=OLD,
    verdict="pass",
    reasons=(),
    against=replace(AGAINST, account=NEW, more=(), places=(), fewer=("host_syncs_per_step 1 -> 0 (-1)",), gone=AGAINST.places),
)


def test_the_section_has_old_beside_new_and_the_line_that_came():
    title, head, old, new, *lines = format_accounts([RESULT])
    assert title.startswith("sd accounts: chroma against main (3f2a1bc)   one denoising step, counted, not measured, as on NVIDIA A100")
    assert title.endswith(", diffusers 0.41.0 -> 0.42.1")
    assert head.split()[:2] == ["setup", "operations"]
    assert old.split() == ["old", "841", "0", "0", "12", "1.21", "M", "3.1", "MB", "-"]
    assert new.split() == ["new", "841", "1", "0", "12", "1.21", "M", "3.1", "MB", "fail"]
    assert lines == [
        "  more: host_syncs_per_step 0 -> 1 (+1)",
        "  +1 host sync a step   pipelines/chroma/pipeline_chroma.py:744   t.item()",
    ]


def test_an_improvement_names_the_line_that_is_gone():
    lines = format_accounts([BETTER])
    assert lines[-2:] == [
        "  fewer: host_syncs_per_step 1 -> 0 (-1)",
        "  -1 host sync a step   pipelines/chroma/pipeline_chroma.py:744   t.item()",
    ]
    assert describe_account(BETTER).endswith("Against main (3f2a1bc): 1 count lower: host_syncs_per_step 1 -> 0 (-1).")


def test_equal_versions_are_said_to_be():
    equal = replace(BETTER, against=replace(BETTER.against, account=OLD, fewer=(), gone=()))
    assert describe_account(equal).endswith("Against main (3f2a1bc): the same counts.")


def test_the_message_names_the_other_version_what_rose_and_what_to_do():
    said = write_account_message(RESULT).splitlines()
    assert said[0] == "chroma of table 'tiny', counted as on NVIDIA A100, against main (3f2a1bc):"
    assert said[1].strip() == RESULT.reasons[0]
    assert said[2].startswith("Every GPU is asked for more than by main (3f2a1bc)")
    assert said[3].endswith("/guides/compare-versions/")


def test_a_step_that_one_side_alone_has_is_shown_by_the_calls():
    one = replace(RESULT, verdict="invalid", against=replace(AGAINST, account=replace(OLD, per_step=None)))
    title, _, old, new, *_ = format_accounts([one])
    assert "one call" in title
    assert (old.split()[1], new.split()[1]) == ("16,820", "16,820")
    assert "let both versions count the same work" in write_account_message(replace(one, against=replace(one.against, more=())))


def test_each_comparison_is_a_group_of_its_own_in_markdown_too():
    assert [len(group) for group in group_accounts([RESULT, BETTER, replace(RESULT, setup="flux")])] == [2, 1]
    text = "\n".join(write_accounts([RESULT, replace(RESULT, setup="flux")], str, str))
    assert "chroma against main (3f2a1bc): one denoising step" in text
    assert "| old | 841 | 0 |" in text
    assert "| new | 841 | 1 |" in text
    assert text.count("- +1 host sync a step") == 2
