"""Tasks that call tasks: environments, calls, maps, streams, and the runs that they belong to."""
