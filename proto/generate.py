"""Generate `bsmg_proto`, `fabric_protos` and the type stubs of every message that the project uses.

The Cosmos, IBC and CometBFT messages come compiled in the `cosmpy` package, without `.proto` text: their loaded
descriptors are written as a FileDescriptorSet that `protoc` reads beside our own files (`--descriptor_set_in`).
Hyperledger Fabric's come as the FileDescriptorSet fabric_protos/fabric.binpb, which tools/fabric_descriptors prints
from a Go module; no Go is needed here.

    python proto/generate.py            write the generated modules beside their .proto files
    python proto/generate.py --check    fail if what is committed differs from what would be generated
    python proto/generate.py --stubs D  write stubs of the Cosmos messages below D, for the type checker
"""

from __future__ import annotations

import argparse
import filecmp
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

import cosmpy.protos
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
FABRIC = ROOT / "fabric_protos" / "fabric.binpb"
OWN = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("bsmg_proto/**/*.proto"))


def load_cosmos_modules() -> None:
    """Import every compiled module of cosmpy, so that the default pool knows its files."""
    base = Path(cosmpy.protos.__file__).parent
    for module in pkgutil.walk_packages([str(base)]):
        if module.name.endswith("_pb2"):
            importlib.import_module(module.name)


def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """All files below cosmpy's roots with what they import, dependencies first."""
    base = Path(cosmpy.protos.__file__).parent
    names = sorted(path.relative_to(base).as_posix() for path in base.glob("**/*_pb2.py"))
    pool, seen = descriptor_pool.Default(), {}
    result = descriptor_pb2.FileDescriptorSet()

    def add(name: str) -> None:
        if name in seen:
            return
        seen[name] = True
        file = pool.FindFileByName(name)
        for dependency in file.dependencies:
            add(dependency.name)
        file.CopyToProto(result.file.add())

    for name in names:
        add(name.removesuffix("_pb2.py") + ".proto")
    return result


def run(arguments: list[str]) -> None:
    """Run protoc in this process; end with its arguments if it fails."""
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit(f"protoc failed: {' '.join(arguments)}")


def generate(target: Path, descriptors: Path) -> None:
    """Write `_pb2.py` and `_pb2.pyi` of our own files below `target`."""
    run([f"--descriptor_set_in={descriptors}", f"-I{ROOT}", f"--python_out={target}", f"--mypy_out={target}", *OWN])


def fabric_files() -> list[descriptor_pb2.FileDescriptorProto]:
    """Fabric's own files in the descriptor set, without google's."""
    found = descriptor_pb2.FileDescriptorSet.FromString(FABRIC.read_bytes()).file
    return [file for file in found if file.name.startswith("fabric_protos/")]


def generate_fabric(target: Path) -> None:
    """Write `fabric_protos` below `target`: messages, and gRPC stubs of the files that have a service."""
    files = fabric_files()
    read = f"--descriptor_set_in={FABRIC}"
    run([read, f"--python_out={target}", f"--mypy_out={target}", *(file.name for file in files)])
    served = [file.name for file in files if file.service]
    run([read, f"--grpc_python_out={target}", f"--mypy_grpc_out={target}", *served])


def write_stubs(target: Path, descriptors: Path) -> None:
    """Write `.pyi` files of all Cosmos messages; google's own come from types-protobuf."""
    target.mkdir(parents=True, exist_ok=True)
    files = [file.name for file in descriptor_set().file if not file.name.startswith("google/")]
    run([f"--descriptor_set_in={descriptors}", f"--mypy_out={target}", *files])


def differing(fresh: Path) -> list[str]:
    """Generated files that are missing from the checkout or differ from `fresh`."""
    names = [path.relative_to(fresh).as_posix() for path in sorted(fresh.glob("**/*_pb2*.py*"))]
    return [n for n in names if not (ROOT / n).exists() or not filecmp.cmp(ROOT / n, fresh / n, shallow=False)]


def main() -> None:
    """Parse the flags and do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--stubs", type=Path)
    options = parser.parse_args()
    load_cosmos_modules()
    with tempfile.TemporaryDirectory() as folder:
        descriptors = Path(folder) / "cosmos.fds"
        descriptors.write_bytes(descriptor_set().SerializeToString())
        if options.stubs:
            write_stubs(options.stubs, descriptors)
        elif options.check:
            generate(Path(folder), descriptors)
            generate_fabric(Path(folder))
            if stale := differing(Path(folder)):
                sys.exit(f"run `python proto/generate.py`: out of date: {', '.join(stale)}")
        else:
            generate(ROOT, descriptors)
            generate_fabric(ROOT)


if __name__ == "__main__":
    main()
