"""The kinds of number a setting may be. Classes annotate their fields with these; the command line checks a config against them."""

from typing import Annotated

from pydantic import Field

MOST = 10**9  # of whatever is counted: more is a slip of the finger, and ends in memory or never

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]  # 0 and 1 included
Probability = Annotated[float, Field(gt=0, le=1)]  # 0 excluded: a top_p or a temperature of 0 means nothing
Decay = Annotated[float, Field(ge=0, lt=1)]  # of a running mean, which at 1 would never move
PositiveInt = Annotated[int, Field(gt=0, le=MOST)]
Threads = Annotated[int, Field(gt=0, le=1024)]  # OpenMP ends the process where it cannot have them
Port = Annotated[int, Field(gt=0, le=65535)]
NonNegativeInt = Annotated[int, Field(ge=0)]
