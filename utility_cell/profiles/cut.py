"""Cut the shipped profiles out of the SimBench package (not installed by the project; 380 MB).

    pip install --no-deps simbench==1.6.3
    python utility_cell/profiles/cut.py SITE_PACKAGES/simbench utility_cell/profiles/simbench_2016.csv.gz

Takes the quarter hours of 2016 (35,136) of the columns below from the complete data set of scenario 0 and writes them
as integers in 1e-4 of the rated power. The output depends on the input alone.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

NETWORK = "networks/1-complete_data-mixed-all-0-sw"
LOADS = (
    *("H0-A", "H0-B", "H0-C", "H0-G", "H0-H", "H0-L"),  # households
    *("G0-A", "G1-A", "G1-B", "G2-A", "G3-A", "G4-A", "G5-A", "G6-A"),  # businesses
    *("L0-A", "L1-A", "L2-A"),  # farms
    *("HLS_A_3.7", "HLS_B_3.7", "HLS_A_11.0"),  # electric cars charging at home
)
SOURCES = ("PV1", "PV2", "PV3", "PV4", "PV5", "PV6", "PV7", "PV8", "WP1", "WP4", "WP7", "WP10")
SCALE = 10_000


def columns(path: Path, names: Sequence[str]) -> Iterator[list[str]]:
    """Rows of one SimBench file: time, then the named columns as scaled integers."""
    with path.open(newline="") as file:
        rows = csv.reader(file, delimiter=";")
        header = next(rows)
        at = [header.index(name) for name in names]
        for row in rows:
            yield [row[0], *(str(round(float(row[i]) * SCALE)) for i in at)]


def main() -> None:
    """Join loads and sources by row and compress without a time stamp."""
    source, target = Path(sys.argv[1]) / NETWORK, Path(sys.argv[2])
    loads = columns(source / "LoadProfile.csv", [f"{name}_pload" for name in LOADS])
    plants = columns(source / "RESProfile.csv", SOURCES)
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["time", *LOADS, *SOURCES])
    for load, plant in zip(loads, plants, strict=True):
        if load[0] != plant[0]:
            sys.exit(f"rows differ: {load[0]} of the loads, {plant[0]} of the plants")
        out.writerow([*load, *plant[1:]])
    target.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
