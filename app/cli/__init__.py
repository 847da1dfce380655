"""The bodies of the `compressorize` command's subcommands."""
