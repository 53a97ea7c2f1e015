"""Results held against each other: what differs, and how much of it is luck. Free of TensorFlow."""
