"""A deploy graph that computes in int8, made from one that computes in fp32; needs no torch."""

__all__: list[str] = []
