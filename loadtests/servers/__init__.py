"""What is started and watched: the readers and all they need, as real processes."""
