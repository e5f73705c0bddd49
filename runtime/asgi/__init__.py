"""A run as a part of an ASGI service: started, used and ended with it."""
