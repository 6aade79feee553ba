"""What every test stands on."""

import signal

# A shell starts background jobs with interrupts ignored, and children inherit that: tests that interrupt a process
# would then wait for ever when CI is such a job.
signal.signal(signal.SIGINT, signal.default_int_handler)
