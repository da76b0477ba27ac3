# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs commands and waits for conditions.

Always: neither waits longer than its time-out, and neither fails in silence: a LabError says which command printed
what, or which condition did not come true.
"""

import subprocess
import time

from support.scale import scaled_limit

COMMAND_SECONDS = 20
WAIT_SECONDS = 5.0
OUTPUT_SHOWN = 2000  # characters of what a command printed, in an error


class LabError(Exception):
    """Something could not be set up, did not run, or did not happen in time; says what."""


def run(*arguments, check=True, timeout=COMMAND_SECONDS, **options):
    """Runs a command to its end and returns what it printed. check: an exit code that is not 0 is an error."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            timeout=scaled_limit(timeout), check=False, **options)
    if check and result.returncode != 0:
        raise LabError(f"{' '.join(arguments)}: exit code {result.returncode}: "
                       f"{(result.stderr or result.stdout).strip()[-OUTPUT_SHOWN:]}")
    return result.stdout


def wait_for(condition, what, timeout=WAIT_SECONDS, interval=0.005):
    """Waits until condition() is true and returns what it returned; after the time-out, an error says what was missing."""
    limit = scaled_limit(timeout)
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"not within {limit} s: {what}")
        time.sleep(interval)
