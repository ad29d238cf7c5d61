"""Signal features: upstreams without parameters."""
