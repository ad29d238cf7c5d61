"""Modules: tensors in, tensors out. Nothing here knows a problem; no file is read but the weights of upstreams."""
