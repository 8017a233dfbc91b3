"""Fetches the client that compatibility is tested with: one file of @magenta/music, pinned by hash (`make install`).

Installed the usual way the package brings some 300 MB of dependencies; the file that pages load has them inside.
"""

from __future__ import annotations

import base64
import hashlib
import pathlib
import subprocess
import tarfile
import tempfile

PACKAGE = "@magenta/music@1.23.1"
SHA512 = "MKIf5nU5fJg/j0y+zCeuQuhA5D4TD0hWv+crOpNQLq7TRJ5GQnlz4WuShYzSw/gXj2ncWuYGr6ftP9DvqSsQkA=="
MEMBER = "package/dist/magentamusic.js"
TARGET = pathlib.Path(__file__).resolve().parents[1] / "clients" / "magentamusic-1.23.1.js"


def main() -> None:
    """Does nothing where the file is there already."""
    if TARGET.is_file():
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run(["npm", "pack", "--silent", PACKAGE, "--pack-destination", name], check=True)
        [archive] = folder.glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != SHA512:
            raise SystemExit(f"{PACKAGE} must have the hash {SHA512}, got {found}")
        with tarfile.open(archive) as files:
            source = files.extractfile(MEMBER)
            assert source is not None
            TARGET.parent.mkdir(parents=True, exist_ok=True)
            TARGET.write_bytes(source.read())


if __name__ == "__main__":
    main()
