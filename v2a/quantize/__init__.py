"""Vector quantizers: encodings to codes and back, trained alike on any number of ranks. `make.make_quantizer` makes one."""
