"""The offline trainer: one file per stage."""

__all__: list[str] = []
