"""Modules: tensors in, tensors out. They know no problem, and read no file but the weights of upstreams."""
