"""Trade between chains: port `trade`, version `bsmg-trade-1` (docs/trade.md). Pure; the module is `Trade`."""

from energy.trade.module import Trade

__all__ = ["Trade"]
