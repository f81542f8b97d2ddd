"""Processes that tests start: pytest with the plugins that it needs and no more, since importing those takes most of their time."""

PLUGINS = ("--disable-plugin-autoload", "-p", "benchmark", "-p", "sdspeed")
"""Arguments of a run that has no other plugins."""
WORKERS = (*PLUGINS, "-p", "xdist")
"""The same for one that has workers."""
