"""The catalogue of devices as a page: all of them side by side, or one with its sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from botec.devices import CAPABILITY, SPECS, Device
from botec.report import Column, Counted, Figure, Figures, Report, Section, Table, Text
from botec.units import UNKNOWN, Quantity

LONGEST_TABLE = 16
CORNERS = ("vendor", "generation", "kind")

#: What stands side by side, as data sheets write it.
COLUMNS = {
    "memory.GiB": "memory",
    "bandwidth.GBps": "bandwidth",
    "tflops.fp32": "fp32",
    "tflops.fp16": "fp16",
    "tflops.bf16": "bf16",
    "tflops.fp8": "fp8",
    "power.W": "power",
}
UNITS = {
    "memory": "GiB",
    "bandwidth": "GB/s",
    "cache": "MiB",
    "tflops": "Tflop/s",
    "measured-tflops": "Tflop/s",
    "power": "W",
    "link": "GB/s",
    "price": "$/h",
}
WORDS = (CAPABILITY, "release.year")
#: What a page says even where it is unknown.
EXPECTED = {key for key in SPECS if not key.startswith("measured") and not key.endswith("fp64")}


def catalogue(devices: Sequence[Device]) -> Report:
    """Every device, in tables by vendor, and by generation and kind where there are many."""
    from botec import __version__

    newest = sorted(devices, key=lambda one: one.capability or (0, 0), reverse=True)
    sections = (Section(title, (table(rows),)) for title, rows in groups(newest))
    notes = (
        "Peaks are dense, with sums in fp32, and count a multiply-add as two.",
        "botec devices NAME gives all of a device's figures, each with its source.",
    )
    model = {"name": f"{len(devices)} devices"}
    return Report(model, {}, {}, tuple(sections), notes, __version__)


def groups(
    devices: Sequence[Device], before: str = "", corners: Sequence[str] = CORNERS
) -> Iterator[tuple[str, list[Device]]]:
    """Titles, and the devices under each by name: those of one corner, split where too many."""
    shared = dict.fromkeys(getattr(one, corners[0]) for one in devices)
    for text in shared:
        inside = [one for one in devices if getattr(one, corners[0]) == text]
        title = ", ".join(filter(None, (before, text)))
        if len(inside) > LONGEST_TABLE and len(corners) > 1:
            yield from groups(inside, title, corners[1:])
        else:
            yield title, sorted(inside, key=lambda one: one.name)


def table(devices: Sequence[Device]) -> Table:
    """One row for each device; ``None`` where a figure is unknown."""
    heads = [Column("device"), *(head(key) for key in COLUMNS)]
    rows = [(one.name, *(one.given(key) for key in COLUMNS)) for one in devices]
    if any(one.capability for one in devices):
        heads.append(Column("CUDA"))
        rows = [(*row, as_written(one, CAPABILITY)) for row, one in zip(rows, devices, strict=True)]
    return Table("", tuple(heads), tuple(rows))


def head(key: str) -> Column:
    """Watts lie far apart: each has its own prefix."""
    return Column(COLUMNS[key], unit_of(key), apart=key == "power.W")


def about(device: Device) -> Report:
    """One device: its figures with those that are missing, then where each was found."""
    from botec import __version__

    shown = [key for key in SPECS if key in device.figures or key in EXPECTED]
    found = {f"device.{key}": figure(device, key) for key in shown if key not in WORDS}
    model = {
        "name": device.title,
        "vendor": device.vendor,
        "generation": device.generation,
        **{SPECS[key].title: as_written(device, key) for key in WORDS if key in device.figures},
        "also called": list(device.aliases),
    }
    note = (Text(device.note),) if device.note else ()
    first = Section("Figures", (Figures(tuple(found)), *note))
    sections = (first, Section("Sources", (sources(device),)))
    return Report(model, {}, found, sections, (), __version__)


def figure(device: Device, key: str) -> Figure:
    """A figure in its unit; unknown ones too, so that a page says what is missing."""
    spec, value = SPECS[key], device.number(key)
    status = "unknown" if value is None else "complete"
    return Figure(f"device.{key}", spec.title, spec.unit, Counted(value, status=status))


def sources(device: Device) -> Table:
    """Every figure as its source writes it, the source, and its date."""
    heads = tuple(map(Column, ("figure", "as given", "date", "source")))
    rows = [
        (SPECS[key].title, as_written(device, key), datum.date or UNKNOWN, datum.source)
        for key, datum in device.figures.items()
    ]
    return Table("", heads, tuple(rows))


def as_written(device: Device, key: str) -> str:
    """``"79.11 GiB"``: the number of the file with the unit of its key."""
    datum = device.figures.get(key)
    if datum is None:
        return UNKNOWN
    if isinstance(datum.value, str) or key in WORDS:
        return str(datum.value)
    return str(Quantity(datum.value, unit_of(key)))


def unit_of(key: str) -> str:
    return UNITS[key.partition(".")[0]]
