"""Tasks that call tasks, beside the SDK whose page is the contract, in its local mode."""
