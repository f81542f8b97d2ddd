"""What a run measures with: its options, tables and machine, and setups that are built once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_sdspeed.device.accelerator import (
    find_module,
    free_device_memory,
    is_rocm,
    name_kind,
)
from pytest_sdspeed.errors import SdSpeedError
from pytest_sdspeed.setups.catalog import Catalog, ResolvedSetup
from pytest_sdspeed.setups.names import BUILTIN_SETUPS, RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_sdspeed.measure.memory import MemoryMeter
    from pytest_sdspeed.model import CampaignKey, Machine, Table, TableSet, Telemetry
    from pytest_sdspeed.pipelines.clip import ClipScorer
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.pipelines.pool import Pool
    from pytest_sdspeed.run.settings import Options
    from pytest_sdspeed.run.setup_counts import SetupCounts
    from pytest_sdspeed.setups.registry import Registry
    from pytest_sdspeed.setups.setup import Setup


class Session:
    """What a run measures with.

    Args:
        options: options of the run.
        registry: optimizations and setups that users registered.
    """

    def __init__(self, options: Options, registry: Registry) -> None:
        self.options, self.registry = options, registry
        self._setups: dict[tuple[CampaignKey, str], Setup] = {}
        self._machine: Machine | None = None

    @cached_property
    def tables(self) -> TableSet:
        """Load the tables of ``--sd-tables``; a built-in one is loaded when it is asked for."""
        from pytest_sdspeed.tables import open_tables

        return open_tables(self.options.tables, self.registry.metrics)

    def add_table(self, path: Path) -> Table:
        """Load one more table, unless that file is loaded already.

        Raises:
            TableError: it is malformed, or another table has its name.
        """
        from pytest_sdspeed.tables import add_table

        self.tables, table = add_table(self.tables, path, self.registry.metrics)
        for catalog in ("catalog", "dry_catalog"):
            self.__dict__.pop(catalog, None)
        return table

    @property
    def machine(self) -> Machine:
        """Describe this machine, its GPU under ``--sd-gpu``, or the one of ``use_machine``."""
        if self._machine is None:
            from pytest_sdspeed.device.machine import describe_accelerator, describe_cpu

            self._machine = describe_accelerator() if self.options.gpu else describe_cpu()
        return self._machine

    def use_machine(self, machine: Machine) -> None:
        """Take the machine that another process measures on, or more that is known of this one."""
        self._machine = machine

    @cached_property
    def catalog(self) -> Catalog:
        """Look setups up by name."""
        if self.options.dry or self.options.rehearses:
            return self.dry_catalog
        return Catalog(
            self.tables, self.registry, gpu=self.options.gpu, device=lambda: self.machine.device
        )

    @cached_property
    def dry_catalog(self) -> Catalog:
        """Look up by name what is counted or rehearsed: as on a GPU that no table is of."""
        return Catalog(self.tables, self.registry, gpu=True, device=lambda: "")

    @cached_property
    def _pool(self) -> Pool:
        from pytest_sdspeed.pipelines.pool import Pool
        from pytest_sdspeed.pipelines.sources import (
            EmbeddedFirst,
            PretrainedSource,
            RandomSource,
            TinySource,
        )

        classes, architectures = self.registry.pipelines, self.registry.architectures
        trained = PretrainedSource(self.machine.kind, classes)
        if self.options.rehearses:
            toys = TinySource(self.machine.kind, classes, architectures)
            return Pool(EmbeddedFirst(trained, toys))
        if not self.options.random_weights:
            return Pool(trained)
        drawn = RandomSource(self.machine.kind, classes, architectures)
        return Pool(EmbeddedFirst(trained, drawn))

    @cached_property
    def clip_scorer(self) -> ClipScorer:
        """Load the CLIP model behind bounds on CLIP scores."""
        from pytest_sdspeed.pipelines.clip import ClipScorer

        # On the CPU: a campaign's pipelines have the GPU's memory, and the pictures are few.
        return ClipScorer(self.options.clip)

    def own_setups(self) -> dict[str, str]:
        """Return the setups of users' tables without a built-in fixture, and their docstrings."""
        return describe_setups(self.tables.added)

    def setup(self, resolved: ResolvedSetup) -> Setup:
        """Make a setup once for each name and campaign, so that its pipeline is built once."""
        key = (resolved.campaign, resolved.setup)
        if key not in self._setups:
            self._setups[key] = self._make_setup(resolved)
        return self._setups[key]

    def _make_setup(self, resolved: ResolvedSetup) -> Setup:
        from pytest_sdspeed.pipelines.optimization import compare_by_autoencoder, compare_by_weights
        from pytest_sdspeed.setups.setup import Setup

        seed, stack, compare = self.options.seed, self.stack_of(resolved), compare_by_autoencoder
        recipe = resolved.recipe if seed is None else replace(resolved.recipe, seed=seed)
        if self.options.rehearses:
            from pytest_sdspeed.pipelines.rehearsing import rehearse_stack
            from pytest_sdspeed.run.rehearsal import is_shrunk, rehearse_recipe

            theirs = self.stack_of(self.catalog.find_baseline(resolved))
            stack = rehearse_stack(
                stack, theirs, shrunk=is_shrunk(recipe), lora=recipe.part("lora")
            )
            recipe = rehearse_recipe(recipe)
            compare = compare_by_weights if is_shrunk(recipe) else compare
        return Setup(
            resolved.setup,
            recipe,
            stack,
            machine=self.machine,
            pool=self._pool,
            resolved=resolved,
            compare=compare,
        )

    def stack_of(self, resolved: ResolvedSetup) -> tuple[Optimization, ...]:
        """Look the optimizations of a setup up, in order; a row that is only listed has none.

        Raises:
            SdSpeedError: one is unknown, or its recipe lacks a model that one needs.
        """
        if resolved.row and resolved.row.unsupported:
            from pytest_sdspeed.pipelines.optimization import refuse_to_build

            return (refuse_to_build(resolved.row.unsupported),)
        named = f"setup {resolved.setup!r} of table {resolved.table.name!r}"
        return self.registry.stack(resolved.optimizations, named, resolved.recipe)

    @cached_property
    def counts(self) -> SetupCounts:
        """Count what setups ask of a GPU, each once."""
        from pytest_sdspeed.run.setup_counts import SetupCounts

        return SetupCounts(self.registry)

    def load_libraries(self, *, pipelines: bool) -> None:
        """Import what campaigns need, so that the first of them does not.

        Args:
            pipelines: whether diffusers draws in them.
        """
        # A machine that cannot measure says so in each test.
        with suppress(SdSpeedError):
            _ = self.machine
        if pipelines:
            from pytest_sdspeed.device.quiet import quiet

            with quiet():
                import diffusers

                # Diffusers imports it lazily: only this shows that the import works.
                _ = diffusers.StableDiffusionPipeline

    @cached_property
    def telemetry(self) -> Telemetry:
        """Open what the GPU says of itself."""
        from pytest_sdspeed.device.nvml import open_telemetry
        from pytest_sdspeed.model import UnknownTelemetry

        kind = self.machine.kind
        if kind == "cpu":
            return UnknownTelemetry()
        if kind != "cuda" or is_rocm(kind):
            return UnknownTelemetry(
                f"GPU telemetry is unknown: it is NVML's, which knows no {name_kind(kind)}"
            )
        import torch

        return open_telemetry(
            lambda: str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        )

    def memory(self) -> MemoryMeter:
        """Make a meter of this device's memory."""
        from pytest_sdspeed.device.memory import ResidentMemory, find_meter
        from pytest_sdspeed.measure.memory import UnknownMemory

        if self.machine.kind == "cpu":
            return ResidentMemory()
        return find_meter(find_module(self.machine.kind)) or UnknownMemory()

    def release(self, keep: CampaignKey | None = None, *, usable: bool = True) -> None:
        """Free the memory of pipelines; one that is used again is built again.

        Args:
            keep: campaign whose pipelines stay, or None.
            usable: whether the device can still be asked to free memory.
        """
        if not self._setups:
            return
        self._pool.clear()
        for (campaign, _), setup in self._setups.items():
            if campaign != keep:
                setup.release()
        if usable:
            free_device_memory()


def describe_setups(tables: Iterable[Table]) -> dict[str, str]:
    """Return the setups of tables that have no built-in fixture, and their docstrings."""
    return {
        row.setup: f"Row {row.setup!r} of table {table.name!r}."
        for table in tables
        for row in table.rows
        if row.setup not in BUILTIN_SETUPS and row.setup not in RESERVED
    }
