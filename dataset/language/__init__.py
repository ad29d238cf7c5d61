"""What is said: n-grams, pronunciations, and marks of slots."""
