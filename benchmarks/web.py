"""The browser runtime in figures: `make bench-web [PUBLISHED=published] [MINUTES=10]`.

Real-time factor, cold start, latency, underruns, leaks and MFLOP/s of published models in headless Chromium, beside
the same models in `@magenta/music`'s DDSP class on the same audio: in WebGL, which without a GPU is software. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

from tinytimbre.ddsp_door import use_legacy_keras
from tinytimbre.errors import TinyTimbreError
from tinytimbre.validation.chromium import find_chromium

WEB = pathlib.Path(__file__).resolve().parent.parent / "web"
CLIENT = WEB / "clients" / "magentamusic-1.23.1.js"
CHECKPOINT = WEB / "bench" / "checkpoint"
ARGUMENTS = (
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
)
RNNOISE_MFLOPS = 40.0
QUIET_LOAD = 0.3
COLD_STARTS = 7
REPEATS = 5
LEAK_FRAMES = 30_000
F0_HZ = 220


def serving() -> types.ModuleType:
    """web/tools/serve.py."""
    spec = importlib.util.spec_from_file_location("serve", WEB / "tools" / "serve.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(WEB / "tools" / "serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def opened(models: pathlib.Path) -> Iterator[Any]:
    """A browser context whose base address serves the page and the models."""
    from playwright.sync_api import sync_playwright

    server = serving().server(models, port=0, policy=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    executable = find_chromium()
    if executable is None:
        sys.exit("This benchmark needs Chromium: apt-get install chromium, or CHROMIUM=/path/to/it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser.new_context(base_url=f"http://localhost:{server.server_address[1]}/")
        finally:
            browser.close()
            server.shutdown()


def call(context: Any, module: str, function: str, **arguments: Any) -> Any:
    """A function of a module under web/bench, in a page of its own."""
    with contextlib.closing(new_page(context, cold=module == "cold")) as page:
        return evaluate(page, module, function, **arguments)


def new_page(context: Any, *, cold: bool = False) -> Any:
    """An empty page; a cold one says ahead which modules it will want."""
    page = context.new_page()
    page.set_default_timeout(0)
    page.goto("bench/cold.html" if cold else "tests/blank.html")
    return page


def evaluate(page: Any, module: str, function: str, **arguments: Any) -> Any:
    """A function of a module under web/bench."""
    script = "async ([module, name, given]) => (await import(`/bench/${module}.js`))[name](given)"
    return page.evaluate(script, [module, function, arguments])


def real_time_factor(context: Any, url: str, *, seconds: int, plain: bool) -> tuple[float, float]:
    """Least seconds of processor, and by the clock, per second of sound; after a first run that warms up.

    The processor's time is that of the whole browser: others' load on the machine shows less in it than by the clock.
    """
    with contextlib.closing(new_page(context)) as page:
        evaluate(page, "measure", "prepare", url=url, seconds=seconds)
        evaluate(page, "measure", "render", plain=plain)
        processor, clock = [], []
        for _ in range(REPEATS):
            before = descendants_cpu_secs()
            clock.append(evaluate(page, "measure", "render", plain=plain))
            processor.append((descendants_cpu_secs() - before) / seconds)
        return min(processor), min(clock)


def descendants_cpu_secs() -> float:
    """Processor seconds of all processes below this one (Linux)."""
    stats = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            stats[int(path.parent.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    ours, size = {os.getpid()}, 0
    while size != len(ours):
        size = len(ours)
        ours |= {pid for pid, (parent, _) in stats.items() if parent in ours}
    return sum(stats[pid][1] for pid in ours - {os.getpid()}) / os.sysconf("SC_CLK_TCK")


def measure(context: Any, url: str, *, seconds: int, minutes: float) -> dict[str, Any]:
    """All figures of one model."""
    processor, clock = real_time_factor(context, url, seconds=seconds, plain=False)
    cold = [call(context, "cold", "coldStart", url=url) for _ in range(COLD_STARTS)]
    latencies = call(context, "measure", "latencies", url=url)
    stages = call(context, "measure", "stages", url=url, f0=F0_HZ)
    return {
        "rtf_clock": clock,
        "rtf_processor": processor,
        "rtf_plain": real_time_factor(context, url, seconds=seconds, plain=True)[1],
        "cold_start_ms": statistics.median(run["totalMs"] for run in cold),
        "cold_start_best_ms": min(run["totalMs"] for run in cold),
        "latency_median_ms": statistics.median(latencies),
        "latency_worst_ms": latencies[-1],
        "latencies": len(latencies),
        "mflops": stages,
        "mflops_total": sum(stages.values()),
        "tfjs": call(context, "measure", "tensors", url=url, frames=LEAK_FRAMES),
        "worklet_growth": call(context, "measure", "growth", url=url, seconds=60 * minutes),
        "live": call(context, "measure", "live", url=url, seconds=60 * minutes),
    }


def show(name: str, figures: dict[str, Any], *, minutes: float) -> None:
    """A block of lines, each with what is asked."""
    print(f"\n{name}")
    for label, value, written, limit, unit in rows(figures, minutes=minutes):
        asked = "" if limit is None else f"{'<=' if limit else ''} {limit:g} {unit}".strip()
        missed = "" if limit is None or (value is not None and value <= limit) else "   MISSED"
        print(f"  {label:<42}{written.format(value) if value is not None else 'not told':>12}   {asked}{missed}")
    print("  of which " + ", ".join(f"{stage} {value:.2f}" for stage, value in figures["mflops"].items()))


def rows(figures: dict[str, Any], *, minutes: float) -> list[tuple[str, float | None, str, float | None, str]]:
    """Label, value (None where the browser does not tell), how it is written, what is asked, in which unit."""
    live, tfjs = figures["live"], figures["tfjs"]
    return [
        (f"real-time factor at 48 kHz, best of {REPEATS}", figures["rtf_clock"], "{:.4f}", 0.01, ""),
        ("  processor of the whole browser", figures["rtf_processor"], "{:.4f}", None, ""),
        ("  in plain JavaScript", figures["rtf_plain"], "{:.4f}", None, ""),
        (f"cold start, fetch to sound, median of {COLD_STARTS}", figures["cold_start_ms"], "{:.0f} ms", 150, "ms"),
        ("  the best", figures["cold_start_best_ms"], "{:.0f} ms", None, ""),
        ("added latency, tone to sound, median", figures["latency_median_ms"], "{:.1f} ms", 50, "ms"),
        (f"  the worst of {figures['latencies']}", figures["latency_worst_ms"], "{:.1f} ms", 50, "ms"),
        (f"underruns in {minutes:g} min live", live["underruns"], "{}", 0, ""),
        (f"heap growth in {minutes:g} min live, page", live["heapGrowth"] / 1e6, "{:.3f} MB", 1, "MB"),
        (f"  {minutes:g} min of the worklet's code", figures["worklet_growth"] / 1e6, "{:.3f} MB", 1, "MB"),
        (f"tensors left by TF.js, {LEAK_FRAMES} frames", tfjs["leaked"], "{}", 0, ""),
        (f"MFLOP/s at {F0_HZ} Hz (asked: RNNoise's)", figures["mflops_total"], "{:.1f}", RNNOISE_MFLOPS, ""),
    ]


def compare(context: Any, model: pathlib.Path, *, seconds: int) -> dict[str, Any] | None:
    """The same trained model in `@magenta/music`'s DDSP class; None where that is not installed or cannot play it."""
    if not CLIENT.is_file():
        print(f"  @magenta/music is not there to compare with: no {CLIENT}; make install fetches it")
        return None
    use_legacy_keras()
    from tinytimbre.export import bundle, magenta

    shutil.rmtree(CHECKPOINT, ignore_errors=True)
    try:
        magenta.export_magenta(bundle.load_bundle(model), output=CHECKPOINT)
    except TinyTimbreError as error:
        print(f"  @magenta/music cannot play this model: {error}")
        return None
    found: dict[str, Any] = call(context, "magenta", "magenta", url="/bench/checkpoint", seconds=seconds, repeats=3)
    print(
        f"  {'the same model in @magenta/music 1.23.1':<42}{found['rtf']:>12.4f}   real-time factor, no pitch tracking"
    )
    return found


def describe(context: Any) -> None:
    """The machine, and whether it is quiet enough: what others compute is in all that goes by the clock."""
    load = os.getloadavg()[0]
    print(f"Chromium {context.browser.version}, {os.cpu_count()} cores, load {load:.1f} before we begin")
    if load > QUIET_LOAD:
        print(
            "Others are computing here: real-time factor, cold start and underruns are worse than they would be alone."
        )


def models_of(folder: pathlib.Path) -> dict[str, str]:
    """Address of the latest version of each instrument."""
    index = json.loads((folder / "index.json").read_text())
    return {name: f"/models/{name}/{entry['latest']}/" for name, entry in index["instruments"].items()}


def main() -> None:
    """Measures every instrument."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path, help="a published folder")
    parser.add_argument("--minutes", type=float, default=10, help="of live playing per model")
    parser.add_argument("--seconds", type=int, default=60, help="of sound for the real-time factor")
    parser.add_argument("--magenta-seconds", type=int, default=20, help="of sound for Magenta's DDSP")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    with opened(args.models.resolve()) as context:
        describe(context)
        for name, url in models_of(args.models).items():
            found[name] = measure(context, url, seconds=args.seconds, minutes=args.minutes)
            show(name, found[name], minutes=args.minutes)
            folder = args.models / name / pathlib.PurePosixPath(url).name
            found[name]["magenta"] = compare(context, folder, seconds=args.magenta_seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
