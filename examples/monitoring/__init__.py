"""The parts of `system_monitor.py` that know nothing of actors."""
