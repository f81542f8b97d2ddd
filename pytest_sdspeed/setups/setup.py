"""A setup: a recipe and a stack of optimizations, which can draw."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.flags import guard, hold, ignore_default_device
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.device.seeds import hold_seeds, seed_torch
from pytest_sdspeed.model import Case
from pytest_sdspeed.model.costs import Loaded
from pytest_sdspeed.pipelines.calls import PipelineCall, make_call
from pytest_sdspeed.pipelines.noise import draw_in_float32
from pytest_sdspeed.pipelines.optimization import (
    Comparison,
    Optimization,
    compare_by_autoencoder,
    find_precision,
    find_relation,
)
from pytest_sdspeed.pipelines.outputs import as_floats, list_extras, take_pictures
from pytest_sdspeed.pipelines.weights import find_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pytest_sdspeed.model import Machine, Profile, Proof, Recipe, Relation
    from pytest_sdspeed.pipelines.pool import Built, Pool
    from pytest_sdspeed.pipelines.staged_calls import PipelineStages
    from pytest_sdspeed.pipelines.units import UnitTimer
    from pytest_sdspeed.setups.catalog import ResolvedSetup

_APART = 1 << 40
"""Between the seed of a generation and that of what it draws without its generator."""


class Setup:
    """What a setup fixture gives to a test.

    Args:
        name: name of the setup.
        recipe: what is generated.
        stack: optimizations in order.
        machine: machine that the setup runs on.
        pool: what gives the pipeline its modules.
        resolved: what the name was resolved to, with what the setup is documented to deliver.
        compare: says what the pictures of a stack are compared with.

    Attributes:
        name, recipe, resolved: as given.
        optimizations: labels of the stack.
        parts: role of the recipe -> model that the stack takes something from.
        relation: what its pictures may be compared with.
        precision: type in which its matrix products and convolutions run: ``float32``, ``tf32``,
            ``float16``, ``bfloat16``.
        comparison: what its pictures are compared with.
        reference: what draws that in the baseline's place, such as the same stack with the model's
            own autoencoder, from the same latents; else None.
    """

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        stack: tuple[Optimization, ...],
        *,
        machine: Machine,
        pool: Pool,
        resolved: ResolvedSetup,
        compare: Callable[[tuple[Optimization, ...]], Comparison] = compare_by_autoencoder,
    ) -> None:
        self.name, self.recipe, self.resolved = name, recipe, resolved
        self.optimizations = tuple(part.label for part in stack)
        roles = {role for part in stack for role in (*part.replaces.values(), *part.needs)}
        self.parts = {role: model for role in sorted(roles) if (model := recipe.part(role))}
        self.comparison = compare(stack)
        self.relation: Relation = self.comparison.relation
        self.precision = find_precision(stack, recipe.dtype)
        self._stack, self._machine, self._pool = stack, machine, pool
        self._built: Built | None = None
        self._unit_timer: UnitTimer | None = None
        self._call: tuple[Recipe, PipelineCall] | None = None
        self._extras: tuple[str, ...] | None = None
        self.reference = self._make_reference()

    def __repr__(self) -> str:
        return (
            f"Setup({self.name!r}, optimizations={list(self.optimizations)},"
            f" model={self.recipe.model!r})"
        )

    def _make_reference(self) -> Setup | None:
        stack, said = self.comparison.reference, self.comparison.said
        if stack is None:
            return None
        return Setup(
            f"{self.name} {said}",
            self.recipe,
            stack,
            machine=self._machine,
            pool=self._pool,
            resolved=self.resolved,
            compare=lambda stack: Comparison(find_relation(stack)),
        )

    @property
    def identity(self) -> str:
        """Return a text that it has in common with setups of a run that draw the same."""
        stack = [(part.name, part.label, sorted(part.options.items())) for part in self._stack]
        return repr((replace(self.recipe, repeats=1), stack))

    @property
    def unsupported(self) -> str | None:
        """Return why this machine cannot run it, or None."""
        return next(
            filter(None, (part.supported(self._machine, **part.options) for part in self._stack)),
            None,
        )

    @property
    def pipeline(self) -> Any:
        """Return the diffusers pipeline, which is built on first use.

        Raises:
            ModelUnavailableError: weights are unavailable.
            LeakedFlagError, ChangedPartError: an optimization changed what others share.
        """
        return self._build().pipeline

    def _build(self) -> Built:
        if self._built is None:
            self._built = self._pool.build(self.name, self.recipe, self._stack)
        return self._built

    def build(self) -> None:
        """Build the pipeline now, and what it is called with; see ``pipeline``.

        Raises:
            UsageMistakeError: the recipe states what the pipeline's call does not take.
        """
        self._build()
        with quiet():
            self._find_call()

    def check(self) -> None:
        """Check that what it shares with other setups is still what was loaded.

        Raises:
            ChangedPartError: something changed; it is put back first.
        """
        from pytest_sdspeed.pipelines.pool import check_parts
        from pytest_sdspeed.pipelines.shared_part import CACHES

        if self._built is not None:
            owner = f"since setup {self.name!r} was built, something"
            check_parts(owner, self._built.parts, CACHES, thorough=True)
        if self.reference:
            self.reference.check()

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what of its generations nobody looks at, once it has generated."""
        if not self._extras:
            return ()
        said = ", ".join(self._extras)
        return (f"{self.name} returns more than its pictures, which nobody judged: {said}",)

    def weight_bytes(self) -> int:
        """Count the bytes of the pipeline's distinct weights that are on the device now.

        Those that setups share are among them, and those that are offloaded are not.
        """
        return sum(find_weights(self.pipeline, self._machine.kind).values())

    def measure_loaded(self) -> Loaded:
        """Measure the memory that its weights take on the device, as the pipeline was built."""
        from pytest_sdspeed.device.memory import find_reserved_memory

        memory = find_reserved_memory(self._machine.kind)
        if memory is None:
            return Loaded(self.weight_bytes())
        weights = find_weights(self.pipeline, self._machine.kind)
        return Loaded(sum(weights.values()), memory.count_segments(weights))

    def keep_alone(self) -> None:
        """Drop what other setups share with it and it does not use, and check no more of it."""
        self._built = replace(self._build(), parts=())
        self._pool.clear()

    def release(self) -> None:
        """Drop the pipeline; the next use builds it again."""
        self._built = self._call = self._unit_timer = None
        if self.reference:
            self.reference.release()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold the stack's process-global flags, and check that all is afterwards what it was.

        Raises:
            LeakedFlagError: a flag was not restored.
            ChangedPartError: what other setups share was changed, as far as torch counts changes.
        """
        with self._guard_parts(thorough=False), self._hold():
            yield

    @contextmanager
    def _guard_parts(self, *, thorough: bool) -> Iterator[None]:
        from pytest_sdspeed.pipelines.pool import guard_parts
        from pytest_sdspeed.pipelines.shared_code import guard_code
        from pytest_sdspeed.pipelines.shared_part import ATTRIBUTES, CACHES

        built = self._build()
        # What a library leaves in its own attributes when it is called is its own business.
        allowed = CACHES if built.own_code else ATTRIBUTES
        owner = f"setup {self.name!r}"
        with (
            guard_parts(owner, built.parts, allowed, thorough=thorough),
            guard_code(owner, built.pipeline) if built.own_code else nullcontext(),
        ):
            yield

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Hold the flags of the stack and the seeds of the process."""
        built = self._build()
        for shared in built.parts:
            shared.raise_if_lost()
        with (
            ignore_default_device(),
            hold_seeds(self.recipe.seed),
            draw_in_float32(),
            guard(f"setup {self.name!r}"),
            hold(built.held),
            ExitStack() as held,
        ):
            for part in self._stack:
                held.enter_context(part.slot())
            yield

    def generate(self, seed: int | None = None) -> NDArray[np.float32]:
        """Draw pictures while holding the stack's flags.

        Args:
            seed: seed of the initial latents, or None for the recipe's. The same seed gives every
                setup the same latents, and the same noise in its steps.

        Returns:
            Pictures, float32 (images, height, width, 3) in [0, 1]; of videos (videos, frames,
            height, width, 3).

        Raises:
            LeakedFlagError, ChangedPartError: an optimization changed what others share.
        """
        with quiet(), ExitStack() as held:
            # What somebody else has hooked to the modules is no fault of this setup.
            if all(part.is_as_loaded() for part in self._build().parts):
                held.enter_context(self._guard_parts(thorough=True))
            held.enter_context(self._hold())
            self._find_call()
            return as_floats(self.draw(Case(self.recipe.seed if seed is None else seed)))

    def draw(self, case: Case, output: str = "np") -> Any:
        """Call the pipeline once and do nothing else: this is the timed work.

        The caller holds ``slot``.

        Args:
            case: seed of the initial latents, and the prompt if it is not the recipe's.
            output: what the pipeline returns: ``np``, or ``pt`` for tensors that stay on the
                device.

        Returns:
            Pictures, float32 (images, height, width, 3) in [0, 1], or videos (videos, frames,
            height, width, 3); of a pipeline that takes no ``output_type``, what it returns.

        Raises:
            GenerationError: they have another size than the recipe states.
        """
        built, call = self._build(), self._find_call()
        arguments = call.fill(case, output)
        # For what draws from nothing that it is given; its noise is not that of the generator.
        seed_torch(case.seed + _APART if "generator" in arguments else case.seed)
        returned = built.pipeline(**arguments)
        if self._extras is None:
            self._extras = list_extras(returned)
        drawn = take_pictures(returned)
        call.check(drawn)
        return drawn

    def _find_call(self) -> PipelineCall:
        """Return what the pipeline is called with, made once for a recipe."""
        if self._call is None or self._call[0] is not self.recipe:
            self._call = self.recipe, make_call(self._build().pipeline, self.recipe)
        return self._call[1]

    @property
    def has_proofs(self) -> bool:
        """Tell whether an optimization of the stack can show that it acts."""
        return any(part.prove is not None for part in self._stack)

    def prove(self, case: Case) -> tuple[Proof, ...]:
        """Find out in one more generation whether the optimizations of the stack act.

        Those that cannot show it are passed over; without any other nothing is generated.

        Args:
            case: what it draws.

        Raises:
            LeakedFlagError, ChangedPartError: an optimization changed what others share.
        """
        from pytest_sdspeed.pipelines.proving import prove_stack

        if not self.has_proofs:
            return ()
        with quiet(), self.slot():
            return prove_stack(self._stack, self.pipeline, lambda: self.draw(case))

    def time_unit(self, case: Case) -> tuple[Any, float]:
        """Draw, or do what is the unit of the recipe, and time that alone; wait for the device.

        The caller holds ``slot``.

        Args:
            case: as for ``draw``.

        Returns:
            What the unit gives, pictures or what the denoiser returned; and seconds.

        Raises:
            GenerationError: the pipeline has no such unit.
        """
        from pytest_sdspeed.pipelines.units import UnitTimer

        if self._unit_timer is None or self._unit_timer.pipeline is not self.pipeline:
            self._unit_timer = UnitTimer(
                self.pipeline, self.draw, self.recipe.unit, self.name, self._machine.kind
            )
        return self._unit_timer.time(case)

    def open_stages(self) -> PipelineStages:
        """Return what calls its pipeline by stages; the caller holds ``slot`` at every turn.

        Raises:
            UnstageableError: the pipeline has nothing that tells its denoising steps apart.
        """
        from pytest_sdspeed.pipelines.staged_calls import PipelineStages

        return PipelineStages(self.pipeline, self.draw, f"setup {self.name!r}")

    def profile(self, case: Case) -> Profile:
        """Measure where the time of a generation goes, in one more or, on a GPU, two more.

        Args:
            case: what these generations draw.
        """
        from pytest_sdspeed.device.memory import find_reserved_memory
        from pytest_sdspeed.pipelines.profiling import profile_generation
        from pytest_sdspeed.pipelines.units import Loop

        whole: list[Loop] = []

        def draw() -> None:
            loop = Loop()
            with self._hold(), loop.watch(self.pipeline):
                self.draw(case)
            whole.append(loop)

        kind = self._machine.kind
        partial = any(part.partial for part in self._stack)
        memory = find_reserved_memory(kind)
        if memory is not None:
            memory.start()
        found = profile_generation(self.pipeline, draw, kind=kind, partial=partial)
        order = getattr(getattr(self.pipeline, "scheduler", None), "order", 1)
        return replace(
            found,
            steps=whole[0].count_iterations(self.recipe.steps, order) if whole else None,
            reserved_bytes=None if memory is None else memory.taken_bytes(),
        )
