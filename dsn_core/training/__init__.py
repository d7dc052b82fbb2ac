"""The offline trainer: one file per stage."""
