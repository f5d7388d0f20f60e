"""The one exception that ends a command with a message instead of a traceback."""


class TrainerError(Exception):
    """Raised when the input cannot give an honest model; its text names the cause and what would help."""
