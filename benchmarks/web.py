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
COLD_STARTS = 7
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
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
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
    page = context.new_page()
    page.set_default_timeout(0)
    page.goto("bench/cold.html" if module == "cold" else "tests/blank.html")
    script = "async ([module, name, given]) => (await import(`/bench/${module}.js`))[name](given)"
    try:
        return page.evaluate(script, [module, function, arguments])
    finally:
        page.close()


def measure(context: Any, url: str, *, seconds: int, minutes: float) -> dict[str, Any]:
    """All figures of one model."""
    cold = [call(context, "cold", "coldStart", url=url) for _ in range(COLD_STARTS)]
    latencies = call(context, "measure", "latencies", url=url)
    stages = call(context, "measure", "stages", url=url, f0=F0_HZ)
    return {
        "rtf": call(context, "measure", "realTimeFactor", url=url, seconds=seconds, repeats=5, plain=False),
        "rtf_plain": call(context, "measure", "realTimeFactor", url=url, seconds=seconds, repeats=3, plain=True),
        "cold_start_ms": statistics.median(run["totalMs"] for run in cold),
        "latency_median_ms": statistics.median(latencies),
        "latency_worst_ms": latencies[-1],
        "mflops": stages,
        "mflops_total": sum(stages.values()),
        "tfjs": call(context, "measure", "tensors", url=url, frames=LEAK_FRAMES),
        "live": call(context, "measure", "live", url=url, seconds=60 * minutes),
    }


def show(name: str, figures: dict[str, Any], *, minutes: float) -> None:
    """A block of lines, each with what is asked."""
    live, tfjs = figures["live"], figures["tfjs"]
    stages = ", ".join(f"{stage} {value:.2f}" for stage, value in figures["mflops"].items())
    print(f"\n{name}")
    rows = (
        ("real-time factor at 48 kHz", f"{figures['rtf']:.4f}", "<= 0.01"),
        ("  in plain JavaScript", f"{figures['rtf_plain']:.4f}", ""),
        ("cold start, fetch to sound", f"{figures['cold_start_ms']:.0f} ms", "<= 150 ms"),
        ("added latency, tone to sound", f"{figures['latency_median_ms']:.1f} ms", "<= 50 ms"),
        ("  the worst of 42", f"{figures['latency_worst_ms']:.1f} ms", "<= 50 ms"),
        (f"underruns in {minutes:g} min", f"{live['underruns']}", "0"),
        (f"heap growth in {minutes:g} min", f"{live['heapGrowth'] / 1e6:.3f} MB", "< 1 MB"),
        (f"tensors left by TF.js, {LEAK_FRAMES} frames", f"{tfjs['leaked']}", "0"),
        (f"MFLOP/s at {F0_HZ} Hz", f"{figures['mflops_total']:.1f}", f"< {RNNOISE_MFLOPS:g} (RNNoise)"),
    )
    for label, value, asked in rows:
        print(f"  {label:<36}{value:>12}   {asked}")
    print(f"  of which {stages}")


def compare(context: Any, model: pathlib.Path, *, seconds: int) -> dict[str, Any] | None:
    """The same trained model in `@magenta/music`'s DDSP class; None where that is not installed."""
    if not CLIENT.is_file():
        print(f"  @magenta/music is not there to compare with: no {CLIENT}; make install fetches it")
        return None
    from tinytimbre.export import bundle, magenta

    shutil.rmtree(CHECKPOINT, ignore_errors=True)
    magenta.export_magenta(bundle.load_bundle(model), output=CHECKPOINT)
    found: dict[str, Any] = call(context, "magenta", "magenta", url="/bench/checkpoint", seconds=seconds, repeats=3)
    print(f"  {'  the same model in @magenta/music 1.23.1':<36}{found['rtf']:>10.3f}   without pitch tracking")
    return found


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
        for name, url in models_of(args.models).items():
            found[name] = measure(context, url, seconds=args.seconds, minutes=args.minutes)
            show(name, found[name], minutes=args.minutes)
            folder = args.models / name / pathlib.PurePosixPath(url).name
            found[name]["magenta"] = compare(context, folder, seconds=args.magenta_seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
