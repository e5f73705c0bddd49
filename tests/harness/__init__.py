"""What makes tests of runs deterministic: faults, schedules, and a ledger of ids."""
