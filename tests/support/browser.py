"""Debian's Chromium for tests: installed with apt where that is allowed, started once, without any network."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

# Shared with tests/support/slurm/up.sh: apt has no patience with a second apt.
APT_LOCK = Path("/tmp/slurm-packages.lock")
# Other tests train on the same cores.
TIMEOUT_MILLISECONDS = 60_000
# The first has no parts for windows, and opens a page with a third less work; older systems have the second alone.
PACKAGES = ("chromium-headless-shell", "chromium")
# Chromium asks the network for much of its own at every start.
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --js-flags=--no-flush-bytecode"
)


def chromium() -> str:
    """Path of Chromium; skips the test, with the reason, where there is none and it may not be installed."""
    if found := _installed():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("no chromium, and it cannot be installed: that needs root and apt-get")
    with APT_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _apt_get("update")
        installs = (_apt_get("install", "-y", "--no-install-recommends", package) for package in PACKAGES)
        errors = [done.stderr.strip() for done in installs if not _installed()]
    if found := _installed():
        return found
    pytest.skip(f"no chromium, and apt-get cannot install it: {errors[-1].splitlines()[-1:]}")


def _installed() -> str | None:
    return next(filter(None, map(shutil.which, PACKAGES)), None)


def _apt_get(*words: str) -> subprocess.CompletedProcess[str]:
    line = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *words]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(line, env=environ, capture_output=True, text=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a file."""
    executable = chromium()
    expect.set_options(timeout=TIMEOUT_MILLISECONDS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS.split())
        yield started
        started.close()


class Tab:
    """A page that must make no request but that for its file, and print no error."""

    def __init__(self, context: BrowserContext) -> None:
        context.set_offline(True)
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    def forget(self) -> None:
        """Leave the page, and begin anew."""
        self.page.goto("about:blank")
        self.requests.clear()
        self.errors.clear()

    def open(self, file: Path, address: str = "") -> Page:
        """Load a file with a query or a fragment, and wait until it is drawn."""
        self.page.goto("about:blank")
        self.page.goto(f"{file.as_uri()}{address}")
        self.page.wait_for_selector("html[data-ready=yes]", timeout=TIMEOUT_MILLISECONDS)
        return self.page

    def follow(self, address: str) -> None:
        """Go to another fragment of the page that is open, as a link in it does."""
        self.page.evaluate(
            """address => new Promise((done) => {
            addEventListener("hashchange", done, { once: true });
            location.hash = address; })""",
            address,
        )

    def check(self) -> None:
        """Raise if the page asked for anything but its file, or printed an error."""
        outside = [url for url in self.requests if not url.startswith(("file:", "blob:", "data:", "about:"))]
        assert (outside, self.errors) == ([], [])


@pytest.fixture(scope="module")
def desktop(browser: Browser) -> Iterator[Tab]:
    """One tab of a desktop's size for all tests of a file: in a new one a page takes four times as long to open."""
    with browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True) as context:
        context.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield Tab(context)


@pytest.fixture
def tab(desktop: Tab) -> Iterator[Tab]:
    """A tab without a page, in which nothing may go wrong."""
    desktop.forget()
    yield desktop
    desktop.check()
