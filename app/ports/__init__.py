"""Protocols of what the service needs from outside. No code that runs."""
