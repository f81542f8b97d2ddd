"""The gate behind ``sd_account``, and behind ``sd_latency`` under ``--sd-dry``: it counts."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_sdspeed.errors import (
    DryRunError,
    ModelUnavailableError,
    SdSpeedError,
    UnsupportedError,
    UsageMistakeError,
)
from pytest_sdspeed.model import ACCOUNT_BOUNDS, find_count
from pytest_sdspeed.plugin.options import COUNTING, GATE
from pytest_sdspeed.plugin.requests import plan_of, skip_unknown_model
from pytest_sdspeed.plugin.state import ACCOUNTS, ASKING, own_id, run_of
from pytest_sdspeed.run.targets import Target, make_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.model import Account, AccountResult, TableSet
    from pytest_sdspeed.plugin.asking import Asking

_LATE = (
    "sd_account: this test asks for its gate while it runs, as its collection could not tell: mark"
    " it with @pytest.mark.sd_account(...)"
)


class AccountGate:
    """What ``sd_account`` gives to a test, which calls it once with what is to be counted."""

    def __init__(self, request: pytest.FixtureRequest, benchmark: Any, gate: str) -> None:
        self._node, self._run = request.node, run_of(request.config)
        self._benchmark, self._gate, self._said = benchmark, gate, ""
        self._asking: Asking = self._node.stash[ASKING][gate]
        self._asking.give_gate()

    def __call__(self, target: Any) -> Account:
        """Count what a target asks of a GPU, hold it to its bounds, and store the account.

        The test ends as this call does: what it raises counts, also if the body catches it.

        Args:
            target: a setup fixture's value, a callable ``(device) -> anything``, or the
                ``module:name`` of one. If it returns a callable, what it did was to prepare, and
                that one, which takes nothing, is counted.

        Returns:
            The account, if it is within its bounds.
        """
        account: Account = self._asking.ask(
            target, None, lambda: self._judge(target), lambda _: self._said
        )
        return account

    def __reduce__(self) -> NoReturn:
        """Refuse to be sent to another process, or copied."""
        raise TypeError(
            f"{self._gate} cannot be sent to another process, since what is counted there is lost:"
            " call it in the test's own process"
        )

    def _judge(self, target: Any) -> Account:
        from pytest_sdspeed.report.accounts import describe_account, write_account_message
        from pytest_sdspeed.report.pages import describe_error
        from pytest_sdspeed.store.accounts import store_account

        plan, item, made = plan_of(self._node), self._node, None
        try:
            role = "target" if self._gate == COUNTING else "candidate"
            made = make_target(target, role, self._gate)
            if self._gate == GATE:
                _skip_timed(made)
            bounds = plan.bounds if self._gate == COUNTING else {}
            result = self._run.count(made, bounds, own_id(item), self._gate)
        except UnsupportedError as error:
            pytest.skip(str(error))
        except SdSpeedError as error:
            skip_unknown_model(item, error)
            if self._gate == GATE and made is not None and self._run.options.against is None:
                _skip_uncountable(made, error, self._run.session.tables)
            raise pytest.fail.Exception(describe_error(error), pytrace=False) from None
        store_account(self._benchmark, result)
        item.stash.setdefault(ACCOUNTS, []).append(result)
        item.user_properties.extend(
            (f"sdspeed_account_{name}", value) for name, value in account_properties(result)
        )
        risen = _write_rise(result)
        if result.verdict in ("fail", "invalid"):
            pytest.fail(write_account_message(result), pytrace=False)
        if risen and self._run.options.history == "fail":
            pytest.fail(risen, pytrace=False)
        if risen:
            from pytest_sdspeed.plugin.gate import SlowerWarning

            warnings.warn(SlowerWarning(risen), stacklevel=5)
        self._said = describe_account(result)
        return result.account


class DryLatency(AccountGate):
    """What ``sd_latency`` gives to a test under ``--sd-dry``: it counts the candidate."""

    def __call__(self, candidate: Any, baseline: Any = None) -> Any:
        """Count what a candidate asks of a GPU, and hold it to the account of its row, if any.

        Args:
            candidate: as for ``sd_latency``. A callable that takes no device cannot be counted: the
                test is skipped.
            baseline: is not counted.

        Returns:
            The account. A test that asks it for something that was not measured is skipped.
        """

        def judge() -> _NotMeasured:
            return _NotMeasured(self._judge(candidate))

        return self._asking.ask(candidate, baseline, judge, lambda _: self._said)


class _NotMeasured:
    """An account in the place of a ``Result``, which has nothing that only a measurement knows."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or hasattr(self._account, name):
            return getattr(self._account, name)
        pytest.skip(f"--sd-dry counts and measures nothing: there is no {name} to ask for")


def _write_rise(result: AccountResult) -> str:
    """Write what the stored runs say against an account; "" if they say nothing."""
    from pytest_sdspeed.judge.changes.counts import unresolved_rise
    from pytest_sdspeed.report.account_history import write_rise

    rise = unresolved_rise(result.history) if result.history else None
    return write_rise(result.history, rise) if result.history and rise else ""


def _skip_timed(target: Target) -> None:
    """Skip a test whose callable can only be timed."""
    from pytest_sdspeed.run.account_results import takes_device

    if target.call is not None and not takes_device(target.call):
        pytest.skip(
            f"--sd-dry counts, and {target.name} takes no device that it could be counted on: run"
            " without --sd-dry, or count it with sd_account(lambda device: ...)"
        )


def _skip_uncountable(target: Target, error: SdSpeedError, tables: TableSet) -> None:
    """Skip a row of a table under ``--sd-dry`` that cannot be counted here.

    A row that has an account could be counted once: it fails if its work came to depend on values.
    So does one that another version is compared with, and one of a user's table that names a model
    which is nowhere.

    Args:
        target: what was to be counted.
        error: why it was not.
        tables: all tables of the run.
    """
    from pytest_sdspeed.run.account_results import find_bounds
    from pytest_sdspeed.tables import is_builtin

    resolved = target.setup.resolved if target.setup else None
    if resolved is None or resolved.row is None:
        return
    unavailable = isinstance(error, ModelUnavailableError) and is_builtin(resolved.table)
    unknown = isinstance(error, DryRunError) and not find_bounds(resolved, tables).bounds
    if unknown or unavailable:
        pytest.skip(f"it cannot be counted: {error}".rstrip("."))


def account_properties(result: AccountResult) -> Iterator[tuple[str, str | int]]:
    """Yield what ``--junit-xml`` writes: the outcome, and every count that is known."""
    yield "verdict", result.outcome
    for name in ACCOUNT_BOUNDS:
        count = find_count(result.account, name)
        if count is not None:
            yield name, count
    if result.against is not None:
        yield "against", result.against.label
        for name in ACCOUNT_BOUNDS:
            count = find_count(result.against.account, name)
            if count is not None:
                yield f"old_{name}", count


def counting_gate_of(
    request: pytest.FixtureRequest, benchmark: Any, gate: str = COUNTING
) -> AccountGate:
    """Make the gate of a test that counts, or end the test if nothing can be counted.

    Args:
        request: request of the gate's fixture.
        benchmark: the test's ``benchmark`` fixture.
        gate: name of the gate's fixture.
    """
    from pytest_sdspeed.report.pages import describe_error

    item = request.node
    try:
        plan_of(item)
        if gate not in item.stash.get(ASKING, {}):
            raise UsageMistakeError(_LATE.replace(COUNTING, gate))
    except SdSpeedError as error:
        pytest.fail(describe_error(error), pytrace=False)
    # pytest keeps those fixtures of a test that its collection knew of.
    getattr(item, "funcargs", {}).setdefault("benchmark", benchmark)
    return (DryLatency if gate == GATE else AccountGate)(request, benchmark, gate)
