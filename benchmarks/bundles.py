"""What each step of the export saves, in bytes, and how weights in few bits compress in other layouts.

python benchmarks/bundles.py workspaces/quickstart/artifacts/TfjsExporter/models/*/TRIAL/float32
python benchmarks/bundles.py --synthesiser        # a graph of ddsp's own parts, 4 s of audio, as clients load it
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

import brotli
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "export"))

from tinytimbre.export.bundle import export_bundle, load_bundle
from tinytimbre.export.compaction import STEPS, Graph, to_json
from tinytimbre.export.graphs import convert_architecture
from tinytimbre.export.packing import pack
from tinytimbre.export.size import BROTLI_QUALITY, measure_bundle

QUANTISATIONS = ("float32", "float16", "int8", "uint8", "int6", "int4")
Layout = Callable[[np.ndarray, int], bytes]


def main() -> None:
    """Prints the tables that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="*", type=pathlib.Path, help="folders of bundles in float32")
    parser.add_argument("--synthesiser", action="store_true", help="a graph with the synthesiser inside")
    args = parser.parse_args()
    for folder in args.model:
        report_model(folder)
    if args.synthesiser:
        from synthesiser_graph import synthesiser_graph

        print("\n## ddsp's DilatedConvDecoder (64 channels, 5 layers) and Harmonic (60), 4 s at 16 kHz\n")
        print_steps(synthesiser_graph(frames=1000, n_samples=64_000, harmonics=60, channels=64, layers=5), keep=())


def report_model(folder: pathlib.Path) -> None:
    """Graph steps, quantisations and layouts of one model."""
    loaded = load_bundle(folder)
    spec, settings = loaded.settings.decoder, loaded.settings
    shape = f"{spec.kind} {spec.width}x{spec.depth}, {spec.harmonics} harmonics, {spec.noise_bands} noise bands"
    print(f"\n## {settings.instrument}, {shape}, {spec.parameters:,} parameters\n")
    weights, graph = loaded.decoder.get_weights(), convert_architecture(spec)
    trained = {name: weights[name].reshape(graph.tensors[name].shape) for name in weights}
    print_steps(Graph(graph.model, {**graph.tensors, **trained}), keep=list(weights))
    with tempfile.TemporaryDirectory() as output:
        bundles = export_bundle(loaded.decoder, settings=settings, quantisations=QUANTISATIONS, output=output)
        print_sizes([(bundle.quantisation, bundle.path) for bundle in bundles])
    print_layouts([value for value in weights.values() if value.ndim > 1])


def print_steps(graph: Graph, *, keep: list[str] | tuple[str, ...]) -> None:
    """The graph and its constants after each step, float32."""
    print("| after | model.json | brotli | weights.bin | brotli |\n|---|---|---|---|---|")
    _print_step("the converter", graph)
    for name, step in STEPS.items():
        graph = step(graph, keep)
        _print_step(name, graph)


def _print_step(name: str, graph: Graph) -> None:
    tensors = [{"name": n, "shape": v.shape, "dtype": v.dtype.name} for n, v in graph.tensors.items()]
    manifest = [{"paths": ["weights.bin"], "weights": tensors}]
    text = to_json({**graph.model, "weightsManifest": manifest}).encode()
    data = b"".join(value.tobytes() for value in graph.tensors.values())
    print(f"| {name} | {len(text):,} | {compressed(text):,} | {len(data):,} | {compressed(data):,} |", flush=True)


def print_sizes(bundles: list[tuple[str, pathlib.Path]]) -> None:
    """Whole bundles by quantisation."""
    files = ("model.json", "weights.bin", "settings.json", "together")
    header = ["bundle", *files, *(f"{name}, brotli" for name in files)]
    print(f"\n| {' | '.join(header)} |\n{'|---' * len(header)}|")
    for name, path in bundles:
        size = measure_bundle(path)
        disk = (size.graph_bytes, size.weights_bytes, size.settings_bytes, size.total_bytes)
        packed = (size.graph_brotli, size.weights_brotli, size.settings_brotli, size.total_brotli)
        print(f"| {' | '.join([name, *(f'{n:,}' for n in disk + packed)])} |")


def print_layouts(kernels: list[np.ndarray]) -> None:
    """Brotli bytes of all kernels in each layout; what ships is the first column."""
    print(f"\n| kernels in | {' | '.join(LAYOUTS)} |\n|---{'|---' * len(LAYOUTS)}|")
    for bits in (8, 6, 4):
        parts = [_integers(value, bits) for value in kernels]
        scales = b"".join(multiples for multiples, _ in parts)
        sizes = [compressed(scales + b"".join(lay(q, bits) for _, q in parts)) for lay in LAYOUTS.values()]
        print(f"| {bits} bits | {' | '.join(f'{size:,}' for size in sizes)} |")


def _integers(value: np.ndarray, bits: int) -> tuple[bytes, np.ndarray]:
    """Multiples of the columns, and the integers [rows, columns]."""
    rows = value.reshape(-1, value.shape[-1])
    data = pack(rows, bits=bits, axis=1).data
    return data[: rows.shape[1]], np.frombuffer(data[rows.shape[1] :], np.int8).reshape(rows.shape)


def _nibbles(q: np.ndarray, bits: int) -> bytes:
    """Two to a byte: the four high bits of each, then the rest four, two or no bits each."""
    unsigned = (q.ravel().astype(int) + 2 ** (bits - 1)).astype(np.uint8)
    low = bits - 4
    high, rest = np.resize(unsigned >> low, q.size + q.size % 2), unsigned & (2**low - 1)
    packed = (high[::2] << 4 | high[1::2]).astype(np.uint8).tobytes()
    return packed + _bits(rest, low) if low else packed


def _bits(unsigned: np.ndarray, bits: int) -> bytes:
    """One plane per bit, highest first."""
    return b"".join(np.packbits(unsigned >> bit & 1).tobytes() for bit in reversed(range(bits)))


def _sorted(q: np.ndarray) -> Iterator[np.ndarray]:
    """Columns from quiet to loud; a reader would need the order as well, which is not counted."""
    yield from q[:, np.argsort(np.abs(q.astype(int)).sum(axis=0))]


LAYOUTS: dict[str, Layout] = {
    "a byte each": lambda q, _: q.tobytes(),
    "column by column": lambda q, _: q.T.tobytes(),
    "zigzag": lambda q, _: np.where(q < 0, -2 * q.astype(int) - 1, 2 * q.astype(int)).astype(np.uint8).tobytes(),
    "deltas down a column": lambda q, _: np.diff(q, axis=0, prepend=np.int8(0)).tobytes(),
    "sorted columns": lambda q, _: b"".join(row.tobytes() for row in _sorted(q)),
    "nibbles and rest": _nibbles,
    "bit planes": lambda q, bits: _bits((q.ravel().astype(int) + 2 ** (bits - 1)).astype(np.uint8), bits),
}


def compressed(data: bytes) -> int:
    """As `tinytimbre.export.size` measures."""
    return len(brotli.compress(data, quality=BROTLI_QUALITY))


if __name__ == "__main__":
    main()
