"""Redis, file system and S3 behind the ports."""
