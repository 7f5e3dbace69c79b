// Nothing to call: memory.c stands in for a function that Embedded Swift asks of the C library.
