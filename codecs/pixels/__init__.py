"""Images in, smaller images out: decoding, resizing, colour, encoders.

Bytes and options in, bytes and facts out. Nothing here knows HTTP, Redis, S3 or asyncio.
"""
