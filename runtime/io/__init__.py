"""Values too large for memory: files, folders and data frames, kept by reference."""
