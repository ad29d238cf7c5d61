"""Training by several processes: the sum of their gradients, and models of which each holds a part."""
