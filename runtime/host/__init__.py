"""A run inside of somebody else's program: asyncio, synchronous code, or trio itself."""
