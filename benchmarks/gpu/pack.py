"""Wheels for a machine with a GPU, Python 3.12, torch, torchvision, numba and scikit-learn, but no network.

    python -m gpu.pack DIR     as `benchmarks/gpu.sh --pack DIR` calls it

The versions are those of requirements.lock. FFCV's library comes without its resizing by OpenCV, which nothing here
calls, and with libjpeg-turbo beside it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_MIB = 60
# What a run imports, but for what such a machine has.
PACKAGES = (
    *("antlr4-python3-runtime", "anyio", "argcomplete", "arrow", "attrs", "backoff", "certifi", "charset-normalizer"),
    *("cloudpickle", "coolname", "fsspec", "gql", "graphql-core", "hydra-core", "hydra-submitit-launcher", "idna"),
    *("importlib-metadata", "isal", "lightning-utilities", "markdown-it-py", "mdurl", "mosaicml", "mosaicml-cli"),
    *("multidict", "nvidia-ml-py", "omegaconf", "packaging", "prompt-toolkit", "propcache", "psutil", "py-cpuinfo"),
    *("pygments", "python-dateutil", "pytorch-ranger", "pyyaml", "questionary", "requests", "rich", "ruamel-yaml"),
    *("six", "sniffio", "submitit", "tabulate", "tenacity", "termcolor", "torch-optimizer", "torchmetrics", "tqdm"),
    *("typing-extensions", "urllib3", "validators", "wcwidth", "websockets", "yarl", "zipp"),
)
# Today's OpenCV fills the 60 MiB alone.
OLDER = ("opencv-python-headless==4.11.0.86",)
# Without a wheel of their own for every Python.
SOURCES = ("antlr4-python3-runtime",)
PLATFORM = (
    *("--python-version", "3.12", "--implementation", "cp", "--only-binary=:all:"),
    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
    *("--platform", "manylinux_2_17_x86_64"),
)
RESIZE = re.compile(r"    EXPORT void resize\(.*?\n    }\n", re.DOTALL)
INIT = '"""FFCV\'s compiled library alone."""\n'


def pack(folder: Path) -> int:
    """Fill the folder; returns 1 if it became too large."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: version for name in PACKAGES if (version := _locked(name))}
    pip = [sys.executable, "-m", "pip"]
    binary = [f"{name}=={version}" for name, version in wanted.items() if name not in SOURCES]
    subprocess.run([*pip, "download", "-q", "--no-deps", "-d", str(folder), *PLATFORM, *binary, *OLDER], check=True)
    source = [f"{name}=={wanted[name]}" for name in SOURCES]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(folder), *source], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        _ffcv(folder, Path(scratch), pip)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    print(f"{len(list(folder.iterdir()))} wheels, {size:.1f} MiB, in {folder}")  # noqa: T201
    return int(size > LIMIT_MIB)


def _locked(name: str) -> str | None:
    found = re.search(rf"^{re.escape(name)}==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return found[1] if found else None


def _ffcv(folder: Path, scratch: Path, pip: list[str]) -> None:
    version = _locked("ffcv")
    line = [*pip, "download", "-q", "--no-deps", "--no-build-isolation", "--no-binary=:all:", f"ffcv=={version}"]
    subprocess.run([*line, "-d", str(scratch)], check=True)
    with tarfile.open(scratch / f"ffcv-{version}.tar.gz") as archive:
        archive.extractall(scratch, filter="data")
    (code,) = scratch.glob("ffcv-*/libffcv/libffcv.cpp")
    text = code.read_text().replace("#include <opencv2/opencv.hpp>\n", "")
    code.write_text(RESIZE.sub("", text))
    package = scratch / "wheel" / "ffcv"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(INIT)
    include = sysconfig.get_paths()["include"]
    flags = ["-O2", "-shared", "-fPIC", "-DPy_LIMITED_API=0x030A0000", f"-I{include}", "-fvisibility=default"]
    library = str(package / "_libffcv.abi3.so")
    # Beside the library that it needs: the static one of Debian cannot go into another library.
    flags += ["-lturbojpeg", "-Wl,-rpath,$ORIGIN", "-static-libstdc++", "-static-libgcc"]
    subprocess.run(["g++", str(code), *flags, "-o", library], check=True)
    needed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(libturbojpeg\.so\.\d+) => (\S+)", needed)
    assert found, needed
    shutil.copy(found[2], package / found[1])
    _wheel(folder, scratch / "wheel", f"ffcv-{version}")


def _wheel(folder: Path, tree: Path, name: str) -> None:
    info = tree / f"{name}.dist-info"
    info.mkdir()
    project, version = name.split("-")
    tag = "cp310-abi3-linux_x86_64"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nGenerator: pack\nRoot-Is-Purelib: false\nTag: {tag}\n")
    files = [path for path in sorted(tree.rglob("*")) if path.is_file()]
    (info / "RECORD").write_text("".join(f"{path.relative_to(tree)},,\n" for path in [*files, info / "RECORD"]))
    with zipfile.ZipFile(folder / f"{name}-{tag}.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [*files, info / "RECORD"]:
            archive.write(path, path.relative_to(tree))


if __name__ == "__main__":
    if shutil.which("g++") is None:
        sys.exit("gpu.pack needs g++ and libturbojpeg.a, as `make setup` does")
    sys.exit(pack(Path(sys.argv[1])))
