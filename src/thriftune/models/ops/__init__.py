"""The parts of a forward over packed rows, forward and backward."""
