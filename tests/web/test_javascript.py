"""What needs no browser: the JavaScript's own tests and types, the package, and the engine built again."""

from __future__ import annotations

import json
import pathlib
import subprocess

from browser_bench import WEB

from tinytimbre.export.node import node_executable


def node(*arguments: str, cwd: pathlib.Path = WEB) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [str(node_executable()), *arguments], cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result


def test_the_javascripts_own_tests_pass():
    files = sorted(str(path.relative_to(WEB)) for path in (WEB / "tests").glob("*.test.js"))
    assert len(files) >= 3
    assert "# fail 0" in node("--test", "--test-reporter=tap", *files).stdout


def test_types_hold():
    node("node_modules/typescript/bin/tsc", "--project", ".")


def test_the_committed_engine_is_what_the_source_gives(tmp_path):
    node("tools/build-engine.mjs", str(tmp_path))
    for name in ("engine.wasm", "engine-plain.js"):
        assert (tmp_path / name).read_bytes() == (WEB / "src" / name).read_bytes(), f"{name}: npm run build"


def npm(*arguments: str, cwd: pathlib.Path) -> str:
    script = node_executable().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return node(str(script), *arguments, cwd=cwd).stdout


def test_the_package_holds_runtime_and_types_and_can_be_used(tmp_path):
    [packed] = json.loads(npm("pack", "--json", "--pack-destination", str(tmp_path), cwd=WEB))
    files = {entry["path"] for entry in packed["files"]}
    assert {"src/index.js", "src/engine.wasm", "src/worklet.js", "types/index.d.ts", "LICENSE", "README.md"} <= files
    assert not any(path.startswith(("tests/", "node_modules/", "models/")) for path in files)
    user = tmp_path / "user"
    user.mkdir()
    (user / "package.json").write_text('{"name": "user", "version": "1.0.0", "type": "module"}')
    npm("install", "--offline", "--no-audit", "--no-fund", str(tmp_path / packed["filename"]), cwd=user)
    program = (
        "import { Player, loadInstrument } from 'tinytimbre'; console.log(typeof Player.create, typeof loadInstrument)"
    )
    assert node("--input-type=module", "--eval", program, cwd=user).stdout.strip() == "function function"
    # A TypeScript user sees the types, and a mistake.
    (user / "right.ts").write_text(
        "import { Player, loadInstrument } from 'tinytimbre';\n"
        "const player: Player = await Player.create(new AudioContext());\n"
        "player.play(await loadInstrument('x'));\n"
    )
    (user / "wrong.ts").write_text("import { loadInstrument } from 'tinytimbre';\nloadInstrument(5);\n")
    options = ["--noEmit", "--module", "es2022", "--moduleResolution", "bundler", "--target", "es2022", "--strict"]
    compiler = [str(node_executable()), str(WEB / "node_modules/typescript/bin/tsc"), *options]
    for name, accepted in (("right.ts", True), ("wrong.ts", False)):
        result = subprocess.run([*compiler, name], cwd=user, capture_output=True, text=True, check=False)
        assert (result.returncode == 0) == accepted, result.stdout
