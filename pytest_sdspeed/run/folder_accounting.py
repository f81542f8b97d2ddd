"""The account of a saved pipeline of any class, counted without its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.run.accounting import VALUES_UP_TO, hold_still

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_sdspeed.model.accounts import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderAccount:
    """What a call of a saved pipeline asks for.

    Attributes:
        account: what it asks for.
        pipeline: name of the pipeline's class.
        arguments: names of the arguments that it was called with.
    """

    account: Account
    pipeline: str
    arguments: tuple[str, ...]


@hold_still()
def count_folder(
    folder: Path, arguments: Mapping[str, Any], *, dtype: str, seed: int = 0
) -> FolderAccount:
    """Count what one call of a saved pipeline asks of a GPU.

    Args:
        folder: the folder that holds ``model_index.json``; its weights are not read.
        arguments: arguments of the call, by name; the others are made up if they can be.
        dtype: type of the weights.
        seed: seed of the generator.

    Raises:
        ModelUnavailableError: the pipeline cannot be built from its configuration.
        UsageMistakeError: an argument is unknown, or one that cannot be made up is missing.
        GenerationError: the pipeline refused the call.
        UnsupportedError: this build of torch cannot do it.
        DryRunError: it needs a value that the dry run does not know.
    """
    import torch

    from pytest_sdspeed.dry.accounts import make_account
    from pytest_sdspeed.dry.run import count
    from pytest_sdspeed.dry.watch import watch_parts, watch_schedulers
    from pytest_sdspeed.errors import GenerationError, SdSpeedError, read_first_line
    from pytest_sdspeed.pipelines.architectures import read_architecture
    from pytest_sdspeed.pipelines.calls import make_arguments
    from pytest_sdspeed.pipelines.parameters import count_parameters
    from pytest_sdspeed.pipelines.parts import list_components
    from pytest_sdspeed.pipelines.sources import ShapesSource

    with torch.no_grad(), count(values_up_to=VALUES_UP_TO) as ledger:
        saved = read_architecture(folder)
        pipeline = ShapesSource("cuda").build_pipeline(str(folder), saved, dtype)
        pipeline.set_progress_bar_config(disable=True)
        called = make_arguments(pipeline, arguments, seed)
        ledger.restart()
        weight_bytes = ledger.held
        watched = watch_parts(ledger, list_components(pipeline))
        try:
            with watch_schedulers(ledger), watched:
                pipeline(**called)
        except SdSpeedError:
            raise
        except Exception as error:
            first = read_first_line(error, type(error).__name__)[:300].rstrip(". ")
            raise GenerationError(
                f"{folder}: {type(pipeline).__name__} called with {', '.join(called)} raised"
                f" {type(error).__name__}: {first}. Further arguments: --call KEY=VALUE"
            ) from error
        account = replace(
            make_account(ledger, weight_bytes=weight_bytes),
            parameters=count_parameters(list_components(pipeline)),
        )
    return FolderAccount(account=account, pipeline=type(pipeline).__name__, arguments=tuple(called))
