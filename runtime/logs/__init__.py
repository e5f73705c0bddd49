"""What the standard library's logging says while a run goes on: whose it is, and where it goes."""
