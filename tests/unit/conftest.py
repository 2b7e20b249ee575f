"""Properties are tried on fewer examples than hypothesis's hundred, and on no clock: the machine may be busy."""

from hypothesis import settings

settings.register_profile("pipeline", deadline=None, max_examples=40)
settings.load_profile("pipeline")
