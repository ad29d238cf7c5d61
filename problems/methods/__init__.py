"""What every problem can do: build, train, evaluate, save and load a model, and compare it with trivial ones."""
