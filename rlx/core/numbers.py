"""The kinds of number a setting may be. Classes annotate their fields with these; the command line checks a config against them."""

from typing import Annotated

from pydantic import Field

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]  # 0 and 1 included
Probability = Annotated[float, Field(gt=0, le=1)]  # 0 excluded: a top_p or a temperature of 0 means nothing
PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
