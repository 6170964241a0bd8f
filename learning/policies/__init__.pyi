from .problem import POLICIES as POLICIES
from .problem import InfeasibleAssignment as InfeasibleAssignment
from .problem import Problem as Problem
