"""Many runs: their processes, the pass over the data that they share, and which of them go on."""
