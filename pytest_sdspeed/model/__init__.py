"""The facts that travel between the rooms: frozen, with the standard library alone.

Units: latencies are seconds, tolerances are fractions (0.05 is 5%), PSNR is decibels, memory is
bytes.
"""

from __future__ import annotations

from pytest_sdspeed.model.account_history import (
    AccountChange,
    AccountHistory,
    AccountRun,
    CountChange,
    PlaceChange,
)
from pytest_sdspeed.model.account_results import (
    ACCOUNT_BOUNDS,
    PER_STEP,
    STEP_COUNTS,
    AccountAgainst,
    AccountResult,
    find_count,
)
from pytest_sdspeed.model.accounts import COUNTS, Account, Place, Work
from pytest_sdspeed.model.history import (
    Acknowledgement,
    Change,
    History,
    HistoryKey,
    HistoryRun,
    Predecessor,
)
from pytest_sdspeed.model.machine import (
    UNKNOWN_GPU,
    UNREAD,
    Machine,
    Profile,
    Reading,
    Telemetry,
    UnknownTelemetry,
)
from pytest_sdspeed.model.metrics import PictureMetric
from pytest_sdspeed.model.pictures import Exhibit, MetricRange, SelfDifference
from pytest_sdspeed.model.proofs import Finding, Proof
from pytest_sdspeed.model.results import (
    Against,
    Case,
    Interval,
    Rehearsal,
    Result,
)
from pytest_sdspeed.model.stack import StackEntry, list_names
from pytest_sdspeed.model.tables import (
    BOUNDS,
    COUNT_ARGUMENTS,
    DEFAULT_TOLERANCE,
    DTYPES,
    OWN_ARGUMENTS,
    RECIPE_ARGUMENTS,
    RECIPE_DEFAULTS,
    SCHEDULERS,
    UNITS,
    CampaignKey,
    ImageGate,
    Recipe,
    RegisteredSetup,
    Row,
    Spread,
    Table,
    Unit,
)
from pytest_sdspeed.model.vocabulary import (
    BASELINE,
    CONTROL,
    HOST_BOUND_UNDER,
    MIG,
    MINIATURE,
    Cause,
    ImageVerdict,
    Relation,
    Verdict,
)

__all__ = [
    "ACCOUNT_BOUNDS",
    "BASELINE",
    "BOUNDS",
    "CONTROL",
    "COUNTS",
    "COUNT_ARGUMENTS",
    "DEFAULT_TOLERANCE",
    "DTYPES",
    "HOST_BOUND_UNDER",
    "MIG",
    "MINIATURE",
    "OWN_ARGUMENTS",
    "PER_STEP",
    "RECIPE_ARGUMENTS",
    "RECIPE_DEFAULTS",
    "SCHEDULERS",
    "STEP_COUNTS",
    "UNITS",
    "UNKNOWN_GPU",
    "UNREAD",
    "Account",
    "AccountAgainst",
    "AccountChange",
    "AccountHistory",
    "AccountResult",
    "AccountRun",
    "Acknowledgement",
    "Against",
    "CampaignKey",
    "Case",
    "Cause",
    "Change",
    "CountChange",
    "Exhibit",
    "Finding",
    "History",
    "HistoryKey",
    "HistoryRun",
    "ImageGate",
    "ImageVerdict",
    "Interval",
    "Machine",
    "MetricRange",
    "PictureMetric",
    "Place",
    "PlaceChange",
    "Predecessor",
    "Profile",
    "Proof",
    "Reading",
    "Recipe",
    "RegisteredSetup",
    "Rehearsal",
    "Relation",
    "Result",
    "Row",
    "SelfDifference",
    "Spread",
    "StackEntry",
    "Table",
    "Telemetry",
    "Unit",
    "UnknownTelemetry",
    "Verdict",
    "Work",
    "find_count",
    "list_names",
]
