"""How graphs run and where results live: runs, stores and the command line, above the actors."""
