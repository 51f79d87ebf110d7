"""Packages for pip to install without a network: wheels.py DIR PACKAGES writes them and requirements.txt."""

import sys
import zipfile
from pathlib import Path

MODULES = 25
FUNCTIONS = "".join(f"def f{number}(a, b={number}):\n    return a * b + {number}\n\n\n" for number in range(10))


def write(target, name):
    info = f"{name}-1.0.dist-info"
    files = {f"{name}/__init__.py": ""}
    files |= {f"{name}/m{number:02}.py": FUNCTIONS for number in range(MODULES)}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(target / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def main():
    target = Path(sys.argv[1])
    target.mkdir()
    names = [f"bench{number:02}" for number in range(int(sys.argv[2]))]
    for name in names:
        write(target, name)
    (target / "requirements.txt").write_text("".join(f"{name}\n" for name in names))


main()
