"""The schedules: one file each; `base` says what a schedule is."""
