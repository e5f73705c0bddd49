"""How graphs run and where results live: runs, stores and the command line, on top of the actors."""
