"""What keeps a file from being stripped."""


class NotStrippable(Exception):
    """The file is built in a way that its metadata cannot be cut out of without touching the picture."""
