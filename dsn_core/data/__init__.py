"""Where frames come from."""

__all__: list[str] = []
