# SPDX-License-Identifier: Apache-2.0
"""The program on the command line, without what the environment of the tests says of servers and proxies."""

import os
import subprocess

from daemon import BINARY

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


def environment(**more):
    kept = {
        k: v for k, v in os.environ.items() if k not in PROXIES and not k.startswith("SLUICE_")
    }
    return {**kept, **more}


def run(*arguments, stdin=None, env=None, timeout=30, **options):
    return subprocess.run(
        [str(BINARY), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**(env or {})),
        **options,
    )
