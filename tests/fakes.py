"""Stand-ins: a clock that only the measured arms move, a bench that runs campaigns on it, and results made up for the reports."""

from __future__ import annotations

import io
import random
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from PIL import Image

from pytest_sdspeed.measure.campaign import run_campaign
from pytest_sdspeed.measure.campaign_data import Arm, Limits
from pytest_sdspeed.model import CONTROL, Exhibit, Interval, Machine, Recipe, Result
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING, StageTime

RECIPE = Recipe(model="miniature", prompt="a cat", height=64, width=64, steps=4, scheduler="ddim")
SLOW = "slower than its floor: at most x1.330, the floor is x1.425"
MACHINE = Machine(kind="cuda", device="NVIDIA H200", versions={"torch": "2.13.0"})


class FakeClock:
    """Seconds that pass when told to. ``submit`` is asynchronous work: it takes its time when somebody synchronizes."""

    def __init__(self, events=None):
        self.seconds = 0.0
        self.pending = 0.0
        self.events = [] if events is None else events

    def now(self):
        self.events.append("now")
        return self.seconds

    def synchronize(self):
        self.events.append("synchronize")
        self.seconds += self.pending
        self.pending = 0.0

    def spend(self, seconds):
        self.seconds += seconds

    def submit(self, seconds):
        self.pending += seconds


class Bench:
    """Runs a campaign and knows, inside every generation, which slot of which block it is.

    Attributes:
        events: what happened, in order: ``watch``, ``enter``, ``synchronize``, ``now``, ``generate``, ``exit``, arms after a colon.
        progress: every ``Progress`` the campaign reported.
        slot: index within the block, from 0.
        inside: whether a slot is open.
    """

    def __init__(self, seed=1):
        self.events = []
        self.clock = FakeClock(self.events)
        self.noise = random.Random(seed)
        self.progress = []
        self.slot = -1
        self.inside = False

    @property
    def block(self):
        """Of the running generation; 0 in the warm-up."""
        return self.progress[-1].block if self.progress else 0

    def arm(self, name, seconds, *, cv=0.0, floor=None, effect=lambda: 1.0, returns=None):
        """An arm that takes ``seconds`` on average, times whatever ``effect`` says at that moment."""

        def generate(case):
            self.events.append(f"generate:{name}:{case.seed}")
            self.clock.spend(seconds * max(self.noise.gauss(1, cv), 0.1) * effect())
            return returns

        return self.calling(name, generate, floor=floor)

    def calling(self, name, generate, *, floor=None, overhead=0.0):
        """An arm around any callable; its slot costs ``overhead`` seconds to enter and as much to leave."""

        @contextmanager
        def slot():
            self.events.append(f"enter:{name}")
            self.clock.spend(overhead)
            self.inside = True
            try:
                yield
            finally:
                self.inside = False
                self.clock.spend(overhead)
                self.events.append(f"exit:{name}")

        return Arm(name=name, generate=generate, slot=slot, floor=floor)

    def staged(self, name, *, floor=None, returns=None, **facts):
        """An arm that can be called by stages; ``facts`` are those of ``FakeStages``. A whole call takes what its parts do, and ``stall``."""
        stages = FakeStages(self, name, returns, **facts)

        def generate(case):
            self.events.append(f"generate:{name}:{case.seed}")
            for _, seconds, _ in stages.parts(None):
                self.clock.spend(stages.shake(seconds))
            self.clock.spend(stages.stall)
            return returns

        return replace(self.calling(name, generate, floor=floor), stages=lambda: stages)

    def watch(self, progress):
        """Note where the campaign stands."""
        self.slot = self.slot + 1 if progress.block == self.block else 0
        self.progress.append(progress)
        self.events.append("watch")

    def run(self, baseline, *rows, memory=None, telemetry=None, canary=dict, watch=None, compared=(), **limits):
        """Run the campaign; unless told otherwise 20 blocks fit."""
        spend = Limits(**{"budget_s": 1e6, "max_blocks": 20, **limits})
        watch = watch or self.watch
        return run_campaign(
            baseline, rows, spend, self.clock, memory=memory, telemetry=telemetry, canary=canary, watch=watch, contrasts=compared
        )


class FakeStages:
    """What calls an arm by stages on a bench; see ``model.stages.Stages``. Times are seconds.

    Attributes:
        text, decode: of these stages.
        step: of each denoising step, or a function of its number, from 0.
        steps: how many denoising steps a whole call takes.
        work: what the denoiser is asked for in a step, a function of its number.
        stall: what a whole call takes beside its stages.
        heeds: whether a call ends after the steps that it is asked for.
        cv: standard deviation of each part, a fraction.
        effect: what every part is longer by, asked at that moment.
        fails: raises, or not; called before every part with the number of the call and of the part.
        calls: those that were begun.
    """

    def __init__(self, bench, name, returns=None, **facts):
        self.bench, self.name, self.returns, self.calls = bench, name, returns, []
        known = {"text": 0.1, "step": 0.1, "decode": 0.2, "steps": 20, "stall": 0.0, "heeds": True, "cv": 0.0, "uneven": "", "alone": ""}
        known |= {"casts": False, "work": lambda _at: "w", "effect": lambda: 1.0, "fails": lambda _number, _part: None}
        vars(self).update(known)
        assert not facts.keys() - known.keys()
        vars(self).update(facts)

    def parts(self, steps):
        """(Stage, seconds, work) of each part of a call."""
        taken = self.steps if steps is None or not self.heeds else min(steps, self.steps)
        step = self.step if callable(self.step) else lambda _at: self.step
        loop = [(DENOISING, step(at), self.work(at)) for at in range(taken)]
        return [(TEXT_ENCODING, self.text, ""), *loop, (DECODING, self.decode, "")]

    def shake(self, seconds):
        return seconds * max(self.bench.noise.gauss(1, self.cv), 0.1) * self.effect()

    def call(self, case, steps, number):
        self.calls.append(FakeStagedCall(self, steps, number))
        return self.calls[-1]


class FakeStagedCall:
    """A call by stages on a bench.

    Attributes:
        closed: whether somebody has closed it.
    """

    def __init__(self, stages, steps, number):
        self._stages, self._number, self.steps = stages, number, steps
        self._left, self._at = stages.parts(steps), -1
        self.done = self.closed = False
        self.pictures = None

    def advance(self):
        stages, self._at = self._stages, self._at + 1
        stages.bench.events.append(f"advance:{stages.name}:{self._number}:{self._at}")
        stages.fails(self._number, self._at)
        stage, seconds, work = self._left.pop(0)
        if not self._left:
            self.done, self.pictures = True, stages.returns
        took = stages.shake(seconds)
        stages.bench.clock.spend(took)
        return StageTime(stage, took, work)

    def take_turn(self, parts):
        return [self.advance() for _ in range(min(parts, len(self._left)))]

    def close(self):
        self.closed = True


def result(setup="fp16", **facts):
    """A passing row of the table ``inference``, or what ``facts`` make of it."""
    samples = {"baseline": [(1.93, 1.93)] * 6, CONTROL: [(1.93, 1.93)] * 6, setup: [(1.47, 1.47)] * 6}
    known = {
        "table": "inference",
        "setup": setup,
        "baseline": "baseline",
        "device": "NVIDIA H200",
        "documented_on": "NVIDIA A100",
        "speedup": 1.31,
        "low": 1.29,
        "high": 1.33,
        "expected": 1.5,
        "tolerance": 0.05,
        "floor": 1.425,
        "verdict": "pass",
        "image_verdict": "pass",
        "blocks": 6,
        "latency_s": 1.47,
        "baseline_latency_s": 1.93,
        "samples_s": samples,
        "image": {"psnr": 58.2, "ssim": 0.998, "mae": 0.001},
        "images": None,
        "reasons": (),
        "control": Interval(1.0, 0.99, 1.01),
        "recipe": RECIPE,
        "versions": {"torch": "2.13.0"},
        "weights": "random",
    }
    return Result(**{**known, **facts})


def tf32(**facts):
    """The passing row ``tf32`` of the table ``inference``."""
    known = {"speedup": 1.28, "low": 1.27, "high": 1.29, "expected": 1.27, "floor": 1.2065, "latency_s": 1.51}
    return result("tf32", **{**known, "image": {"psnr": 61.0, "ssim": 0.9991}, **facts})


def failed(**facts):
    """The row ``fp16``, too slow."""
    return result(**{"verdict": "fail", "floor": 1.4251, "reasons": (SLOW,), **facts})


def baseline_result(**facts):
    """The baseline of the table ``inference``."""
    unit = {"speedup": 1.0, "low": 1.0, "high": 1.0, "expected": 1.0, "floor": 0.95, "latency_s": 1.93, "image": {}}
    return result("baseline", **{**unit, **facts})


def png(seed, side=8):
    """Noise, side x side."""
    written = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(written, "PNG")
    return written.getvalue()


def exhibit(seed=0, *, prompt="a cat", index=0, control=False, metrics=None, **pictures):
    """Pictures of a case, of their own for every seed; a role that is None is left out."""
    roles = {role: png(10 * seed + place) for place, role in enumerate(("baseline", "candidate", "error_map"))} | pictures
    shown = {role: picture for role, picture in roles.items() if picture is not None}
    return Exhibit(seed=seed, prompt=prompt, index=index, pictures=shown, metrics=metrics or {"psnr": 58.24}, control=control)
