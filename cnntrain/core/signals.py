"""Signals that a run heeds: some ask it to stop, one asks it to save and go on."""

from __future__ import annotations

import signal

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVING = signal.SIGUSR1
HEEDED = (*STOPPING, SAVING)
