"""Tables: recorded while a run goes on, sorted, stored and digested."""
