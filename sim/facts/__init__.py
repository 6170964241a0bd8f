"""Facts: what happens in a run, as typed values on one stream; a class of rows is their schema."""
