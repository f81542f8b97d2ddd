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
from pytest_sdspeed.model.call_arguments import COUNT_ARGUMENTS, OWN_ARGUMENTS, RECIPE_ARGUMENTS
from pytest_sdspeed.model.claims import (
    MEASURED_CLAIMS,
    TIMED_CLAIMS,
    ClaimResult,
    Comparison,
    Contrast,
    name_claims,
)
from pytest_sdspeed.model.contradictions import Contradiction
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
    StageResults,
)
from pytest_sdspeed.model.stack import StackEntry, list_names
from pytest_sdspeed.model.table_set import TableSet
from pytest_sdspeed.model.tables import (
    BOUNDS,
    CLAIM_KINDS,
    DEFAULT_TOLERANCE,
    DTYPES,
    RECIPE_DEFAULTS,
    SCHEDULERS,
    STATED_FIGURES,
    CampaignKey,
    Claim,
    ClaimKind,
    ImageGate,
    Recipe,
    RegisteredSetup,
    Row,
    Spread,
    Stated,
    Table,
)
from pytest_sdspeed.model.unit import UNITS, Unit
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
    "CLAIM_KINDS",
    "CONTROL",
    "COUNTS",
    "COUNT_ARGUMENTS",
    "DEFAULT_TOLERANCE",
    "DTYPES",
    "HOST_BOUND_UNDER",
    "MEASURED_CLAIMS",
    "MIG",
    "MINIATURE",
    "OWN_ARGUMENTS",
    "PER_STEP",
    "RECIPE_ARGUMENTS",
    "RECIPE_DEFAULTS",
    "SCHEDULERS",
    "STATED_FIGURES",
    "STEP_COUNTS",
    "TIMED_CLAIMS",
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
    "Claim",
    "ClaimKind",
    "ClaimResult",
    "Comparison",
    "Contradiction",
    "Contrast",
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
    "StageResults",
    "Stated",
    "Table",
    "TableSet",
    "Telemetry",
    "Unit",
    "UnknownTelemetry",
    "Verdict",
    "Work",
    "find_count",
    "list_names",
    "name_claims",
]
