"""How messages move: envelopes, lanes, mailboxes and leases. This layer knows nothing above it."""
