"""What all tests share: no example of a property is judged by the clock, and a failure can be replayed."""

from hypothesis import settings

settings.register_profile("bsmg", deadline=None, print_blob=True)
settings.load_profile("bsmg")
