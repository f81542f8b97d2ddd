"""Ways to time a call: by stages in greenlets or threads, by replays, by short runs, whole."""

from ways.timing import WAYS, WHOLE, Timed, Way

__all__ = ["WAYS", "WHOLE", "Timed", "Way"]
