"""`bsmg`: one group or command a module, imported only when it is used.

To add a command: write `bsmg/cli/NAME.py` with a click command `command`, and add its line to COMMANDS.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence

import click

from bsmg.cli.output import fail
from cosmos_wire.errors import BsmgError, ToolError

# name -> (module, one line of help); the module is imported when the command is used
COMMANDS: Mapping[str, tuple[str, str]] = {
    "testnet": ("bsmg.cli.testnet", "Bring whole networks up and down."),
    "fabric": ("bsmg.cli.fabric", "Bring a Hyperledger Fabric network up and down."),
    "keys": ("bsmg.cli.keys", "Mnemonics, addresses, key files."),
    "query": ("bsmg.cli.query", "Ask a chain, by gRPC."),
    "tx": ("bsmg.cli.tx", "Sign and send transactions."),
    "relayer": ("bsmg.cli.relayer", "Carry packets between chains."),
    "slot": ("bsmg.cli.slot", "Show the market's slots."),
    "market": ("bsmg.cli.market", "Compare market mechanisms, measure their speed."),
    "cell": ("bsmg.cli.cell", "Join a microgrid, show its cells."),
    "faucet": ("bsmg.cli.faucet", "Pay an address out of a testnet's faucet."),
    "doctor": ("bsmg.cli.doctor", "Check tools, ports, disk and versions."),
    "explain": ("bsmg.cli.explain", "Say what a transaction did and what its code means."),
    "demo": ("bsmg.cli.demo", "The main job: three microgrids trade a day."),
    "audit": ("bsmg.cli.audit", "Recompute clearings, settlements and supply from public RPC."),
    "trace": ("bsmg.cli.trace", "Follow a contract's packets on both chains."),
    "verify-proof": ("bsmg.cli.verify_proof", "Check a proof offline."),
    "bill": ("bsmg.cli.bill", "What a cell paid and got."),
}
INTERRUPTED = 130


class Lazy(click.Group):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, those that this version has."""
        del ctx  # the same for every call
        return [name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command = module.command
        assert isinstance(command, click.Command), f"{module.__name__}.command has to be a click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of `bsmg --help`, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bsmg")
def cli() -> None:
    """Blockchain-secured microgrids: testnets, keys, queries, transactions, relayers."""


def main() -> None:
    """Entry point: usage errors end with 2, everything that a person can put right with 1 and one line."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Exit code of a command line."""
    try:
        return int(cli.main(list(arguments), prog_name="bsmg", standalone_mode=False) or 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BsmgError as error:
        return fail(error)
    except OSError as error:  # a folder that can't be made, a full disk: nothing that a traceback would explain
        place = error.filename or "file system"
        return fail(ToolError(f"{place}: expected to use it, got {error.strerror or type(error).__name__}"))


if __name__ == "__main__":
    main()
