"""What schedulers do is written down, whenever their classes are made, and nothing is left behind."""

from diffusers import SchedulerMixin

from pytest_sdspeed.dry.ledger import Ledger
from pytest_sdspeed.dry.steps import find_steps
from pytest_sdspeed.dry.watch import watch_schedulers


def make_scheduler(base=SchedulerMixin):
    class Scheduler(base):
        def set_timesteps(self):
            return "schedule"

        def step(self):
            return "stepped"

    return Scheduler


def test_a_scheduler_that_is_imported_while_it_is_counted_has_steps_too():
    ledger = Ledger()
    with watch_schedulers(ledger):
        scheduler = make_scheduler()()
        scheduler.set_timesteps()
        assert [scheduler.step() for _ in range(3)] == ["stepped"] * 3
    assert [mark for _, mark, _ in ledger.marks] == ["schedule", "step", "step", "step"]
    assert find_steps(ledger.marks).count == 3
    scheduler.step()
    assert len(ledger.marks) == 4


def test_a_step_that_calls_the_one_of_its_base_class_is_one_step():
    base = make_scheduler()

    class Scheduler(base):
        def step(self):
            return super().step()

    ledger = Ledger()
    with watch_schedulers(ledger):
        assert Scheduler().step() == "stepped"
    assert [mark for _, mark, _ in ledger.marks] == ["step"]


def test_nothing_is_left_on_the_classes():
    known, own = make_scheduler(), dict(vars(SchedulerMixin))
    step = known.step
    with watch_schedulers(Ledger()):
        made = make_scheduler()
        assert known.step is not step
    assert known.step is step
    assert dict(vars(SchedulerMixin)) == own
    assert "watch" not in made.step.__qualname__
