"""Who takes part: cells, their metering devices, the feeder. `Registry` is the module; `state` what others read."""

from energy.registry.module import Registry

__all__ = ["Registry"]
