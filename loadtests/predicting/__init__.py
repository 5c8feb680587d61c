"""What queueing theory, and a simulation, say of the measured demand. Pure."""
