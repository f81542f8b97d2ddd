"""Processes that tests start: pytest with the plugins that it needs and no more, since importing those takes most of their time."""

from pathlib import Path

PLUGINS = ("--disable-plugin-autoload", "-p", "benchmark", "-p", "sdspeed")
"""Arguments of a run that has no other plugins."""
WORKERS = (*PLUGINS, "-p", "xdist")
"""The same for one that has workers."""

OWN_CLOCK = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})

from fakes import FakeClock

from pytest_sdspeed.device import canary
from pytest_sdspeed.measure import clock

CLOCK = FakeClock()
clock.WallClock = lambda *_synchronize: CLOCK
canary.make_canary = lambda *_machine: {{}}
"""
"""A conftest by which every process has a clock that only what is measured moves."""
