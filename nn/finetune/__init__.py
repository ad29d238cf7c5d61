"""Fine-tuning of upstreams."""
