"""Methods of every problem: build, train, evaluate, save and load a model, and compare it with trivial ones."""
