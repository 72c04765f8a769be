"""What the first screen says, in words: how well, at what cost, with which errors, and with what certainty."""
